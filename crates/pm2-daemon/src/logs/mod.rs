//! The apps' logs: bytes from the pipes of a process to its files, and to the bus when somebody
//! listens. All of it happens on one thread of its own, so that a slow disk holds up no command.

mod assemble;
mod file;
mod freeze;
mod pump;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

pub(crate) use assemble::LineFormat;
pub(crate) use file::{LogFile, LogFileError};
pub(crate) use freeze::FileTable;
pub(crate) use pump::Tap;

use crate::journal::Journal;
use crate::sys::leave_signals_to_others;
use pump::{Pump, Request, Wish};

/// The thread that moves log bytes; cheap to clone. It ends with the daemon.
#[derive(Clone)]
pub(crate) struct LogWriter {
    runtime: Handle,
    journal: Journal,
    pumps: Arc<Mutex<Pumps>>,
}

/// All that run, by their numbers. Some outlive the process that they were made for: a child of it may go on writing.
#[derive(Default)]
struct Pumps {
    running: BTreeMap<u64, mpsc::UnboundedSender<Request>>,
    next: u64,
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
    all: Arc<Mutex<Pumps>>,
    pumps: [u64; 2],
}

impl LogWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread or no poll descriptor.
    pub(crate) fn start(journal: Journal) -> io::Result<LogWriter> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new().name("logs".to_owned()).stack_size(256 * 1024).spawn(move || {
            leave_signals_to_others();
            runtime.block_on(std::future::pending::<()>());
        })?;
        Ok(LogWriter { runtime: handle, journal, pumps: Arc::default() })
    }

    /// A writer on a thread that is there already.
    #[cfg(test)]
    pub(crate) fn on(runtime: Handle, journal: Journal) -> LogWriter {
        LogWriter { runtime, journal, pumps: Arc::default() }
    }

    /// Moves what arrives in the two pipes into the files until both pipes have ended.
    pub(crate) fn attach(&self, pipes: [OwnedFd; 2], files: &LogFiles, taps: [Tap; 2]) -> Output {
        let [out, error] = pipes;
        let [out_tap, error_tap] = taps;
        let pumps =
            [(out, &files.out, out_tap), (error, &files.error, error_tap)].map(|(pipe, files, tap)| {
                let number = {
                    let mut pumps = self.pumps.lock();
                    pumps.next += 1;
                    pumps.next
                };
                let pump = Pump { pipe, files: files.clone(), tap, carry: Vec::new(), line: Vec::new() };
                self.run(number, Box::new(pump));
                number
            });
        self.output(pumps)
    }

    fn run(&self, number: u64, mut pump: Box<Pump>) {
        let (request, mut requests) = mpsc::unbounded_channel();
        self.pumps.lock().running.insert(number, request.clone());
        let LogWriter { journal, pumps, .. } = self.clone();
        self.runtime.spawn(async move {
            loop {
                let stopped = pump::run(pump, &mut requests, &journal).await;
                // Before anybody else can run it again.
                pumps.lock().running.remove(&number);
                let Some((frozen, to)) = stopped else { return };
                // Whoever asked may have lost patience.
                let Err(frozen) = to.send(frozen) else { return };
                pump = frozen;
                pumps.lock().running.insert(number, request.clone());
            }
        });
    }
}

/// How long an ending waits for the output of its process to be written.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

impl Output {
    /// Waits until everything that is in the pipes now has been written, but not for ever: a disk that
    /// hangs must not keep apps from being stopped. Gives whether it was.
    pub(crate) async fn drain(&self) -> bool {
        let mut waiting = Vec::new();
        for number in self.pumps {
            let (done, wait) = oneshot::channel();
            // A pump that is gone has read its pipe to the end.
            let pump = self.all.lock().running.get(&number).cloned();
            if let Some(pump) = pump
                && pump.send(Box::new(Wish::Drain(done))).is_ok()
            {
                waiting.push((pump, wait));
            }
        }
        let all = async {
            for (pump, wait) in waiting {
                tokio::select! {
                    _ = wait => {}
                    // A request that is sent while the pump ends, on its own thread, may be left in the
                    // channel for as long as there is a sender.
                    () = pump.closed() => {}
                }
            }
        };
        tokio::time::timeout(DRAIN_LIMIT, all).await.is_ok()
    }
}
