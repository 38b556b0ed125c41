//! The twin for systems without pidfds and `/proc`: fork and exec, a waiting thread per child,
//! process facts through `sysinfo`.

use std::io;
use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::forked;
use super::unix::{Exit, Launch, Sample, Signal, send_signal};

/// Starts the process as leader of a new session.
///
/// # Errors
/// What `chdir`, `setuid` or `exec` said in the child.
pub(crate) fn spawn_process(launch: &Launch) -> io::Result<i32> {
    forked::spawn(launch)
}

/// Waits for the end of our own child and reaps it.
///
/// # Errors
/// When the pid is not our child or no thread can be had.
pub(crate) async fn wait_for_exit(pid: i32) -> io::Result<Exit> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
        let mut status = 0;
        let result = loop {
            // SAFETY: `status` is writable for the whole call.
            let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
            if waited == pid {
                break Ok(if libc::WIFEXITED(status) {
                    Exit::Code(libc::WEXITSTATUS(status))
                } else {
                    Exit::Signal(libc::WTERMSIG(status))
                });
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                break Err(error);
            }
        };
        // The receiver is gone only when the daemon ends.
        drop(sender.send(result));
    })?;
    receiver.await.map_err(|_| io::Error::other("the waiting thread ended"))?
}

/// Follows one process by asking for it again and again.
pub(crate) struct ProcessWatch {
    pid: i32,
}

impl ProcessWatch {
    /// `None` when the process is already gone.
    pub(crate) fn open(pid: i32) -> Option<ProcessWatch> {
        alive(pid).then_some(ProcessWatch { pid })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal; an ended process is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        drop(send_signal(self.pid, signal));
    }

    /// Completes when the process has ended.
    pub(crate) async fn gone(&self) {
        while alive(self.pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn alive(pid: i32) -> bool {
    // SAFETY: signal 0 only asks.
    unsafe { libc::kill(pid, 0) == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM) }
}

/// The processes of the system; `None` when it does not tell.
fn table() -> Option<System> {
    let mut system = System::new().ok()?;
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, ProcessRefreshKind::nothing());
    Some(system)
}

/// All descendants of a process, each parent after its children.
pub(crate) fn descendants(root: i32) -> Vec<i32> {
    fn collect(system: &System, parent: Pid, found: &mut Vec<i32>) {
        for (pid, process) in system.processes() {
            let number = i32::try_from(pid.as_u32()).unwrap_or(0);
            if process.parent() == Some(parent) && !found.contains(&number) {
                collect(system, *pid, found);
                found.push(number);
            }
        }
    }
    let mut found = Vec::new();
    if let (Ok(root), Some(table)) = (u32::try_from(root), table()) {
        collect(&table, Pid::from_u32(root), &mut found);
    }
    found
}

/// Living members of a process group.
pub(crate) fn group_members(group: i32) -> Vec<i32> {
    let Some(table) = table() else { return Vec::new() };
    table
        .processes()
        .iter()
        .filter(|(_, process)| process.status() != sysinfo::ProcessStatus::Zombie)
        .map(|(pid, _)| pid)
        .filter_map(|pid| i32::try_from(pid.as_u32()).ok())
        // SAFETY: getpgid takes and returns plain integers.
        .filter(|pid| unsafe { libc::getpgid(*pid) } == group)
        .collect()
}

/// Resident memory and CPU time of one process; `None` when it is gone.
pub(crate) fn sample(pid: i32) -> Option<Sample> {
    let pid = Pid::from_u32(u32::try_from(pid).ok()?);
    let mut system = System::new().ok()?;
    let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, kind);
    let process = system.process(pid)?;
    Some(Sample { memory: process.memory(), cpu: Duration::from_millis(process.accumulated_cpu_time()) })
}
