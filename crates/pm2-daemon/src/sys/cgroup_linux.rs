//! Control groups, version 2: a process is started inside one, and everybody it starts is there too, whatever they do to
//! their session, their parents and their variables.

#[path = "spawn_in_cgroup.rs"]
mod spawn;

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub(crate) use spawn::spawn_in_cgroup;

/// Extended attributes with which systemd says that a group's inside is left to whoever runs there.
const DELEGATED: [&str; 2] = ["trusted.delegate", "user.delegate"];

/// The folder of this process's own group, if groups may be made in it.
pub(crate) fn own_cgroup() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let folder = folder(&mounts, &own)?;
    // A system manager that has not given it away does with it what it wants.
    let is_ours =
        DELEGATED.iter().any(|name| is_set(&folder, name)) || !Path::new("/run/systemd/system").exists();
    (is_ours && nix::unistd::access(&folder, nix::unistd::AccessFlags::W_OK).is_ok()).then_some(folder)
}

/// Where the group is that `/proc/self/cgroup` names, as `/proc/self/mountinfo` shows the hierarchy.
fn folder(mounts: &str, own: &str) -> Option<PathBuf> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        if kind.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = fields.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let inside = own.strip_prefix(root.trim_end_matches('/'))?;
        // A path that climbs out of what is mounted cannot be reached.
        (!inside.contains("..")).then(|| Path::new(point).join(inside.trim_start_matches('/')))
    })
}

fn is_set(folder: &Path, attribute: &str) -> bool {
    let (Ok(folder), Ok(name)) = (CString::new(folder.as_os_str().as_bytes()), CString::new(attribute))
    else {
        return false;
    };
    let mut value = [0_u8; 8];
    // SAFETY: both texts end in NUL, the buffer is as long as said.
    let length =
        unsafe { libc::getxattr(folder.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    length == 1 && value[0] == b'1'
}

/// Processes in a group and in all groups below it.
pub(crate) fn cgroup_members(folder: &Path) -> Vec<i32> {
    let mut members: Vec<i32> = fs::read_to_string(folder.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.parse().ok())
        // 0 is somebody whom this process cannot see.
        .filter(|pid| *pid > 0)
        .collect();
    for below in folders(folder) {
        members.extend(cgroup_members(&below));
    }
    members
}

/// Kills everybody in a group and in all groups below it at once. Kernels before 5.14 cannot.
pub(crate) fn kill_cgroup(folder: &Path) {
    // Whoever is alive afterwards is signalled one by one.
    drop(fs::write(folder.join("cgroup.kill"), "1"));
}

/// Removes a group and all groups below it, as far as nobody is in there; tells whether it is gone.
pub(crate) fn remove_cgroup(folder: &Path) -> bool {
    match fs::remove_dir(folder) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(_) => {
            let below = folders(folder);
            // With nothing below it there is somebody inside.
            !below.is_empty()
                && below.iter().filter(|below| !remove_cgroup(below)).count() == 0
                && fs::remove_dir(folder).is_ok()
        }
    }
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.flatten().filter(is_folder).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURE: &str = "22 1 0:20 / /proc rw - proc proc rw\n\
        30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "31 22 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const PART: &str = "30 22 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";

    #[test]
    fn the_group_is_found_where_it_is_mounted() {
        let at = |mounts, own| folder(mounts, own).map(|folder| folder.display().to_string());
        let expected = |path: &str| Some(path.to_owned());
        assert_eq!(
            at(PURE, "0::/system.slice/pm2.service\n"),
            expected("/sys/fs/cgroup/system.slice/pm2.service")
        );
        assert_eq!(at(PURE, "0::/\n"), expected("/sys/fs/cgroup/"));
        assert_eq!(at(HYBRID, "1:cpu:/a\n0::/b\n"), expected("/sys/fs/cgroup/unified/b"));
        assert_eq!(at(PART, "0::/docker/abc/d\n"), expected("/sys/fs/cgroup/d"));
    }

    #[test]
    fn what_cannot_be_reached_is_not_found() {
        assert_eq!(folder(PART, "0::/docker/other\n"), None);
        assert_eq!(folder(PURE, "0::/../other\n"), None);
        assert_eq!(folder(PURE, "3:cpu:/a\n"), None);
        assert_eq!(folder("22 1 0:20 / /proc rw - proc proc rw\n", "0::/\n"), None);
        assert_eq!(folder("nonsense\n", "0::/\n"), None);
    }
}
