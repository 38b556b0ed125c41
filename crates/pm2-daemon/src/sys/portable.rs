//! The twin for systems without pidfds and `/proc`: fork and exec, a waiting thread per child,
//! process facts through `sysinfo`.

use std::fs::File;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::forked;
use super::succession::leave_signals_to_others;
use super::unix::{Exit, Launch, Sample, Signal, Standing, send_signal};

/// Starts the process as leader of a new group, and of a new session if it is to have one.
///
/// # Errors
/// What `chdir`, `setuid` or `exec` said in the child.
pub(crate) fn spawn_process(launch: &Launch) -> io::Result<i32> {
    forked::spawn(launch)
}

/// Closes every descriptor from `first` on: what a shell or a build tool left open when it started
/// this process is nobody's business here.
///
/// # Safety
/// Nothing in this process may use one of them.
pub(crate) unsafe fn close_from(first: RawFd) {
    for descriptor in first..1024 {
        // SAFETY: the caller vouches that nobody uses them.
        unsafe { libc::close(descriptor) };
    }
}

/// Waits for the end of our own child and reaps it.
///
/// # Errors
/// When the pid is not our child or no thread can be had.
pub(crate) async fn wait_for_exit(pid: i32) -> io::Result<Exit> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
        leave_signals_to_others();
        // It stays a zombie: only whoever is told of its end may reap it, lest the end be forgotten.
        let ended = again(|| {
            let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
            let id = pid.cast_unsigned() as libc::id_t;
            // SAFETY: `info` is writable for the whole call.
            unsafe { libc::waitid(libc::P_PID, id, info.as_mut_ptr(), libc::WEXITED | libc::WNOWAIT) }
        });
        // The receiver is gone when nobody waits any more.
        drop(sender.send(ended.map(drop)));
    })?;
    receiver.await.map_err(|_| io::Error::other("the waiting thread ended"))??;
    let mut status = 0;
    // SAFETY: `status` is writable for the whole call.
    again(|| unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) })?;
    Ok(if libc::WIFEXITED(status) {
        Exit::Code(libc::WEXITSTATUS(status))
    } else {
        Exit::Signal(libc::WTERMSIG(status))
    })
}

/// A system call that is made again when a signal has interrupted it.
fn again(mut call: impl FnMut() -> libc::c_int) -> io::Result<libc::c_int> {
    loop {
        let result = call();
        if result >= 0 {
            return Ok(result);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
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

    /// Whether the process has ended.
    pub(crate) fn is_gone(&self) -> bool {
        !alive(self.pid)
    }

    /// Sends a signal; an ended process is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        drop(send_signal(self.pid, signal));
    }

    /// Nobody is left to us here.
    #[expect(clippy::unused_self, reason = "the other twin has something to do")]
    pub(crate) fn reap(&self) {}

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

/// An empty file without a name, closed on exec.
///
/// # Errors
/// The system's: no descriptor left, no temporary folder.
pub(crate) fn memory_file() -> io::Result<File> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    let (file, path) = nix::unistd::mkstemp(&std::env::temp_dir().join("pm2-rs-XXXXXX"))?;
    // A name that stays behind is an empty file.
    drop(std::fs::remove_file(path));
    fcntl(&file, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(file.into())
}

/// The processes of the system; `None` when it does not tell.
fn table() -> Option<System> {
    let mut system = System::new().ok()?;
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, ProcessRefreshKind::nothing());
    Some(system)
}

/// The children of a process right now.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let (Ok(parent), Some(table)) = (u32::try_from(pid), table()) else { return Vec::new() };
    table
        .processes()
        .iter()
        .filter(|(_, process)| process.parent() == Some(Pid::from_u32(parent)))
        .filter_map(|(pid, _)| i32::try_from(pid.as_u32()).ok())
        .collect()
}

/// The parent of a process; `None` when it is gone.
pub(crate) fn parent_of(pid: i32) -> Option<i32> {
    let pid = Pid::from_u32(u32::try_from(pid).ok()?);
    let mut system = System::new().ok()?;
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, ProcessRefreshKind::nothing());
    i32::try_from(system.process(pid)?.parent()?.as_u32()).ok()
}

/// The process group and the session of a living process.
pub(crate) fn standing_of(pid: i32) -> Option<Standing> {
    // SAFETY: both take and return plain integers.
    let (group, session) = unsafe { (libc::getpgid(pid), libc::getsid(pid)) };
    (group > 0 && session > 0).then_some(Standing { group, session })
}

/// The variables that a process was started with: not to be had here.
pub(crate) fn variables_of(_pid: i32) -> Vec<Vec<u8>> {
    Vec::new()
}

/// Orphans are init's here.
pub(crate) struct Adoption;

impl Adoption {
    /// Nothing is to be prepared.
    pub(crate) fn prepare() {}

    /// Never.
    pub(crate) fn begin() -> Option<Adoption> {
        None
    }

    /// Never.
    pub(crate) async fn one_has_ended(&self) {
        std::future::pending().await
    }
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

/// Reads memory and CPU time of one process again and again.
pub(crate) struct Sampler {
    pid: Pid,
    system: System,
}

impl Sampler {
    /// `None` when the system does not tell of processes.
    pub(crate) fn open(pid: i32) -> Option<Sampler> {
        Some(Sampler { pid: Pid::from_u32(u32::try_from(pid).ok()?), system: System::new().ok()? })
    }

    /// Resident memory and CPU time; `None` when the process is gone.
    pub(crate) fn sample(&mut self) -> Option<Sample> {
        let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[self.pid]), true, kind);
        let process = self.system.process(self.pid)?;
        Some(Sample { memory: process.memory(), cpu: Duration::from_millis(process.accumulated_cpu_time()) })
    }
}
