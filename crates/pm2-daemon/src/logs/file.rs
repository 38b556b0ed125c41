//! One log file, opened for appending: faults of the disk, and rotation between two lines.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::Local;
use memchr::memchr;
use parking_lot::Mutex;
use pm2_core::logs::rotated;

use super::registry::Shared;
use super::rotation::{Plan, Step, next_step};
use super::settings::{OwnSettings, PlanCache};
use crate::clock::epoch_ms;
use crate::handover::{Descriptors, FaultState, LogFileState};

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
        Some(libc::EDQUOT) => "EDQUOT: disk quota exceeded",
        Some(libc::EIO) => "EIO: i/o error",
        Some(libc::EFBIG) => "EFBIG: file too large",
        Some(libc::EAGAIN) => "EAGAIN: resource temporarily unavailable",
        _ => return error.to_string(),
    };
    known.to_owned()
}

/// A file that log bytes are appended to.
pub(crate) struct LogFile {
    path: PathBuf,
    shared: Arc<Shared>,
    /// How many streams write to it.
    n_streams: AtomicUsize,
    /// Which file it is, whatever its path.
    identity: Identity,
    state: Mutex<State>,
}

/// Tells files on the disk apart, most of the time; 0 for what is no file.
type Identity = Arc<AtomicU64>;

fn identity_of(data: &fs::Metadata) -> u64 {
    if data.is_file() { data.ino() ^ data.dev().rotate_left(40) } else { 0 }
}

struct State {
    /// Absent while it cannot be opened.
    file: Option<File>,
    identity: Identity,
    /// Whether its last line has no end yet; `None`: nobody has looked.
    mid_line: Option<bool>,
    fault: Option<Fault>,
    /// When a path that could not be opened is tried again.
    retry_at: Option<Instant>,
    own: OwnSettings,
    plan: PlanCache,
    /// It is to be rotated at the next end of a line.
    is_due: bool,
    /// A rotation that failed is not tried again before.
    rotate_at: Option<Instant>,
}

/// Why bytes are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What the system said.
    pub(crate) error: String,
    /// Epoch ms.
    pub(crate) since: i64,
    /// Bytes that are not in the file.
    pub(crate) lost: u64,
    /// The beginning of the current line is lost; its rest is of no use.
    is_skipping: bool,
}

/// Something that should be said about the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Writing failed for the first time since it last worked.
    Failed(String),
    /// Writing works again.
    Recovered(Fault),
    /// It could not be rotated and grows on.
    NotRotated(String),
}

/// How often a path that cannot be opened is tried.
const RETRY: Duration = Duration::from_secs(1);
/// How often a rotation is tried that fails.
const ROTATION_RETRY: Duration = Duration::from_secs(10);

impl LogFile {
    /// Opens (and creates) a file.
    ///
    /// # Errors
    /// With the words Node uses for the same failure.
    pub(super) fn open(path: &Path, own: OwnSettings, shared: &Arc<Shared>) -> Result<LogFile, LogFileError> {
        let file = open(path, shared.mode)?;
        Ok(LogFile::new(path, Some(file), own, shared))
    }

    /// A file that cannot be opened for now.
    pub(super) fn missing(
        path: &Path,
        error: &LogFileError,
        own: OwnSettings,
        shared: &Arc<Shared>,
    ) -> LogFile {
        let file = LogFile::new(path, None, own, shared);
        file.state.lock().fault = Some(Fault::new(error.to_string()));
        file
    }

    fn new(path: &Path, file: Option<File>, own: OwnSettings, shared: &Arc<Shared>) -> LogFile {
        let identity = Identity::default();
        if let Some(data) = file.as_ref().and_then(|file| file.metadata().ok()) {
            identity.store(identity_of(&data), Ordering::Relaxed);
        }
        LogFile {
            path: path.to_owned(),
            shared: shared.clone(),
            n_streams: AtomicUsize::new(0),
            identity: identity.clone(),
            state: Mutex::new(State {
                file,
                identity,
                mid_line: None,
                fault: None,
                retry_at: None,
                own,
                plan: PlanCache::default(),
                is_due: false,
                rotate_at: None,
            }),
        }
    }

    /// The file as data. Without room for another descriptor it is opened by its path later.
    pub(crate) fn freeze(&self, descriptors: &mut Descriptors) -> LogFileState {
        let state = self.state.lock();
        let copy = state.file.as_ref().and_then(|file| file.try_clone().ok());
        LogFileState {
            path: self.path.to_string_lossy().into_owned(),
            file: copy.map(|file| descriptors.keep(file)),
            fault: state.fault.as_ref().map(|fault| FaultState {
                error: fault.error.clone(),
                since: fault.since,
                lost: fault.lost,
                is_skipping: fault.is_skipping,
            }),
            mid_line: state.mid_line,
            is_due: state.is_due,
            rotation: state.own.own.clone(),
            is_module: state.own.is_module,
        }
    }

    /// The file that was frozen.
    ///
    /// # Errors
    /// As [`LogFile::open`], where it has to be opened.
    pub(super) fn thaw(
        state: LogFileState,
        descriptors: &mut Descriptors,
        shared: &Arc<Shared>,
    ) -> Result<LogFile, LogFileError> {
        let path = PathBuf::from(&state.path);
        let kept = state.file.and_then(|file| descriptors.take(file).ok());
        let own = OwnSettings { own: state.rotation, is_module: state.is_module };
        let file = match (kept, &state.fault) {
            (Some(kept), _) => Some(kept.into()),
            // It is opened when that works again.
            (None, Some(_)) => open(&path, shared.mode).ok(),
            (None, None) => Some(open(&path, shared.mode)?),
        };
        let file = LogFile::new(&path, file, own, shared);
        {
            let mut now = file.state.lock();
            now.mid_line = state.mid_line;
            now.is_due = state.is_due;
            now.fault = state.fault.map(|fault| Fault {
                error: fault.error,
                since: fault.since,
                lost: fault.lost,
                is_skipping: fault.is_skipping,
            });
        }
        Ok(file)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is what is at that path.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let identity = self.identity.load(Ordering::Relaxed);
        identity != 0 && fs::metadata(path).is_ok_and(|data| identity_of(&data) == identity)
    }

    /// Whether both are the same file, and the other one's path leads to it.
    pub(super) fn is_same(&self, other: &LogFile) -> bool {
        let identity = self.identity.load(Ordering::Relaxed);
        identity == other.identity.load(Ordering::Relaxed) && other.is_at(&other.path)
    }

    /// What is wrong with it now.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.state.lock().fault.clone()
    }

    /// Whether several streams write to it: then only whole lines may be written.
    pub(super) fn is_shared(&self) -> bool {
        self.n_streams.load(Ordering::Relaxed) > 1
    }

    /// Takes over what the app says of its rotation.
    pub(super) fn set_own(&self, own: OwnSettings) {
        let mut state = self.state.lock();
        if state.own != own {
            state.own = own;
            state.plan = PlanCache::default();
        }
    }

    /// What the app says of its rotation.
    pub(super) fn own(&self) -> OwnSettings {
        self.state.lock().own.clone()
    }

    /// Opens the path anew.
    ///
    /// # Errors
    /// As [`LogFile::open`]; the old file stays in use then, and the path is tried again when there is something to write.
    pub(crate) fn reopen(&self) -> Result<(), LogFileError> {
        let mut state = self.state.lock();
        // Not before: a rotation in between would leave it with the file that was put away.
        match open(&self.path, self.shared.mode) {
            Ok(file) => {
                state.replace(file);
                Ok(())
            }
            Err(error) => {
                state.fault.get_or_insert_with(|| Fault::new(error.to_string()));
                state.retry_at = Some(Instant::now() + RETRY);
                Err(error)
            }
        }
    }

    /// Makes the owner of a worker's process the owner of the file, as it would be under PM2.
    pub(crate) fn give_to(&self, uid: u32, gid: Option<u32>) {
        if let Some(file) = &self.state.lock().file {
            // Only root may, and only root starts apps of others.
            drop(std::os::unix::fs::fchown(file, Some(uid), gid));
        }
    }

    /// Rotates it if it has that size, now, or at the next end of a line while somebody writes to it. An empty file stays.
    /// Gives whether it was rotated.
    pub(super) fn rotate_from(&self, size: u64) -> Result<bool, Change> {
        let mut state = self.state.lock();
        if self.shared.is_paused() {
            return Ok(false);
        }
        let State { own, plan, file, .. } = &mut *state;
        let Some(plan) = self.shared.settings.plan(own, plan) else { return Ok(false) };
        let data = file.as_ref().and_then(|file| file.metadata().ok());
        if !data.is_some_and(|data| data.is_file() && data.len() >= size.max(1)) {
            return Ok(false);
        }
        if self.n_streams.load(Ordering::Relaxed) > 0 && state.is_mid_line(&self.path) {
            state.is_due = true;
            return Ok(false);
        }
        match state.rotate(&self.path, &plan, &self.shared) {
            Ok(_) => Ok(true),
            Err(error) => Err(Change::NotRotated(error)),
        }
    }

    /// Appends bytes. A failure loses them and is remembered; the next write tries again.
    pub(crate) fn append(&self, bytes: &[u8]) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut state = self.state.lock();
        let mut rest = bytes;
        if let Err(error) = state.deliver(&mut rest, &self.path, &self.shared, &mut changes) {
            let text = error.to_string();
            let fault = match &mut state.fault {
                Some(fault) => fault,
                none => {
                    changes.push(Change::Failed(text.clone()));
                    none.insert(Fault::new(text))
                }
            };
            fault.lost += rest.len() as u64;
            fault.is_skipping = rest.last().map_or(fault.is_skipping, |last| *last != b'\n');
        }
        changes
    }
}

impl Fault {
    fn new(error: String) -> Fault {
        Fault { error, since: epoch_ms(), lost: 0, is_skipping: false }
    }
}

/// What is said of a write that fails.
fn refused(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{}, write '{}'", node_text(&error), path.display())
}

impl State {
    /// Writes until nothing is left, or until something fails.
    fn deliver(
        &mut self,
        rest: &mut &[u8],
        path: &Path,
        shared: &Arc<Shared>,
        changes: &mut Vec<Change>,
    ) -> Result<(), String> {
        let mut size = self.make_ready(path, shared)?;
        if !self.resume(rest, size, path)? {
            return Ok(());
        }
        let plan = match size {
            // No regular file.
            None => None,
            Some(_) => shared.settings.plan(&self.own, &mut self.plan),
        };
        while !rest.is_empty() {
            let length = match (&plan, size) {
                (Some(plan), Some(length)) if self.rotate_at.is_none_or(|at| at <= Instant::now()) => {
                    let at_line_start = length == 0 || !self.is_mid_line(path);
                    match next_step(rest, length, at_line_start, plan.max_size, self.is_due) {
                        Step::Write(length) => length,
                        Step::Rotate => {
                            match self.rotate(path, plan, shared) {
                                Ok(new_size) => size = Some(new_size),
                                Err(error) => changes.push(Change::NotRotated(error)),
                            }
                            continue;
                        }
                    }
                }
                _ => rest.len(),
            };
            let n_written = self.write(&rest[..length]).map_err(refused(path))?;
            *rest = &rest[n_written..];
            size = size.map(|size| size + n_written as u64);
        }
        if let Some(fault) = self.fault.take_if(|_| self.retry_at.is_none()) {
            changes.push(Change::Recovered(fault));
        }
        Ok(())
    }

    /// One write; a beginning that fits counts.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Err(ErrorKind::NotFound.into()) };
        loop {
            match file.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.mid_line = Some(bytes[count - 1] != b'\n');
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sees to it that there is a file to write to. A file that was removed is made anew, as nobody could read what is
    /// written to it. Gives its size, if it is a regular file.
    fn make_ready(&mut self, path: &Path, shared: &Shared) -> Result<Option<u64>, String> {
        let metadata = self.file.as_ref().and_then(|file| file.metadata().ok());
        let is_gone = metadata.as_ref().is_none_or(|data| data.is_file() && data.nlink() == 0);
        let wants_path = is_gone || self.retry_at.is_some();
        if !wants_path {
            return Ok(metadata.filter(fs::Metadata::is_file).map(|data| data.len()));
        }
        let last = self.fault.as_ref().map(|fault| fault.error.clone());
        if self.retry_at.is_none_or(|at| at <= Instant::now()) {
            let opened = open(path, shared.mode).or_else(|error| {
                let folder = path.parent().filter(|_| error.source.kind() == ErrorKind::NotFound);
                // The folder went away with it.
                match folder.map(|folder| DirBuilder::new().recursive(true).mode(0o700).create(folder)) {
                    Some(Ok(())) => open(path, shared.mode),
                    _ => Err(error),
                }
            });
            match opened {
                Ok(file) => {
                    let size = file.metadata().ok().filter(fs::Metadata::is_file).map(|data| data.len());
                    self.replace(file);
                    return Ok(size);
                }
                Err(error) => {
                    self.retry_at = Some(Instant::now() + RETRY);
                    if is_gone {
                        self.file = None;
                        self.identity.store(0, Ordering::Relaxed);
                        return Err(error.to_string());
                    }
                }
            }
        }
        if is_gone {
            return Err(last.unwrap_or_else(|| "it is gone".to_owned()));
        }
        Ok(metadata.filter(fs::Metadata::is_file).map(|data| data.len()))
    }

    fn replace(&mut self, file: File) {
        let identity = file.metadata().map_or(0, |data| identity_of(&data));
        self.identity.store(identity, Ordering::Relaxed);
        self.file = Some(file);
        self.mid_line = None;
        self.retry_at = None;
    }

    /// After a fault: leaves out the rest of a line whose beginning was lost, and ends the line that was cut. Whether
    /// anything is left to write.
    fn resume(&mut self, rest: &mut &[u8], size: Option<u64>, path: &Path) -> Result<bool, String> {
        let Some(fault) = self.fault.as_mut().filter(|fault| fault.lost > 0) else { return Ok(true) };
        if fault.is_skipping {
            let end = memchr(b'\n', rest).map(|end| end + 1);
            let skipped = end.unwrap_or(rest.len());
            fault.lost += skipped as u64;
            fault.is_skipping = end.is_none();
            *rest = &rest[skipped..];
            if rest.is_empty() {
                return Ok(false);
            }
        }
        if size.is_some_and(|size| size > 0) && self.is_mid_line(path) {
            self.write(b"\n").map_err(refused(path))?;
        }
        Ok(true)
    }

    fn is_mid_line(&mut self, path: &Path) -> bool {
        if let Some(mid_line) = self.mid_line {
            return mid_line;
        }
        // It may be a pipe by now.
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        let last = opened.and_then(|file| {
            let length = file.metadata()?.len();
            let mut last = [b'\n'];
            if length > 0 {
                file.read_exact_at(&mut last, length - 1)?;
            }
            Ok(last[0])
        });
        let mid_line = last.is_ok_and(|last| last != b'\n');
        self.mid_line = Some(mid_line);
        mid_line
    }

    /// Puts a new file in the place of this one; gives the size of what is written to now.
    ///
    /// # Errors
    /// The file cannot be renamed, or no new one can be made; everything is as before then.
    fn rotate(&mut self, path: &Path, plan: &Plan, shared: &Arc<Shared>) -> Result<u64, String> {
        // What is behind a link is what is renamed.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let rotated = self.exchange(path, &real, plan, shared.mode);
        if rotated.is_err() {
            self.rotate_at = Some(Instant::now() + ROTATION_RETRY);
        }
        let size = rotated.map_err(|error| format!("{}, rename '{}'", node_text(&error), path.display()))?;
        self.rotate_at = None;
        self.is_due = false;
        shared.archive.tend(path, &real, plan);
        Ok(size)
    }

    fn exchange(&mut self, path: &Path, real: &Path, plan: &Plan, mode: u32) -> io::Result<u64> {
        let Some(file) = &self.file else { return Err(ErrorKind::NotFound.into()) };
        let old = file.metadata()?;
        let is_same = |data: fs::Metadata| (data.dev(), data.ino()) == (old.dev(), old.ino());
        if !fs::metadata(real).is_ok_and(is_same) {
            // Somebody else has moved it: what is at the path now is gone on with.
            let file = open(path, mode).map_err(|error| error.source)?;
            let size = file.metadata()?.len();
            self.replace(file);
            return Ok(size);
        }
        let target = rotated::free_path(real, &plan.date(&Local::now()));
        fs::rename(real, &target)?;
        let new = open(path, mode).map_err(|error| error.source).inspect_err(|_| {
            // Nothing else can be done: it goes on under the other name then.
            drop(fs::rename(&target, real));
        })?;
        // Whoever could read it can read it.
        drop(new.set_permissions(fs::Permissions::from_mode(old.mode() & 0o777)));
        drop(std::os::unix::fs::fchown(&new, Some(old.uid()), Some(old.gid())));
        self.replace(new);
        self.mid_line = Some(false);
        Ok(0)
    }
}

fn open(path: &Path, mode: u32) -> Result<File, LogFileError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(mode)
        // A pipe without a reader or a stopped terminal must not hold up anybody.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|source| LogFileError { path: path.to_owned(), source })
}

/// A stream that writes to a file.
pub(super) struct Attached(Arc<LogFile>);

impl Attached {
    pub(super) fn new(file: Arc<LogFile>) -> Attached {
        file.n_streams.fetch_add(1, Ordering::Relaxed);
        Attached(file)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.0.n_streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::ops::Deref for Attached {
    type Target = Arc<LogFile>;
    fn deref(&self) -> &Arc<LogFile> {
        &self.0
    }
}

#[cfg(test)]
mod tests;
