//! The bounded queue of lines for an app.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::allowance::Allowance;

/// Lines that may wait for an app that does not read.
pub(super) const MAX_OUTGOING: usize = 4096;
/// Bytes that may wait for one that reads.
const MAX_OUTGOING_BYTES: usize = 64 * 1024 * 1024;

/// The sending half of an app's channel; cheap to clone.
#[derive(Clone)]
pub(crate) struct ChannelSender {
    queue: mpsc::Sender<Outgoing>,
    allowance: Arc<Mutex<Allowance>>,
    /// Tells a writer that does not wait for the queue itself.
    wake: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// Why a message could not be handed to the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    #[error("the app has closed its IPC channel")]
    Closed,
    #[error("the app does not read its messages, too many are waiting")]
    Full,
}

/// One line on its way to an app, with its end.
pub(crate) struct Outgoing {
    pub(crate) line: Vec<u8>,
    pub(crate) written: Written,
}

/// Tells whoever sent a line that it has been written; dropped before, that it never will be.
pub(crate) struct Written(Option<oneshot::Sender<Result<String, String>>>);

impl Written {
    /// Nobody waits for it.
    pub(crate) fn unasked() -> Written {
        Written(None)
    }

    /// The line is in the channel, or will be by all means.
    pub(crate) fn done(mut self) {
        self.answer(Ok(String::new()));
    }

    fn answer(&mut self, answer: Result<String, String>) {
        if let Some(to) = self.0.take() {
            // Whoever asked may have gone.
            drop(to.send(answer));
        }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        self.answer(Err(SendError::Closed.to_string()));
    }
}

/// The writer's half.
pub(crate) struct Outbox {
    queue: mpsc::Receiver<Outgoing>,
    allowance: Arc<Mutex<Allowance>>,
}

/// Both halves. `wake` is called after every line that was queued; so many bytes have left the queue and not been sent.
pub(crate) fn outbox(wake: Option<Arc<dyn Fn() + Send + Sync>>, unsent: usize) -> (ChannelSender, Outbox) {
    let (sender, queue) = mpsc::channel(MAX_OUTGOING);
    let allowance = Arc::new(Mutex::new(Allowance::new(MAX_OUTGOING_BYTES, unsent)));
    (ChannelSender { queue: sender, allowance: allowance.clone(), wake }, Outbox { queue, allowance })
}

impl ChannelSender {
    /// Queues one JSON text, without its newline.
    ///
    /// # Errors
    /// When the app's end is closed or the app does not read.
    pub(crate) fn send(&self, json: &str) -> Result<(), SendError> {
        self.queue(json, Written::unasked()).map_err(|(error, _)| error)
    }

    /// The same; the answer comes when the line has been written to the channel, or cannot be.
    pub(crate) fn send_for(&self, json: &str, written: oneshot::Sender<Result<String, String>>) {
        if let Err((error, mut written)) = self.queue(json, Written(Some(written))) {
            written.answer(Err(error.to_string()));
        }
    }

    fn queue(&self, json: &str, written: Written) -> Result<(), (SendError, Written)> {
        let length = json.len() + 1;
        if !self.allowance.lock().add(length) {
            return Err((SendError::Full, written));
        }
        let mut line = Vec::with_capacity(length);
        line.extend_from_slice(json.as_bytes());
        line.push(b'\n');
        self.queue.try_send(Outgoing { line, written }).map_err(|error| {
            self.allowance.lock().withdrawn(length);
            match error {
                mpsc::error::TrySendError::Full(unsent) => (SendError::Full, unsent.written),
                mpsc::error::TrySendError::Closed(unsent) => (SendError::Closed, unsent.written),
            }
        })?;
        if let Some(wake) = &self.wake {
            wake();
        }
        Ok(())
    }
}

impl Outbox {
    /// The next line; `None` when all senders are gone.
    pub(super) async fn next(&mut self) -> Option<Outgoing> {
        self.queue.recv().await
    }

    /// The next line if there is one.
    pub(crate) fn try_next(&mut self) -> Option<Outgoing> {
        self.queue.try_recv().ok()
    }

    /// Takes nothing any more and drops what waits.
    pub(super) fn close(&mut self) {
        self.queue.close();
        while self.queue.try_recv().is_ok() {}
    }

    /// So many bytes have left.
    pub(crate) fn sent(&self, length: usize) {
        self.allowance.lock().taken(length);
    }
}
