//! The event bus: packets to every subscriber of the pub socket.
//!
//! A packet is built only if somebody listens. Each subscriber has a bounded queue; one that does
//! not read loses packets, learns how many in a `pm2:overflow` packet, and never holds up an app.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use pm2_core::protocol::encode_event;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::tally::{One, Tally};

/// Packets a subscriber may have waiting.
const MAX_QUEUED_PACKETS: usize = 4096;
/// Bytes a subscriber may have waiting.
const MAX_QUEUED_BYTES: usize = 4 * 1024 * 1024;

/// Where packets are published; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Bus {
    subscribers: Arc<Mutex<Vec<Subscriber>>>,
    listening: Arc<AtomicUsize>,
    /// Packets that have not left.
    unsent: Tally,
}

struct Subscriber {
    queue: mpsc::Sender<(Arc<[u8]>, One)>,
    queued_bytes: Arc<AtomicUsize>,
    unsent: Tally,
    lost: u64,
}

impl Bus {
    /// Whether anybody would receive a packet now.
    pub(crate) fn is_watched(&self) -> bool {
        self.listening.load(Ordering::Relaxed) > 0
    }

    /// Sends a packet to all subscribers; `packet` makes its JSON text and is called only if there
    /// are any.
    pub(crate) fn publish(&self, topic: &str, packet: impl FnOnce() -> String) {
        if !self.is_watched() {
            return;
        }
        let frame: Arc<[u8]> = encode_event(topic, &packet()).into();
        let mut subscribers = self.subscribers.lock();
        subscribers.retain_mut(|subscriber| subscriber.offer(&frame));
        self.listening.store(subscribers.len(), Ordering::Relaxed);
    }

    /// Serves one subscriber until it goes away or the bus is closed.
    pub(crate) async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (queue, mut packets) = mpsc::channel::<(Arc<[u8]>, One)>(MAX_QUEUED_PACKETS);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        {
            let mut subscribers = self.subscribers.lock();
            let (queued_bytes, unsent) = (queued_bytes.clone(), self.unsent.clone());
            subscribers.push(Subscriber { queue, queued_bytes, unsent, lost: 0 });
            self.listening.store(subscribers.len(), Ordering::Relaxed);
        }
        let (mut input, mut output) = tokio::io::split(stream);
        let write = async {
            while let Some((packet, _unsent)) = packets.recv().await {
                let written = output.write_all(&packet).await;
                queued_bytes.fetch_sub(packet.len(), Ordering::Relaxed);
                if written.is_err() {
                    break;
                }
            }
        };
        // A subscriber never speaks; what it sends all the same is read and dropped, so that its
        // end is noticed at once.
        let read = async {
            let mut ignored = [0; 1024];
            while matches!(input.read(&mut ignored).await, Ok(count) if count > 0) {}
        };
        tokio::select! {
            () = write => {}
            () = read => {}
        }
        drop(packets);
        let mut subscribers = self.subscribers.lock();
        subscribers.retain(|subscriber| !subscriber.queue.is_closed());
        self.listening.store(subscribers.len(), Ordering::Relaxed);
    }

    /// Completes when every packet has left.
    pub(crate) async fn sent(&self) {
        self.unsent.zero().await;
    }

    /// Lets every subscriber's connection end once its queue is written.
    pub(crate) fn close(&self) {
        self.subscribers.lock().clear();
        self.listening.store(0, Ordering::Relaxed);
    }
}

impl Subscriber {
    /// Queues a packet or counts it as lost; `false` when the subscriber is gone.
    fn offer(&mut self, frame: &Arc<[u8]>) -> bool {
        if self.lost > 0 {
            let packet = format!(r#"{{"lost":{},"at":{}}}"#, self.lost, crate::clock::epoch_ms());
            let notice: Arc<[u8]> = encode_event("pm2:overflow", &packet).into();
            if self.push(notice) {
                self.lost = 0;
            }
        }
        if self.lost > 0 || !self.push(frame.clone()) {
            self.lost += 1;
        }
        !self.queue.is_closed()
    }

    fn push(&self, frame: Arc<[u8]>) -> bool {
        let length = frame.len();
        let queued = self.queued_bytes.load(Ordering::Relaxed);
        // One packet larger than the limit may pass through an empty queue.
        if queued > 0 && queued + length > MAX_QUEUED_BYTES {
            return false;
        }
        self.queued_bytes.fetch_add(length, Ordering::Relaxed);
        let sent = self.queue.try_send((frame, self.unsent.one())).is_ok();
        if !sent {
            self.queued_bytes.fetch_sub(length, Ordering::Relaxed);
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_subscriber_that_does_not_read_is_told_what_it_lost() {
        let bus = Bus::default();
        bus.publish("a", || panic!("nobody listens, nothing is built"));
        let (near, mut far) = tokio::io::duplex(64);
        let serving = tokio::spawn({
            let bus = bus.clone();
            async move { bus.serve(near).await }
        });
        while !bus.is_watched() {
            tokio::task::yield_now().await;
        }
        let sent = 2 * MAX_QUEUED_PACKETS;
        for number in 0..sent {
            bus.publish("n", || number.to_string());
        }
        let mut decoder = pm2_core::protocol::Decoder::new(pm2_core::protocol::Limits::default());
        let mut received = 0_usize;
        let mut lost = 0_usize;
        let mut buffer = [0; 4096];
        let mut extra = false;
        while received + lost < sent {
            let count = far.read(&mut buffer).await.unwrap();
            decoder.feed(&buffer[..count]);
            while let Some(arguments) = decoder.next().unwrap() {
                let event = pm2_core::protocol::decode_event(arguments).unwrap();
                match event.packet.parse::<usize>() {
                    Ok(_) => received += 1,
                    Err(_) => {
                        let packet: serde_json::Value = serde_json::from_str(&event.packet).unwrap();
                        lost += usize::try_from(packet["lost"].as_u64().unwrap()).unwrap();
                    }
                }
            }
            if received >= MAX_QUEUED_PACKETS / 2 && !extra {
                // The notice comes with the next packet that fits.
                extra = true;
                bus.publish("n", || "0".to_owned());
                received -= 1;
            }
        }
        assert!(lost > 0);
        assert_eq!(received + lost, sent);
        drop(far);
        serving.await.unwrap();
        assert!(!bus.is_watched());
    }
}
