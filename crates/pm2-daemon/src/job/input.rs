//! An app's standard input: texts that are written whole, in order, as fast as the app reads.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::handover::{Bytes, Descriptors, InputState};

/// Bytes that may wait for an app that does not read; a single longer text may pass.
const MAX_QUEUED_BYTES: usize = 1024 * 1024;

/// The writing end of the pipe.
pub(crate) struct Input {
    end: End,
    queued_bytes: Arc<AtomicUsize>,
}

enum End {
    /// Nothing was written yet.
    Unused(OwnedFd),
    /// Written by a task, which outlives this until all is written.
    Used {
        queue: mpsc::UnboundedSender<Text>,
        stop: oneshot::Sender<()>,
        task: JoinHandle<Option<Rest>>,
    },
    Closed,
}

struct Text {
    text: Vec<u8>,
    written: oneshot::Sender<Result<String, String>>,
}

/// What a task leaves that was stopped.
struct Rest {
    pipe: OwnedFd,
    unwritten: Vec<u8>,
}

impl Input {
    pub(crate) fn new(pipe: OwnedFd) -> Input {
        Input { end: End::Unused(pipe), queued_bytes: Arc::default() }
    }

    /// Queues a text whole or not at all; the answer comes when it is in the pipe.
    pub(crate) fn write(&mut self, text: String, written: oneshot::Sender<Result<String, String>>) {
        let queued = self.queued_bytes.load(Ordering::Relaxed);
        if queued > 0 && queued + text.len() > MAX_QUEUED_BYTES {
            // Whoever asked may have gone.
            return drop(written.send(Err("the app does not read its standard input".to_owned())));
        }
        if let Err(error) = self.open() {
            return drop(written.send(Err(error.to_string())));
        }
        self.queue(Text { text: text.into(), written });
    }

    fn queue(&self, text: Text) {
        let End::Used { queue, .. } = &self.end else { return drop(text.written.send(Err(closed()))) };
        self.queued_bytes.fetch_add(text.text.len(), Ordering::Relaxed);
        if let Err(mpsc::error::SendError(Text { written, .. })) = queue.send(text) {
            drop(written.send(Err(closed())));
        }
    }

    fn open(&mut self) -> io::Result<()> {
        self.end = match std::mem::replace(&mut self.end, End::Closed) {
            End::Unused(pipe) => {
                let pipe = pipe::Sender::from_owned_fd(pipe)?;
                let (queue, texts) = mpsc::unbounded_channel();
                let (stop, stopped) = oneshot::channel();
                let writer = Writer { pipe, texts, queued_bytes: self.queued_bytes.clone(), current: None };
                End::Used { queue, stop, task: tokio::spawn(writer.run(stopped)) }
            }
            end => end,
        };
        Ok(())
    }

    /// Interrupts the writing. Texts that wait count as written. `None` when the app has closed its input.
    pub(crate) async fn freeze(self, descriptors: &mut Descriptors) -> Option<InputState> {
        let Rest { pipe, unwritten } = match self.end {
            End::Closed => return None,
            End::Unused(pipe) => Rest { pipe, unwritten: Vec::new() },
            End::Used { stop, task, .. } => {
                // A task that has ended has found the pipe closed.
                let _ = stop.send(());
                task.await.ok()??
            }
        };
        Some(InputState { pipe: descriptors.keep(pipe), unwritten: Bytes(unwritten) })
    }

    /// Goes on where a freeze has interrupted.
    pub(crate) fn thaw(state: Option<InputState>, descriptors: &mut Descriptors) -> Input {
        let pipe = state.as_ref().and_then(|state| descriptors.take(state.pipe).ok());
        let mut input = Input { end: pipe.map_or(End::Closed, End::Unused), queued_bytes: Arc::default() };
        let unwritten = state.map(|state| state.unwritten.0).unwrap_or_default();
        if !unwritten.is_empty() && input.open().is_ok() {
            let (written, _) = oneshot::channel();
            input.queue(Text { text: unwritten, written });
        }
        input
    }
}

fn closed() -> String {
    "the app has closed its standard input".to_owned()
}

struct Writer {
    pipe: pipe::Sender,
    texts: mpsc::UnboundedReceiver<Text>,
    queued_bytes: Arc<AtomicUsize>,
    /// What is being written, and how much of it has been. Whole between any two waits.
    current: Option<(Text, usize)>,
}

impl Writer {
    /// Writes until everything is written and nothing can come any more, or the app has closed its end.
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) -> Option<Rest> {
        tokio::select! {
            Ok(()) = &mut stopped => self.into_rest(),
            () = self.write() => None,
        }
    }

    async fn write(&mut self) {
        loop {
            if let Some((text, n_written)) = &mut self.current {
                let result = loop {
                    if *n_written == text.text.len() {
                        break Ok(String::new());
                    }
                    match self.pipe.write(&text.text[*n_written..]).await {
                        Ok(count) => *n_written += count,
                        Err(_) => break Err(closed()),
                    }
                };
                self.queued_bytes.fetch_sub(text.text.len(), Ordering::Relaxed);
                let failed = result.is_err();
                if let Some((text, _)) = self.current.take() {
                    drop(text.written.send(result));
                }
                if failed {
                    return;
                }
            }
            let Some(text) = self.texts.recv().await else { return };
            self.current = Some((text, 0));
        }
    }

    fn into_rest(mut self) -> Option<Rest> {
        let mut unwritten = Vec::new();
        let waiting = std::iter::from_fn(|| self.texts.try_recv().ok().map(|text| (text, 0)));
        for (text, n_written) in self.current.take().into_iter().chain(waiting) {
            unwritten.extend_from_slice(&text.text[n_written..]);
            drop(text.written.send(Ok(String::new())));
        }
        let pipe = self.pipe.into_nonblocking_fd().ok()?;
        Some(Rest { pipe, unwritten })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::sys::output_pipe;

    fn write(input: &mut Input, text: &str) -> oneshot::Receiver<Result<String, String>> {
        let (written, answer) = oneshot::channel();
        input.write(text.to_owned(), written);
        answer
    }

    async fn frozen_and_thawed(input: Input) -> Input {
        let mut descriptors = Descriptors::default();
        let state = input.freeze(&mut descriptors).await;
        Input::thaw(state, &mut descriptors)
    }

    #[tokio::test]
    async fn interrupted_texts_arrive_whole_and_in_order() {
        let (app, pipe) = output_pipe().unwrap();
        let mut input = frozen_and_thawed(Input::new(pipe)).await;
        // More than a pipe holds.
        let long = format!("{}\n", "x".repeat(200_000));
        let answers = [write(&mut input, &long), write(&mut input, "second\n")];
        tokio::task::yield_now().await;
        let mut input = frozen_and_thawed(input).await;
        for answer in answers {
            assert_eq!(answer.await.unwrap(), Ok(String::new()));
        }
        let last = write(&mut input, "third\n");
        let expected = format!("{long}second\nthird\n");
        let length = expected.len();
        let reading = tokio::task::spawn_blocking(move || {
            let mut text = vec![0; length];
            std::fs::File::from(app).read_exact(&mut text).unwrap();
            text
        });
        assert_eq!(last.await.unwrap(), Ok(String::new()));
        assert_eq!(reading.await.unwrap(), expected.as_bytes());
    }

    #[tokio::test]
    async fn a_closed_input_stays_closed() {
        let (app, pipe) = output_pipe().unwrap();
        drop(app);
        let mut input = Input::new(pipe);
        assert_eq!(write(&mut input, "1").await.unwrap(), Err(closed()));
        let mut input = frozen_and_thawed(input).await;
        assert_eq!(write(&mut input, "2").await.unwrap(), Err(closed()));
    }
}
