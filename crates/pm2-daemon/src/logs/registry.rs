//! All log files that are open, each once, whoever writes to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

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
    open: Arc<OpenFiles>,
}

/// By their paths.
#[derive(Default)]
pub(super) struct OpenFiles(Mutex<BTreeMap<PathBuf, Weak<LogFile>>>);

impl OpenFiles {
    pub(super) fn contains(&self, path: &Path) -> bool {
        self.0.lock().get(path).is_some_and(|file| file.strong_count() > 0)
    }
}

impl Shared {
    pub(super) fn new(settings: PathBuf, mode: u32, journal: Journal) -> Arc<Shared> {
        let open = Arc::<OpenFiles>::default();
        Arc::new(Shared {
            settings: SettingsFile::new(settings, journal.clone()),
            archive: Archive::new(journal, open.clone()),
            mode,
            open,
        })
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
        let file = match self.known(path) {
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
        self.known(path).unwrap_or_else(|| self.add(Arc::new(LogFile::missing(path, error, own, self))))
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

    /// All that are open.
    pub(super) fn files(&self) -> Vec<Arc<LogFile>> {
        self.open.0.lock().values().filter_map(Weak::upgrade).collect()
    }

    fn known(&self, path: &Path) -> Option<Arc<LogFile>> {
        self.open.0.lock().get(path)?.upgrade()
    }

    /// Adds a file, unless somebody else was faster: then that one is it.
    fn add(&self, file: Arc<LogFile>) -> Arc<LogFile> {
        let mut open = self.open.0.lock();
        open.retain(|_, file| file.strong_count() > 0);
        if let Some(other) = open.get(file.path()).and_then(Weak::upgrade) {
            return other;
        }
        open.insert(file.path().to_owned(), Arc::downgrade(&file));
        file
    }
}
