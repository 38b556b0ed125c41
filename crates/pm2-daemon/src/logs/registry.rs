//! All log files that there are: those that are open, each once, whoever writes to it, and those of processes that do
//! not run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use super::archive::Archive;
use super::file::{LogFile, LogFileError};
use super::settings::{OwnSettings, SettingsFile};
use crate::handover::{Descriptors, LogFileState};
use crate::journal::Journal;

/// What all log files have in common.
pub(crate) struct Shared {
    pub(crate) settings: SettingsFile,
    pub(super) archive: Archive,
    /// Permissions of new files.
    pub(super) mode: u32,
    known: Arc<KnownLogs>,
    /// It looks at every process: nothing that one of them might wait for may be held meanwhile.
    listed: OnceLock<Listed>,
    /// Nothing is rotated by time: who writes to what is being written down, or read.
    is_paused: AtomicBool,
}

/// The logs of all processes that are listed, with what these say of their rotation.
type Listed = Box<dyn Fn() -> Vec<(PathBuf, OwnSettings)> + Send + Sync>;

/// All logs, by their paths.
#[derive(Default)]
pub(super) struct KnownLogs {
    open: Mutex<BTreeMap<PathBuf, Weak<LogFile>>>,
    /// Those of processes, as they were when somebody looked.
    listed: Mutex<Vec<PathBuf>>,
}

impl KnownLogs {
    /// Those that are open.
    fn open(&self) -> Vec<Arc<LogFile>> {
        self.open.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// The paths of all that are meant.
    pub(super) fn paths(&self, is_meant: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let open = self.open.lock();
        let open = open.iter().filter(|(_, file)| file.strong_count() > 0).map(|(path, _)| path);
        let listed = self.listed.lock();
        open.chain(&*listed).filter(|path| is_meant(path)).cloned().collect()
    }
}

impl Shared {
    pub(super) fn new(settings: PathBuf, mode: u32, journal: Journal) -> Arc<Shared> {
        let known = Arc::<KnownLogs>::default();
        Arc::new(Shared {
            settings: SettingsFile::new(settings, journal.clone()),
            archive: Archive::new(journal, known.clone()),
            mode,
            known,
            listed: OnceLock::new(),
            is_paused: AtomicBool::new(false),
        })
    }

    /// Tells whose logs there are. There is one list for the life of a daemon.
    pub(crate) fn know_list(&self, listed: impl Fn() -> Vec<(PathBuf, OwnSettings)> + Send + Sync + 'static) {
        drop(self.listed.set(Box::new(listed)));
    }

    /// Holds up what is done at certain times, or goes on with it.
    pub(super) fn pause(&self, pauses: bool) {
        self.is_paused.store(pauses, Ordering::SeqCst);
        if !pauses {
            self.settings.changed.notify_one();
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::SeqCst)
    }

    /// The file of that path, opened anew. What the app says of its rotation holds from now on.
    ///
    /// # Errors
    /// As [`LogFile::open`].
    pub(super) fn open(
        self: &Arc<Self>,
        path: &Path,
        own: OwnSettings,
    ) -> Result<Arc<LogFile>, LogFileError> {
        self.settings.look();
        let file = match self.opened(path) {
            Some(file) => {
                file.reopen()?;
                file.set_own(own);
                file
            }
            None => {
                let file = Arc::new(LogFile::open(path, own, self)?);
                self.add(file)
            }
        };
        self.settings.changed.notify_one();
        Ok(file)
    }

    /// The file of that path, although it cannot be opened for now.
    pub(super) fn missing(
        self: &Arc<Self>,
        path: &Path,
        error: &LogFileError,
        own: OwnSettings,
    ) -> Arc<LogFile> {
        self.opened(path).unwrap_or_else(|| self.add(Arc::new(LogFile::missing(path, error, own, self))))
    }

    /// The file that was frozen.
    ///
    /// # Errors
    /// As [`LogFile::open`], where it has to be opened.
    pub(super) fn thaw(
        self: &Arc<Self>,
        state: LogFileState,
        descriptors: &mut Descriptors,
    ) -> Result<Arc<LogFile>, LogFileError> {
        Ok(self.add(Arc::new(LogFile::thaw(state, descriptors, self)?)))
    }

    /// A file that nobody may have open, for a moment; `None`: it is not there, or cannot be opened.
    pub(super) fn borrow(self: &Arc<Self>, path: &Path, own: &OwnSettings) -> Option<Arc<LogFile>> {
        self.opened(path).or_else(|| {
            std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
            Some(self.add(Arc::new(LogFile::open(path, own.clone(), self).ok()?)))
        })
    }

    /// All logs with what is said of their rotation.
    pub(super) fn logs(&self) -> BTreeMap<PathBuf, OwnSettings> {
        let listed = self.listed.get().map(|listed| listed()).unwrap_or_default();
        *self.known.listed.lock() = listed.iter().map(|(path, _)| path.clone()).collect();
        // What is open knows best.
        let open = self.known.open();
        let open = open.iter().map(|file| (file.path().to_owned(), file.own()));
        listed.into_iter().chain(open).collect()
    }

    fn opened(&self, path: &Path) -> Option<Arc<LogFile>> {
        let file = self.known.open.lock().get(path)?.upgrade()?;
        // Another path of it may have become that of another file.
        (file.path() == path || file.is_at(path)).then_some(file)
    }

    /// Adds a file, unless somebody else was faster or has it by another path, through a link: then that one is it. Two
    /// would tear each other's lines, and one would write on where the other one has put the file away.
    fn add(&self, file: Arc<LogFile>) -> Arc<LogFile> {
        let mut open = self.known.open.lock();
        open.retain(|_, file| file.strong_count() > 0);
        let same_path =
            open.get(file.path()).and_then(Weak::upgrade).filter(|other| other.path() == file.path());
        let other =
            same_path.or_else(|| open.values().filter_map(Weak::upgrade).find(|other| file.is_same(other)));
        let path = file.path().to_owned();
        let known = other.unwrap_or(file);
        open.insert(path, Arc::downgrade(&known));
        known
    }
}
