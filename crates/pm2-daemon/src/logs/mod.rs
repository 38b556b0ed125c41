//! The apps' logs: bytes from the pipes of a process to its files, and to the bus when somebody
//! listens. All of it happens on one thread of its own, so that a slow disk holds up no command.

mod archive;
mod assemble;
mod file;
mod freeze;
mod own;
mod pump;
mod registry;
mod rotation;
mod settings;
mod timed;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

pub(crate) use assemble::LineFormat;
pub(crate) use file::{Fault, LogFile, LogFileError};
pub(crate) use freeze::FileTable;
pub(crate) use own::OwnLog;
pub(crate) use pump::Tap;
pub(crate) use settings::{OwnSettings, SETTINGS_KEY};

use crate::bus::Bus;
use crate::journal::Journal;
use crate::sys::leave_signals_to_others;
use assemble::{Begun, Pending};
use pump::{Destination, Pump, Request, Surroundings, Wish};
use registry::Shared;

/// The thread that moves log bytes; cheap to clone. It ends with the daemon.
#[derive(Clone)]
pub(crate) struct LogWriter {
    runtime: Handle,
    surroundings: Surroundings,
    pub(crate) shared: Arc<Shared>,
    pumps: Arc<Mutex<Pumps>>,
}

/// All that run, by their numbers. Some outlive the process that they were made for: a child of it may go on writing.
#[derive(Default)]
struct Pumps {
    running: BTreeMap<u64, mpsc::UnboundedSender<Request>>,
    next: u64,
}

/// The files of one process, opened.
#[derive(Default)]
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
        let reopened: Vec<_> = self.each().map(|file| file.reopen()).collect();
        reopened.into_iter().collect()
    }

    /// What is wrong, each with the path.
    pub(crate) fn faults(&self) -> Vec<(PathBuf, Fault)> {
        self.each().filter_map(|file| Some((file.path().to_owned(), file.fault()?))).collect()
    }

    /// Each file once.
    fn each(&self) -> impl Iterator<Item = &Arc<LogFile>> {
        let of_both = |file: &&Arc<LogFile>| self.out.iter().any(|other| Arc::ptr_eq(other, file));
        self.out.iter().chain(self.error.iter().filter(move |file| !of_both(file)))
    }
}

/// The running transport of one process's output.
pub(crate) struct Output {
    all: Arc<Mutex<Pumps>>,
    pumps: [u64; 2],
}

/// What the logs need to know of the daemon.
pub(crate) struct LogOptions {
    /// Where the settings of rotation are.
    pub(crate) settings: PathBuf,
    /// The daemon's own log.
    pub(crate) own_log: Option<PathBuf>,
    /// Permissions of new files.
    pub(crate) mode: u32,
    /// Until when rotation by time has been seen to, epoch ms; `None`: now.
    pub(crate) since: Option<i64>,
}

impl LogWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread or no poll descriptor.
    pub(crate) fn start(options: LogOptions, journal: Journal, bus: Bus) -> io::Result<LogWriter> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let shared = Shared::new(options.settings, options.mode, journal.clone());
        if let Some(path) = options.own_log {
            journal.rotate(OwnLog::new(path, Arc::downgrade(&shared)));
        }
        // Nobody is there before everything that was left is.
        shared.pause(options.since.is_some());
        let timed = timed::run(shared.clone(), options.since, journal.clone(), bus);
        std::thread::Builder::new().name("logs".to_owned()).stack_size(256 * 1024).spawn(move || {
            leave_signals_to_others();
            runtime.block_on(timed);
        })?;
        let surroundings = Surroundings { journal, begun: Begun::default(), n_large: Arc::default() };
        Ok(LogWriter { runtime: handle, surroundings, shared, pumps: Arc::default() })
    }

    /// Opens a file of an app. The folder has to be there.
    ///
    /// # Errors
    /// With the words Node uses for the same failure.
    pub(crate) fn open(&self, path: &Path, own: OwnSettings) -> Result<Arc<LogFile>, LogFileError> {
        self.shared.open(path, own)
    }

    /// There are other processes than before.
    pub(crate) fn list_has_changed(&self) {
        self.shared.settings.changed.notify_one();
    }

    /// As [`LogWriter::open`]; a file that cannot be opened is tried again when there is something to write.
    pub(crate) fn open_sometime(&self, path: &Path, own: OwnSettings) -> Arc<LogFile> {
        self.shared.open(path, own.clone()).unwrap_or_else(|error| {
            self.surroundings.journal.error(&error);
            self.shared.missing(path, &error, own)
        })
    }

    /// A writer on a thread that is there already.
    #[cfg(test)]
    pub(crate) fn on(runtime: Handle, journal: Journal) -> LogWriter {
        let shared = Shared::new(PathBuf::from("/dev/null"), 0o600, journal.clone());
        let surroundings = Surroundings { journal, begun: Begun::default(), n_large: Arc::default() };
        LogWriter { runtime, surroundings, shared, pumps: Arc::default() }
    }

    /// Moves what arrives in the two pipes into the files until both pipes have ended.
    pub(crate) fn attach(&self, pipes: [OwnedFd; 2], files: &LogFiles, taps: [Tap; 2]) -> Output {
        let [out, error] = pipes;
        let [out_tap, error_tap] = taps;
        let pumps =
            [(out, &files.out, out_tap), (error, &files.error, error_tap)].map(|(pipe, files, tap)| {
                let files = files.iter().cloned().map(Destination::from).collect();
                Pump { pipe, files, tap, carry: Vec::new(), line: Pending::default() }
            });
        let pumps = pumps.map(|pump| {
            let number = {
                let mut pumps = self.pumps.lock();
                pumps.next += 1;
                pumps.next
            };
            self.run(number, Box::new(pump));
            number
        });
        self.output(pumps)
    }

    fn run(&self, number: u64, mut pump: Box<Pump>) {
        let (request, mut requests) = mpsc::unbounded_channel();
        self.pumps.lock().running.insert(number, request.clone());
        let LogWriter { surroundings, pumps, .. } = self.clone();
        self.runtime.spawn(async move {
            loop {
                let stopped = pump::run(pump, &mut requests, &surroundings).await;
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

    /// Writes to other files, from the next line on.
    pub(crate) fn write_to(&self, files: &LogFiles) {
        let files = [&files.out, &files.error]
            .map(|files| files.iter().cloned().map(file::Attached::new).collect::<Vec<_>>());
        let pumps = self.all.lock();
        for (number, files) in self.pumps.iter().zip(files) {
            if let Some(pump) = pumps.running.get(number) {
                // One that is gone writes nothing any more.
                drop(pump.send(Box::new(Wish::Files(files))));
            }
        }
    }
}
