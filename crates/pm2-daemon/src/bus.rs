//! The event bus: packets to every subscriber of the pub socket.
//!
//! A packet is built only if somebody has room for it. Each subscriber has a bounded queue ([`crate::allowance`]); one
//! that does not read loses packets, learns how many in a `pm2:overflow` packet, and never holds up an app.

mod queue;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use pm2_core::protocol::encode_event;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use crate::sys::give_back_memory;
use crate::tally::{One, Tally};
use queue::Queue;

/// Where packets are published; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Bus {
    subscribers: Arc<Mutex<Vec<Arc<Subscriber>>>>,
    listening: Arc<AtomicUsize>,
    /// Subscribers with packets that have not left.
    busy: Tally,
}

#[derive(Default)]
struct Subscriber {
    queue: Mutex<Queue>,
    /// There is something to write, or nothing more to come.
    changed: Notify,
}

impl Bus {
    /// Whether anybody would receive a packet now.
    pub(crate) fn is_watched(&self) -> bool {
        self.listening.load(Ordering::Relaxed) > 0
    }

    /// Sends a packet to all subscribers; `packet` makes its JSON text and is called only if one of them has room.
    pub(crate) fn publish(&self, topic: &str, packet: impl FnOnce() -> String) {
        if !self.is_watched() || !self.has_room() {
            return;
        }
        let frame: Arc<[u8]> = encode_event(topic, &packet()).into();
        for subscriber in &*self.subscribers.lock() {
            let is_first = subscriber.queue.lock().offer(&frame, || self.busy.one());
            if is_first {
                subscriber.changed.notify_one();
            }
        }
    }

    /// Whether anybody has room. If nobody has, the packet that was to come is counted as lost.
    fn has_room(&self) -> bool {
        // Before the packet is made, which may need other locks.
        let subscribers = self.subscribers.lock();
        if subscribers.iter().any(|subscriber| subscriber.queue.lock().is_open()) {
            return true;
        }
        for subscriber in &*subscribers {
            subscriber.queue.lock().lose_one();
        }
        false
    }

    /// Serves one subscriber until it goes away or the bus is closed.
    pub(crate) async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let subscriber = Arc::new(Subscriber::default());
        self.change(|subscribers| subscribers.push(subscriber.clone()));
        let _member = Membership { bus: self, subscriber: &subscriber };
        let (mut input, mut output) = tokio::io::split(stream);
        let write = async {
            loop {
                let batch = subscriber.queue.lock().take();
                let Some(batch) = batch else { return };
                let mut rest = batch.bytes();
                if rest.is_empty() {
                    subscriber.changed.notified().await;
                    continue;
                }
                let mut was_large = false;
                while !rest.is_empty() {
                    let Ok(count @ 1..) = output.write(rest).await else { return };
                    rest = &rest[count..];
                    was_large = subscriber.queue.lock().written(count);
                }
                drop(batch);
                if was_large {
                    give_back_memory();
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
    }

    /// Completes when every packet has left.
    pub(crate) async fn sent(&self) {
        self.busy.zero().await;
    }

    /// Lets every subscriber's connection end once its queue is written.
    pub(crate) fn close(&self) {
        for subscriber in std::mem::take(&mut *self.subscribers.lock()) {
            subscriber.queue.lock().close();
            subscriber.changed.notify_one();
        }
        self.listening.store(0, Ordering::Relaxed);
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Subscriber>>)) {
        let mut subscribers = self.subscribers.lock();
        change(&mut subscribers);
        self.listening.store(subscribers.len(), Ordering::Relaxed);
    }
}

/// A subscriber is one for as long as it is served.
struct Membership<'a> {
    bus: &'a Bus,
    subscriber: &'a Arc<Subscriber>,
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        self.bus.change(|subscribers| subscribers.retain(|other| !Arc::ptr_eq(other, self.subscriber)));
        // Nobody waits for what it has not read.
        let queue = std::mem::take(&mut *self.subscriber.queue.lock());
        let was_large = queue.is_large();
        drop(queue);
        if was_large {
            give_back_memory();
        }
    }
}

/// What a subscriber has waiting counts as one.
type Busy = Option<One>;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pm2_core::protocol::{Argument, Decoder, Event, Limits, decode_event};
    use tokio::io::DuplexStream;

    use super::*;
    use crate::allowance::STOPPED_BYTES;

    async fn subscribe(bus: &Bus, capacity: usize) -> (DuplexStream, tokio::task::JoinHandle<()>) {
        let before = bus.subscribers.lock().len();
        let (near, far) = tokio::io::duplex(capacity);
        let serving = tokio::spawn({
            let bus = bus.clone();
            async move { bus.serve(near).await }
        });
        while bus.subscribers.lock().len() == before {
            tokio::task::yield_now().await;
        }
        (far, serving)
    }

    struct Reader {
        stream: DuplexStream,
        decoder: Decoder,
    }

    impl Reader {
        fn new(stream: DuplexStream) -> Reader {
            Reader { stream, decoder: Decoder::new(Limits::default()) }
        }

        async fn next(&mut self) -> Event {
            let mut buffer = [0; 4096];
            loop {
                if let Some(arguments) = self.decoder.next().unwrap() {
                    return decode_event(arguments).unwrap();
                }
                let count = self.stream.read(&mut buffer).await.unwrap();
                assert!(count > 0, "the bus has ended");
                self.decoder.feed(&buffer[..count]);
            }
        }
    }

    fn is(event: &Event, topic: &str) -> bool {
        event.topic == Argument::Text(topic.to_owned())
    }

    fn lost(event: &Event) -> usize {
        assert!(is(event, "pm2:overflow"));
        let packet: serde_json::Value = serde_json::from_str(&event.packet).unwrap();
        assert!(packet["at"].is_i64());
        usize::try_from(packet["lost"].as_u64().unwrap()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscriber_that_does_not_read_is_told_what_it_lost_and_where() {
        let bus = Bus::default();
        bus.publish("a", || panic!("nobody listens, nothing is built"));
        let (far, serving) = subscribe(&bus, 64).await;
        let text = format!("\"{}\"", "x".repeat(1024 * 1024));
        let n_sent = 2 * STOPPED_BYTES / text.len();
        let mut n_built = 0;
        for number in 0..n_sent {
            if number == 1 {
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            bus.publish("large", || {
                n_built += 1;
                text.clone()
            });
            tokio::task::yield_now().await;
        }
        assert!(n_built < n_sent, "packets that nobody has room for are not built");
        let mut reader = Reader::new(far);
        let mut n_received = 0;
        // The notice needs no further packet to come.
        let overflow = loop {
            let event = reader.next().await;
            if is(&event, "large") {
                n_received += 1;
            } else {
                break lost(&event);
            }
        };
        assert_eq!(n_received + overflow, n_sent);
        bus.publish("after", || "1".to_owned());
        assert!(is(&reader.next().await, "after"));
        bus.sent().await;
        drop(reader);
        serving.await.unwrap();
        assert!(!bus.is_watched());
    }

    /// It takes a packet while two come.
    #[tokio::test(start_paused = true)]
    async fn one_that_is_only_slower_loses_nothing() {
        let bus = Bus::default();
        let (far, _serving) = subscribe(&bus, 64 * 1024).await;
        let mut reader = Reader::new(far);
        let text = format!("\"{}\"", "x".repeat(1024 * 1024));
        let n_pairs = 3 * STOPPED_BYTES / text.len();
        for _ in 0..n_pairs {
            bus.publish("large", || text.clone());
            bus.publish("large", || text.clone());
            tokio::time::advance(Duration::from_millis(100)).await;
            assert!(is(&reader.next().await, "large"));
        }
        for _ in 0..n_pairs {
            assert!(is(&reader.next().await, "large"));
        }
        bus.publish("after", || "1".to_owned());
        assert!(is(&reader.next().await, "after"));
    }

    #[tokio::test]
    async fn one_that_does_not_read_costs_the_others_nothing() {
        let bus = Bus::default();
        let (_stopped, _serving) = subscribe(&bus, 64).await;
        let (far, _) = subscribe(&bus, 64 * 1024).await;
        let mut reader = Reader::new(far);
        let text = format!("\"{}\"", "x".repeat(512 * 1024));
        for number in 0..2 * STOPPED_BYTES / text.len() {
            bus.publish("large", || text.clone());
            bus.publish("n", || number.to_string());
            assert!(is(&reader.next().await, "large"));
            assert_eq!(reader.next().await.packet, number.to_string());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_subscriber_that_left_has_not_read_is_not_waited_for() {
        let bus = Bus::default();
        let (far, serving) = subscribe(&bus, 64).await;
        bus.publish("a", || format!("\"{}\"", "x".repeat(1000)));
        let soon = tokio::time::timeout(Duration::from_secs(1), bus.sent()).await;
        assert!(soon.is_err());
        drop(far);
        serving.await.unwrap();
        bus.sent().await;
    }

    #[tokio::test]
    async fn a_closed_bus_says_its_last_words() {
        let bus = Bus::default();
        let (far, serving) = subscribe(&bus, 16).await;
        bus.publish("last", || format!("\"{}\"", "x".repeat(1000)));
        bus.close();
        assert!(!bus.is_watched());
        let mut reader = Reader::new(far);
        assert!(is(&reader.next().await, "last"));
        serving.await.unwrap();
        assert_eq!(reader.stream.read(&mut [0]).await.unwrap(), 0);
    }
}
