//! The apps' logs: bytes from the pipes of a process to its files, and to the bus when somebody
//! listens. All of it happens on one thread of its own, so that a slow disk holds up no command.

mod assemble;
mod file;
mod pump;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

pub(crate) use assemble::LineFormat;
pub(crate) use file::{LogFile, LogFileError};
pub(crate) use pump::Tap;

use crate::journal::Journal;

/// The thread that moves log bytes; cheap to clone. It ends with the daemon.
#[derive(Clone)]
pub(crate) struct LogWriter {
    runtime: Handle,
    journal: Journal,
}

/// The files of one process, opened.
pub(crate) struct LogFiles {
    pub(crate) out: Vec<Arc<LogFile>>,
    pub(crate) error: Vec<Arc<LogFile>>,
}

impl LogFiles {
    /// Makes all files write by their paths again, after they were renamed or removed.
    ///
    /// # Errors
    /// The first file that could not be opened; that one goes on with its old descriptor.
    pub(crate) fn reopen(&self) -> Result<(), LogFileError> {
        self.out.iter().chain(&self.error).try_for_each(|file| file.reopen())
    }
}

/// The running transport of one process's output.
pub(crate) struct Output {
    drains: [mpsc::UnboundedSender<oneshot::Sender<()>>; 2],
}

impl LogWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread or no poll descriptor.
    pub(crate) fn start(journal: Journal) -> io::Result<LogWriter> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("logs".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(LogWriter { runtime: handle, journal })
    }

    /// Moves what arrives in the two pipes into the files until both pipes have ended.
    pub(crate) fn attach(&self, pipes: [OwnedFd; 2], files: &LogFiles, taps: [Tap; 2]) -> Output {
        let [out, error] = pipes;
        let [out_tap, error_tap] = taps;
        let drains =
            [(out, &files.out, out_tap), (error, &files.error, error_tap)].map(|(pipe, files, tap)| {
                let (drain, requests) = mpsc::unbounded_channel();
                self.runtime.spawn(pump::run(pipe, files.clone(), tap, requests, self.journal.clone()));
                drain
            });
        Output { drains }
    }
}

/// How long an ending waits for the output of its process to be written.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

impl Output {
    /// Waits until everything that is in the pipes now has been written, but not for ever: a disk that
    /// hangs must not keep apps from being stopped. Gives whether it was.
    pub(crate) async fn drain(&self) -> bool {
        let mut waiting = Vec::new();
        for drain in &self.drains {
            let (done, wait) = oneshot::channel();
            // A pump that is gone has read its pipe to the end.
            if drain.send(done).is_ok() {
                waiting.push((drain, wait));
            }
        }
        let all = async {
            for (drain, wait) in waiting {
                tokio::select! {
                    _ = wait => {}
                    // A request that is sent while the pump ends, on its own thread, may be left in the
                    // channel for as long as there is a sender.
                    () = drain.closed() => {}
                }
            }
        };
        tokio::time::timeout(DRAIN_LIMIT, all).await.is_ok()
    }
}
