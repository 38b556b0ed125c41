//! Node's IPC channel, seen from the parent: one JSON text per line, descriptors by SCM_RIGHTS.
//!
//! Bounded both ways: a line has a limit, the queue to an app has a limit, and an app that floods
//! its channel is held up by its own reader.

mod message;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

pub(crate) use message::AppMessage;

use crate::sys::send_with_descriptor;

/// The longest line an app may send.
const MAX_LINE: usize = 64 * 1024 * 1024;
/// Messages that may wait for the job's task.
const MAX_INCOMING: usize = 64;
/// Lines that may wait for an app that does not read.
const MAX_OUTGOING: usize = 4096;
/// Bytes that may wait; a single longer line may pass.
const MAX_OUTGOING_BYTES: usize = 16 * 1024 * 1024;

/// One line for the app, with at most one descriptor.
struct Outgoing {
    line: Vec<u8>,
    descriptor: Option<OwnedFd>,
}

/// The sending half of an app's channel; cheap to clone.
#[derive(Clone)]
pub(crate) struct ChannelSender {
    queue: mpsc::Sender<Outgoing>,
    queued_bytes: Arc<AtomicUsize>,
}

/// Why a message could not be handed to the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    #[error("the IPC channel is closed")]
    Closed,
    #[error("the app does not read its messages, too many are waiting")]
    Full,
}

impl ChannelSender {
    /// Queues one JSON text, without its newline.
    ///
    /// # Errors
    /// When the app's end is closed or the app does not read.
    pub(crate) fn send(&self, json: &str, descriptor: Option<OwnedFd>) -> Result<(), SendError> {
        let length = json.len() + 1;
        let queued = self.queued_bytes.load(Ordering::Relaxed);
        if queued > 0 && queued + length > MAX_OUTGOING_BYTES {
            return Err(SendError::Full);
        }
        let mut line = Vec::with_capacity(length);
        line.extend_from_slice(json.as_bytes());
        line.push(b'\n');
        self.queued_bytes.fetch_add(length, Ordering::Relaxed);
        self.queue.try_send(Outgoing { line, descriptor }).map_err(|error| {
            self.queued_bytes.fetch_sub(length, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => SendError::Full,
                mpsc::error::TrySendError::Closed(_) => SendError::Closed,
            }
        })
    }
}

/// Serves our end of a channel: returns the sender and the stream of messages, which ends when the
/// app closes its end.
///
/// # Errors
/// When the socket cannot be registered with the reactor.
pub(crate) fn open(
    socket: std::os::unix::net::UnixStream,
) -> io::Result<(ChannelSender, mpsc::Receiver<AppMessage>)> {
    let stream = Arc::new(UnixStream::from_std(socket)?);
    let (queue, outgoing) = mpsc::channel(MAX_OUTGOING);
    let (deliver, incoming) = mpsc::channel(MAX_INCOMING);
    let queued_bytes = Arc::new(AtomicUsize::new(0));
    tokio::spawn(write(stream.clone(), outgoing, queued_bytes.clone()));
    tokio::spawn(read(stream, deliver));
    Ok((ChannelSender { queue, queued_bytes }, incoming))
}

async fn read(stream: Arc<UnixStream>, deliver: mpsc::Sender<AppMessage>) {
    let mut lines = Lines::default();
    let mut complete = Vec::new();
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        // The buffer lives on the stack and for no longer than this call, so that an idle channel
        // costs nothing.
        match lines.read(&stream, &mut complete) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        }
        for line in complete.drain(..) {
            if let Some(message) = message::parse(line)
                && deliver.send(message).await.is_err()
            {
                return;
            }
        }
    }
}

/// Puts lines together across reads.
#[derive(Default)]
struct Lines {
    pending: Vec<u8>,
    /// An over-long line is dropped up to its end, so that its neighbours survive.
    skipping: bool,
}

impl Lines {
    fn read(&mut self, stream: &UnixStream, complete: &mut Vec<Vec<u8>>) -> io::Result<usize> {
        let mut chunk = [0; 8192];
        let count = stream.try_read(&mut chunk)?;
        let mut rest = &chunk[..count];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.pending);
            if !std::mem::take(&mut self.skipping) {
                complete.push(line);
            }
        }
        if self.pending.len() + rest.len() > MAX_LINE {
            self.skipping = true;
            self.pending = Vec::new();
        } else if !self.skipping {
            self.pending.extend_from_slice(rest);
        }
        Ok(count)
    }
}

async fn write(
    stream: Arc<UnixStream>,
    mut outgoing: mpsc::Receiver<Outgoing>,
    queued_bytes: Arc<AtomicUsize>,
) {
    while let Some(Outgoing { line, mut descriptor }) = outgoing.recv().await {
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            if stream.writable().await.is_err() {
                return;
            }
            let sent = stream.try_io(Interest::WRITABLE, || {
                send_with_descriptor(stream.as_raw_fd(), rest, descriptor.as_ref().map(AsFd::as_fd))
            });
            match sent {
                Ok(count) => {
                    rest = &rest[count..];
                    descriptor = None;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Too many descriptors in flight: later.
                Err(error) if error.raw_os_error() == Some(libc::ETOOMANYREFS) => {
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                Err(_) => return,
            }
        }
        queued_bytes.fetch_sub(line.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};

    use super::*;
    use crate::sys::channel_pair;

    fn pair() -> (ChannelSender, mpsc::Receiver<AppMessage>, std::os::unix::net::UnixStream) {
        let (ours, theirs) = channel_pair().unwrap();
        let (sender, receiver) = open(ours).unwrap();
        (sender, receiver, theirs.into())
    }

    #[tokio::test]
    async fn lines_arrive_whole_whatever_the_chunks() {
        let (_sender, mut receiver, mut app) = pair();
        for chunk in ["\"re", "ady\"\n{\"a\":", "1}\n"] {
            app.write_all(chunk.as_bytes()).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(receiver.recv().await, Some(AppMessage::Ready));
        assert_eq!(receiver.recv().await, Some(AppMessage::Raw("{\"a\":1}".to_owned())));
        drop(app);
        assert_eq!(receiver.recv().await, None);
    }

    #[tokio::test]
    async fn an_app_that_does_not_read_gets_no_endless_queue() {
        let (sender, _receiver, app) = pair();
        let text = format!("\"{}\"", "x".repeat(4096));
        let mut result = Ok(());
        for _ in 0..=MAX_OUTGOING + 1 {
            result = sender.send(&text, None);
        }
        assert_eq!(result, Err(SendError::Full));
        drop(app);
    }

    #[tokio::test]
    async fn what_is_sent_is_one_line() {
        let (sender, _receiver, app) = pair();
        sender.send("{\"b\":2}", None).unwrap();
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(app).read_line(&mut line).unwrap();
            line
        });
        assert_eq!(line.await.unwrap(), "{\"b\":2}\n");
    }

    #[tokio::test]
    async fn large_messages_to_an_app_that_does_not_read_are_refused() {
        let (sender, _receiver, app) = pair();
        let text = format!("\"{}\"", "x".repeat(10 * 1024 * 1024));
        assert_eq!(sender.send(&text, None), Ok(()));
        assert_eq!(sender.send(&text, None), Err(SendError::Full));
        drop(app);
    }
}
