//! The twin for systems without control groups.

use std::io;
use std::path::{Path, PathBuf};

use super::unix::Launch;

/// There is none.
pub(crate) fn own_cgroup() -> Option<PathBuf> {
    None
}

/// There is none to be in.
pub(crate) fn cgroup_members(_folder: &Path) -> Vec<i32> {
    Vec::new()
}

/// Nobody is in there.
pub(crate) fn kill_cgroup(_folder: &Path) {}

/// There is none.
pub(crate) fn remove_cgroup(_folder: &Path) -> bool {
    true
}

/// Cannot be done here.
pub(crate) fn spawn_in_cgroup(_launch: &Launch, _folder: &Path) -> Option<io::Result<i32>> {
    None
}
