//! What the kernel says of processes.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::until;

/// The fields of `/proc/<pid>/stat` that tests look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
}

/// `None` when the process is gone.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text[text.rfind(')')? + 2..].split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut number = || fields.next()?.parse().ok();
    Some(Stat { state, parent: number()?, group: number()?, session: number()? })
}

/// Whether it runs; a zombie does not.
pub(crate) fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

#[track_caller]
pub(crate) fn wait_for_end(pid: i32) {
    until("the process ends", || !is_alive(pid));
}

/// The variables a process was started with; later ones of the same name are an error.
pub(crate) fn environment(pid: i32) -> BTreeMap<String, String> {
    let mut bytes = Vec::new();
    // A start is over a moment before the kernel shows the new environment.
    until("the environment is there", || {
        bytes = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        !bytes.is_empty()
    });
    let mut variables = BTreeMap::new();
    for pair in bytes.split(|byte| *byte == 0).filter(|pair| !pair.is_empty()) {
        let pair = String::from_utf8(pair.to_vec()).unwrap();
        let (key, value) = pair.split_once('=').unwrap();
        let before = variables.insert(key.to_owned(), value.to_owned());
        assert_eq!(before, None, "{key} is there twice");
    }
    variables
}

/// Open descriptors and what they are.
pub(crate) fn descriptors(pid: i32) -> BTreeMap<i32, PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, std::fs::read_link(entry.path()).ok()?))
        })
        .collect()
}

/// Resident bytes.
pub(crate) fn memory(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

/// All living processes that were started with this PM2_HOME: daemon, clients, apps and their children.
pub(crate) fn processes_of(home: &Path) -> Vec<i32> {
    let wanted = [b"PM2_HOME=", home.as_os_str().as_bytes()].concat();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|pair| pair == wanted))
        })
        .collect()
}

/// # Errors
/// When there is no such process.
pub(crate) fn send(pid: i32, signal: Signal) -> nix::Result<()> {
    kill(Pid::from_raw(pid), signal)
}
