//! The bounded queue of lines for an app.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

/// Lines that may wait for an app that does not read.
pub(super) const MAX_OUTGOING: usize = 4096;
/// Bytes that may wait; a single longer line may pass.
const MAX_OUTGOING_BYTES: usize = 16 * 1024 * 1024;

/// The sending half of an app's channel; cheap to clone.
#[derive(Clone)]
pub(crate) struct ChannelSender {
    queue: mpsc::Sender<Vec<u8>>,
    queued_bytes: Arc<AtomicUsize>,
    /// Tells a writer that does not wait for the queue itself.
    wake: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// Why a message could not be handed to the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    #[error("the IPC channel is closed")]
    Closed,
    #[error("the app does not read its messages, too many are waiting")]
    Full,
}

/// The writer's half.
pub(crate) struct Outbox {
    queue: mpsc::Receiver<Vec<u8>>,
    queued_bytes: Arc<AtomicUsize>,
}

/// Both halves. `wake` is called after every line that was queued; so many bytes have left the queue and not been sent.
pub(crate) fn outbox(wake: Option<Arc<dyn Fn() + Send + Sync>>, unsent: usize) -> (ChannelSender, Outbox) {
    let (sender, queue) = mpsc::channel(MAX_OUTGOING);
    let queued_bytes = Arc::new(AtomicUsize::new(unsent));
    (
        ChannelSender { queue: sender, queued_bytes: queued_bytes.clone(), wake },
        Outbox { queue, queued_bytes },
    )
}

impl ChannelSender {
    /// Queues one JSON text, without its newline.
    ///
    /// # Errors
    /// When the app's end is closed or the app does not read.
    pub(crate) fn send(&self, json: &str) -> Result<(), SendError> {
        let length = json.len() + 1;
        let queued = self.queued_bytes.load(Ordering::Relaxed);
        if queued > 0 && queued + length > MAX_OUTGOING_BYTES {
            return Err(SendError::Full);
        }
        let mut line = Vec::with_capacity(length);
        line.extend_from_slice(json.as_bytes());
        line.push(b'\n');
        self.queued_bytes.fetch_add(length, Ordering::Relaxed);
        self.queue.try_send(line).map_err(|error| {
            self.queued_bytes.fetch_sub(length, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => SendError::Full,
                mpsc::error::TrySendError::Closed(_) => SendError::Closed,
            }
        })?;
        if let Some(wake) = &self.wake {
            wake();
        }
        Ok(())
    }
}

impl Outbox {
    /// The next line, with its end; `None` when all senders are gone.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        self.queue.recv().await
    }

    /// The next line if there is one.
    pub(crate) fn try_next(&mut self) -> Option<Vec<u8>> {
        self.queue.try_recv().ok()
    }

    /// So many bytes have left.
    pub(crate) fn sent(&self, length: usize) {
        self.queued_bytes.fetch_sub(length, Ordering::Relaxed);
    }
}
