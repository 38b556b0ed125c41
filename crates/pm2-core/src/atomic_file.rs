//! Files that are either the old ones or the new ones, whatever happens in between.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use thiserror::Error;

/// Why a file could not be written.
#[derive(Debug, Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct AtomicFileError {
    /// What was tried, as a verb.
    pub action: &'static str,
    /// What it was tried on.
    pub path: PathBuf,
    /// The system's answer.
    pub source: io::Error,
}

/// Replaces the file's content: a temporary file in the same folder, mode 0600, is written,
/// synced and renamed over it, then the folder is synced. A symbolic link stays one; its target is replaced.
///
/// # Errors
/// [`AtomicFileError`]; the old content is then still there and the temporary file is gone. Only
/// when the final sync of the folder fails the new content is already visible.
pub fn write(path: &Path, content: &[u8]) -> Result<(), AtomicFileError> {
    replace(&target_of(path), content, 0o600)
}

/// Like [`write()`], with a mode of its own, and a symbolic link is itself replaced: for files outside of the home,
/// where a link may lead to what is not ours.
///
/// # Errors
/// As [`write()`].
pub fn install(path: &Path, content: &[u8], mode: u32) -> Result<(), AtomicFileError> {
    replace(path, content, mode)
}

fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), AtomicFileError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let temporary = folder.join(temporary_name(path));
    let replaced = write_new(&temporary, content, mode)
        .and_then(|()| fs::rename(&temporary, path).map_err(error("replace", path)));
    if replaced.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    replaced?;
    remove_leftovers(folder, path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(error("sync the folder", folder))
}

/// What a symbolic link leads to, also when that is not there yet; other paths are themselves.
fn target_of(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    match fs::read_link(path) {
        Ok(target) => path.parent().unwrap_or(Path::new(".")).join(target),
        Err(_) => path.to_owned(),
    }
}

/// Like [`write()`], but keeps the previous content, if any, in `backup`.
///
/// # Errors
/// [`AtomicFileError`]; a failure to keep the previous content leaves `path` untouched.
pub fn write_with_backup(path: &Path, backup: &Path, content: &[u8]) -> Result<(), AtomicFileError> {
    match fs::read(path) {
        Ok(previous) => write(backup, &previous)?,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(error("read", path)(source)),
    }
    write(path, content)
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), AtomicFileError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(error("create", path))?;
    file.write_all(content).map_err(error("write", path))?;
    if mode != 0o600 {
        // Whatever the mask of this process is.
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(error("change the mode of", path))?;
    }
    file.sync_all().map_err(error("sync", path))
}

/// A name that neither another process nor another thread uses.
fn temporary_name(path: &Path) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let clock = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
    format!(".{name}.{}-{count}-{clock:x}.tmp", process::id())
}

/// Removes the temporary files of writers of this file that were killed.
fn remove_leftovers(folder: &Path, path: &Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let Some(rest) = found.to_str().and_then(|found| found.strip_prefix(&prefix)) else { continue };
        let writer = rest.strip_suffix(".tmp").and_then(|rest| rest.split('-').next());
        let Some(pid) = writer.and_then(|pid| pid.parse::<i32>().ok()).filter(|pid| *pid > 0) else {
            continue;
        };
        if kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) {
            // Another writer may remove it just now.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AtomicFileError + use<> {
    let path = path.to_owned();
    move |source| AtomicFileError { action, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn installs_with_a_mode_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("file"), dir.path().join("other"));
        fs::write(&other, "mine").unwrap();
        symlink(&other, &path).unwrap();
        install(&path, b"one", 0o755).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        let found = fs::symlink_metadata(&path).unwrap();
        assert!(found.is_file());
        assert_eq!(found.permissions().mode() & 0o777, 0o755);
        assert_eq!(names(dir.path()), ["file", "other"]);
    }

    #[test]
    fn replaces_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn leftovers_of_the_dead_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = process::Command::new("true").spawn().unwrap();
        let dead = format!(".file.{}-0-ab.tmp", child.id());
        child.wait().unwrap();
        let living = format!(".file.{}-9-ab.tmp", process::id());
        for name in [dead.as_str(), living.as_str(), ".file.x.tmp", ".other.1-0-ab.tmp", ".file.0-1-a.tmp"] {
            fs::write(dir.path().join(name), "half").unwrap();
        }
        write(&dir.path().join("file"), b"whole").unwrap();
        assert_eq!(
            names(dir.path()),
            [".file.0-1-a.tmp", living.as_str(), ".file.x.tmp", ".other.1-0-ab.tmp", "file"]
        );
    }

    #[test]
    fn keeps_the_previous_content() {
        let dir = tempfile::tempdir().unwrap();
        let (path, backup) = (dir.path().join("dump"), dir.path().join("dump.bak"));
        write_with_backup(&path, &backup, b"one").unwrap();
        assert_eq!(names(dir.path()), ["dump"]);
        write_with_backup(&path, &backup, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read(&backup).unwrap(), b"one");
    }

    #[test]
    fn a_link_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&path, "old").unwrap();
        symlink(&path, &link).unwrap();
        write(&link, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        fs::remove_file(&path).unwrap();
        fs::remove_file(&link).unwrap();
        symlink("real", &link).unwrap();
        write(&link, b"first").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn a_failure_leaves_the_folder_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder");
        fs::create_dir(&path).unwrap();
        let error = write(&path, b"x").unwrap_err();
        assert_eq!(error.action, "replace");
        assert_eq!(names(dir.path()), ["folder"]);
        assert!(write(&dir.path().join("missing/file"), b"x").is_err());
    }

    #[test]
    fn concurrent_writers_never_mix() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::thread::scope(|scope| {
            for letter in b'a'..b'e' {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..20 {
                        write(path, &[letter; 4096]).unwrap();
                    }
                });
            }
        });
        let content = fs::read(&path).unwrap();
        assert_eq!(content.len(), 4096);
        assert!(content.iter().all(|byte| *byte == content[0]));
        assert_eq!(names(dir.path()), ["file"]);
    }
}
