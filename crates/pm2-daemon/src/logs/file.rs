//! One log file, opened for appending.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::handover::{Descriptors, LogFileState};

/// A log file could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{}, open '{}'", node_text(.source), .path.display())]
pub(crate) struct LogFileError {
    path: PathBuf,
    source: io::Error,
}

/// Text of an I/O error as Node words it, because PM2's users see and search for those words.
fn node_text(error: &io::Error) -> String {
    let known = match error.raw_os_error() {
        Some(libc::ENOENT) => "ENOENT: no such file or directory",
        Some(libc::EACCES) => "EACCES: permission denied",
        Some(libc::EISDIR) => "EISDIR: illegal operation on a directory",
        Some(libc::ENOTDIR) => "ENOTDIR: not a directory",
        Some(libc::ENXIO) => "ENXIO: no such device or address",
        Some(libc::EROFS) => "EROFS: read-only file system",
        Some(libc::EMFILE) => "EMFILE: too many open files",
        Some(libc::ENOSPC) => "ENOSPC: no space left on device",
        _ => return error.to_string(),
    };
    known.to_owned()
}

/// A file that log bytes are appended to.
pub(crate) struct LogFile {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: File,
    failing: bool,
}

/// How a write ended that changes what should be said about the file.
#[derive(Debug)]
pub(crate) enum WriteChange {
    /// Writing failed for the first time since it last worked.
    Failed(io::Error),
    /// Writing works again.
    Recovered,
}

impl LogFile {
    /// Opens (and creates, mode 0600) a file.
    ///
    /// # Errors
    /// With the words Node uses for the same failure.
    pub(crate) fn open(path: &Path) -> Result<LogFile, LogFileError> {
        let file = open(path)?;
        Ok(LogFile { path: path.to_owned(), state: Mutex::new(State { file, failing: false }) })
    }

    /// The file as data. Without room for another descriptor it is opened by its path later.
    pub(crate) fn freeze(&self, descriptors: &mut Descriptors) -> LogFileState {
        let state = self.state.lock();
        let file = state.file.try_clone().ok().map(|file| descriptors.keep(file));
        LogFileState { path: self.path.to_string_lossy().into_owned(), file, failing: state.failing }
    }

    /// The file that was frozen.
    ///
    /// # Errors
    /// As [`LogFile::open`], where it has to be opened.
    pub(crate) fn thaw(state: LogFileState, descriptors: &mut Descriptors) -> Result<LogFile, LogFileError> {
        let path = PathBuf::from(state.path);
        let kept = state.file.and_then(|file| descriptors.take(file).ok());
        let file = kept.map_or_else(|| open(&path), |file| Ok(file.into()))?;
        Ok(LogFile { path, state: Mutex::new(State { file, failing: state.failing }) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the path anew.
    ///
    /// # Errors
    /// As [`LogFile::open`]; the old file stays in use then.
    pub(crate) fn reopen(&self) -> Result<(), LogFileError> {
        let file = open(&self.path)?;
        self.state.lock().file = file;
        Ok(())
    }

    /// Appends bytes. A failure loses them and is remembered; the next write tries again.
    pub(crate) fn write(&self, bytes: &[u8]) -> Option<WriteChange> {
        let mut state = self.state.lock();
        match (state.file.write_all(bytes), state.failing) {
            (Err(error), false) => {
                state.failing = true;
                Some(WriteChange::Failed(error))
            }
            (Ok(()), true) => {
                state.failing = false;
                Some(WriteChange::Recovered)
            }
            _ => None,
        }
    }
}

fn open(path: &Path) -> Result<File, LogFileError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        // A pipe without a reader or a stopped terminal must not hold up anybody.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|source| LogFileError { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_nodes_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let missing = LogFile::open(&folder.path().join("no/x.log")).err().unwrap().to_string();
        assert_eq!(missing, format!("ENOENT: no such file or directory, open '{path}/no/x.log'"));
        let directory = LogFile::open(folder.path()).err().unwrap().to_string();
        assert_eq!(directory, format!("EISDIR: illegal operation on a directory, open '{path}'"));
    }

    #[test]
    fn a_frozen_file_is_the_same_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("a.log"), folder.path().join("b.log"));
        let file = LogFile::open(&path).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        let mut descriptors = Descriptors::default();
        let state = file.freeze(&mut descriptors);
        drop(file);
        let file = LogFile::thaw(state, &mut descriptors).unwrap();
        file.write(b"1");
        assert_eq!(std::fs::read(&moved).unwrap(), b"1");
        assert!(!path.exists());
        let state = LogFileState { file: None, ..file.freeze(&mut descriptors) };
        LogFile::thaw(state, &mut descriptors).unwrap().write(b"2");
        assert_eq!(std::fs::read(&path).unwrap(), b"2");
    }

    #[test]
    fn bytes_follow_the_path_after_reopen() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("a.log"), folder.path().join("b.log"));
        let file = LogFile::open(&path).unwrap();
        assert!(file.write(b"1").is_none());
        std::fs::rename(&path, &moved).unwrap();
        file.write(b"2");
        file.reopen().unwrap();
        file.write(b"3");
        assert_eq!(
            (std::fs::read(&moved).unwrap(), std::fs::read(&path).unwrap()),
            (b"12".to_vec(), b"3".to_vec())
        );
    }
}
