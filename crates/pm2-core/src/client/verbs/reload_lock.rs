//! One reload per home at a time: the file `reload.lock` says when the running one began.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::{Flock, FlockArg};

use super::error::VerbError;

/// How long a lock counts, in ms, if its holder never gives it back.
const DEFAULT_LIMIT_MS: u64 = 30_000;

/// The right to reload; given back on drop.
///
/// The file holds the time in ms since 1970 while the lock is held and is empty otherwise, as PM2 has it
/// (specification `wire.md` §1.2). Looking and writing happen under `flock`, so of two clients that ask at
/// once one is refused.
#[derive(Debug)]
pub(super) struct ReloadLock {
    path: PathBuf,
    stamp: String,
}

impl ReloadLock {
    /// Takes the lock; one older than `limit_ms` (30 s unless given) is taken over.
    ///
    /// # Errors
    /// Another client holds it, or the file cannot be used.
    pub(super) fn acquire(path: &Path, limit_ms: Option<u64>) -> Result<Self, VerbError> {
        let failed = |source| VerbError::Io { action: "lock", path: path.to_owned(), source };
        let mut file = open(path, true).map_err(failed)?;
        let now = now_ms();
        if let Ok(since) = read(&mut file).map_err(failed)?.trim().parse::<u64>()
            && now.saturating_sub(since) < limit_ms.unwrap_or(DEFAULT_LIMIT_MS)
        {
            return Err(VerbError::ReloadInProgress);
        }
        let stamp = now.to_string();
        write(&mut file, &stamp).map_err(failed)?;
        let path = path.to_owned();
        Ok(Self { path, stamp })
    }
}

impl Drop for ReloadLock {
    fn drop(&mut self) {
        // Left as it is when somebody took it over, or when the home is gone.
        if let Ok(mut file) = open(&self.path, false)
            && read(&mut file).is_ok_and(|stamp| stamp == self.stamp)
        {
            let _ = write(&mut file, "");
        }
    }
}

fn open(path: &Path, create: bool) -> io::Result<Flock<File>> {
    let file =
        OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(path)?;
    // Held for microseconds only, so waiting is no wait.
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
}

fn read(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.take(64).read_to_string(&mut text)?;
    Ok(text)
}

fn write(file: &mut File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reload.lock");
        let content = || std::fs::read_to_string(&path).unwrap();
        let lock = ReloadLock::acquire(&path, None).unwrap();
        assert!(content().parse::<u64>().unwrap() > 1_600_000_000_000);
        let refused = ReloadLock::acquire(&path, None).unwrap_err();
        assert_eq!(refused.to_string(), "Reload in progress");
        drop(lock);
        assert_eq!(content(), "");
        drop(ReloadLock::acquire(&path, None).unwrap());
    }

    #[test]
    fn an_old_lock_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reload.lock");
        std::fs::write(&path, (now_ms() - 40_000).to_string()).unwrap();
        assert!(ReloadLock::acquire(&path, Some(50_000)).is_err());
        let old = ReloadLock::acquire(&path, None).unwrap();
        // Another client has taken it over, a moment later.
        std::fs::write(&path, (now_ms() + 1).to_string()).unwrap();
        drop(old);
        assert!(ReloadLock::acquire(&path, None).is_err(), "still the new one's");
        std::fs::write(&path, "no number").unwrap();
        assert!(ReloadLock::acquire(&path, None).is_ok());
    }
}
