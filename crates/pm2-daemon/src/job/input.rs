//! An app's standard input: texts that are written whole, in order, as fast as the app reads.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

/// Bytes that may wait for an app that does not read; a single longer text may pass.
const MAX_QUEUED_BYTES: usize = 1024 * 1024;

/// The writing end of the pipe. Its task is started by the first text.
pub(crate) struct Input {
    pipe: Option<OwnedFd>,
    queue: Option<mpsc::UnboundedSender<Text>>,
    queued_bytes: Arc<AtomicUsize>,
}

struct Text {
    text: String,
    written: oneshot::Sender<Result<String, String>>,
}

impl Input {
    pub(crate) fn new(pipe: OwnedFd) -> Input {
        Input { pipe: Some(pipe), queue: None, queued_bytes: Arc::default() }
    }

    /// Queues a text whole or not at all; the answer comes when it is in the pipe.
    pub(crate) fn write(&mut self, text: String, written: oneshot::Sender<Result<String, String>>) {
        let queued = self.queued_bytes.load(Ordering::Relaxed);
        let refusal = if queued > 0 && queued + text.len() > MAX_QUEUED_BYTES {
            Some("the app does not read its standard input".to_owned())
        } else {
            self.open().err().map(|error| error.to_string())
        };
        // Whoever asked may have gone.
        let Some(queue) = self.queue.as_ref().filter(|_| refusal.is_none()) else {
            drop(written.send(Err(refusal.unwrap_or_else(closed))));
            return;
        };
        self.queued_bytes.fetch_add(text.len(), Ordering::Relaxed);
        if let Err(mpsc::error::SendError(Text { written, .. })) = queue.send(Text { text, written }) {
            drop(written.send(Err(closed())));
        }
    }

    fn open(&mut self) -> std::io::Result<()> {
        if let Some(pipe) = self.pipe.take() {
            let pipe = pipe::Sender::from_owned_fd(pipe)?;
            let (queue, texts) = mpsc::unbounded_channel();
            tokio::spawn(run(pipe, texts, self.queued_bytes.clone()));
            self.queue = Some(queue);
        }
        Ok(())
    }
}

fn closed() -> String {
    "the app has closed its standard input".to_owned()
}

async fn run(
    mut pipe: pipe::Sender,
    mut texts: mpsc::UnboundedReceiver<Text>,
    queued_bytes: Arc<AtomicUsize>,
) {
    while let Some(Text { text, written }) = texts.recv().await {
        let result = pipe.write_all(text.as_bytes()).await;
        queued_bytes.fetch_sub(text.len(), Ordering::Relaxed);
        let failed = result.is_err();
        drop(written.send(result.map(|()| String::new()).map_err(|_| closed())));
        if failed {
            return;
        }
    }
}
