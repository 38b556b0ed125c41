//! Control groups, one for each process of an app.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::sys::{Signal, own_cgroup, remove_cgroup, send_signal};

/// What their names begin with; the pid of the daemon and a number follow.
const PREFIX: &str = "pm2-rs.";

/// The folder that they are made in.
pub(super) struct Groups {
    folder: PathBuf,
    next: AtomicU64,
    /// Nobody needs them, but somebody may be in there.
    left: Mutex<Vec<PathBuf>>,
}

impl Groups {
    /// `None` when this process may not make any. Those that an earlier daemon has left go, if they are empty.
    pub(super) fn new() -> Option<Groups> {
        let folder = own_cgroup()?;
        let groups = Groups { folder, next: AtomicU64::new(1), left: Mutex::default() };
        let trial = groups.make()?;
        remove_cgroup(&trial);
        groups.sweep();
        Some(groups)
    }

    /// A new group; `None` when the system does not want any more.
    pub(super) fn make(&self) -> Option<PathBuf> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let group = self.folder.join(format!("{PREFIX}{}.{number}", std::process::id()));
            match std::fs::create_dir(&group) {
                Ok(()) => return Some(group),
                // An earlier image of this process has made it.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(_) => return None,
            }
        }
    }

    /// Removes the group, as soon as it is empty.
    pub(super) fn leave(&self, group: &Path) {
        if !remove_cgroup(group) {
            self.left.lock().push(group.to_owned());
        }
    }

    /// Removes those that were left and have become empty.
    pub(super) fn retry(&self) {
        self.left.lock().retain(|group| !remove_cgroup(group));
    }

    /// Removes empty groups of daemons that are no more, and of earlier images of this process.
    fn sweep(&self) {
        let own = std::process::id().cast_signed();
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let is_over = |pid: i32| pid == own || send_signal(pid, Signal(0)).is_err();
            if name.to_str().and_then(owner).is_some_and(is_over) {
                remove_cgroup(&entry.path());
            }
        }
    }
}

/// The pid of the daemon that has made the group of that name.
fn owner(name: &str) -> Option<i32> {
    let (pid, number) = name.strip_prefix(PREFIX)?.split_once('.')?;
    number.parse::<u64>().ok()?;
    pid.parse().ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_owner() {
        assert_eq!(owner("pm2-rs.42.7"), Some(42));
        for foreign in
            ["pm2-rs.42", "pm2-rs.-1.7", "pm2-rs.0.7", "pm2-rs.x.7", "pm2-rs.42.7.8", "system.slice"]
        {
            assert_eq!(owner(foreign), None, "{foreign}");
        }
    }
}
