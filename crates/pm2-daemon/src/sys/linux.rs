//! Linux: `posix_spawn` without a copy of our memory, pidfds, `/proc`.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::forked;
use super::unix::{Exit, Launch, Sample, Signal, Standing, watch_descriptor};

/// Starts the process as leader of a new group, and of a new session if it is to have one.
///
/// Without a change of user it goes through `posix_spawn` (a `vfork` inside: the cost does not grow
/// with the daemon); a change of user needs code between fork and exec.
///
/// # Errors
/// What `chdir` or `exec` said in the child; nothing was started then.
pub(crate) fn spawn_process(launch: &Launch) -> io::Result<i32> {
    if launch.uid.is_some() || launch.gid.is_some() { forked::spawn(launch) } else { posix_spawn(launch) }
}

/// Closes every descriptor from `first` on: what a shell or a build tool left open when it started
/// this process is nobody's business here.
///
/// # Safety
/// Nothing in this process may use one of them.
pub(crate) unsafe fn close_from(first: RawFd) {
    // SAFETY: the caller vouches that nobody uses them. A kernel before 5.9 refuses, and they stay open.
    unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
}

fn posix_spawn(launch: &Launch) -> io::Result<i32> {
    fn check(code: libc::c_int) -> io::Result<()> {
        if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
    }
    struct Actions(libc::posix_spawn_file_actions_t);
    impl Drop for Actions {
        fn drop(&mut self) {
            // SAFETY: initialised in `posix_spawn` before this value existed.
            unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
        }
    }
    struct Attributes(libc::posix_spawnattr_t);
    impl Drop for Attributes {
        fn drop(&mut self) {
            // SAFETY: initialised in `posix_spawn` before this value existed.
            unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
        }
    }

    let mut actions = MaybeUninit::uninit();
    // SAFETY: init writes the whole value before it is read.
    let mut actions = unsafe {
        check(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
        Actions(actions.assume_init())
    };
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: init writes the whole value before it is read.
    let mut attributes = unsafe {
        check(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
        Attributes(attributes.assume_init())
    };

    // Sources are never 0, 1 or 2 (the daemon keeps those open), so going upward overwrites no
    // source that is still needed; dup2 of 3 onto itself clears close-on-exec.
    for (target, source) in (0..).zip(&launch.descriptors) {
        // SAFETY: `actions` is initialised, both numbers are plain integers.
        check(unsafe {
            libc::posix_spawn_file_actions_adddup2(&raw mut actions.0, source.as_raw_fd(), target)
        })?;
    }
    // SAFETY: glibc copies the path; it is NUL-terminated.
    check(unsafe { libc::posix_spawn_file_actions_addchdir_np(&raw mut actions.0, launch.folder.as_ptr()) })?;

    // The group is 0, the child's own number, unless told otherwise.
    let standing = if launch.own_session {
        libc::POSIX_SPAWN_SETSID
    } else {
        libc::POSIX_SPAWN_SETPGROUP as libc::c_short
    };
    let flags = standing
        | libc::POSIX_SPAWN_SETSIGDEF as libc::c_short
        | libc::POSIX_SPAWN_SETSIGMASK as libc::c_short;
    let mut all = MaybeUninit::uninit();
    let mut none = MaybeUninit::uninit();
    // SAFETY: the sets are filled before use, `attributes` is initialised.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::sigemptyset(none.as_mut_ptr());
        check(libc::posix_spawnattr_setflags(&raw mut attributes.0, flags))?;
        check(libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, all.as_ptr()))?;
        check(libc::posix_spawnattr_setsigmask(&raw mut attributes.0, none.as_ptr()))?;
    }

    let arguments = pointers(&launch.arguments);
    let environment = pointers(&launch.environment);
    let mut pid = 0;
    // SAFETY: both vectors end in a null pointer and outlive the call, as do the strings.
    check(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            launch.program.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            arguments.as_ptr(),
            environment.as_ptr(),
        )
    })?;
    Ok(pid)
}

fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
    strings.iter().map(|text| CStr::as_ptr(text).cast_mut()).chain([std::ptr::null_mut()]).collect()
}

fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers; the result is checked before it is owned.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(RawFd::try_from(fd).expect("a descriptor fits")) })
}

/// Waits for the end of our own child and reaps it.
///
/// # Errors
/// When no pidfd can be had (out of descriptors) or the pid is not our child.
pub(crate) async fn wait_for_exit(pid: i32) -> io::Result<Exit> {
    let pidfd = watch_descriptor(open_pidfd(pid)?)?;
    loop {
        let mut ready = pidfd.readable().await?;
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let fd = libc::id_t::try_from(pidfd.as_raw_fd()).expect("a descriptor is not negative");
        // SAFETY: `info` is writable and zeroed; the kernel fills it.
        let code =
            unsafe { libc::waitid(libc::P_PIDFD, fd, info.as_mut_ptr(), libc::WEXITED | libc::WNOHANG) };
        if code != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: zeroed before the call, so every field is initialised; the accessors fit waitid's result.
        let (si_pid, status, si_code) = unsafe {
            let info = info.assume_init();
            (info.si_pid(), info.si_status(), info.si_code)
        };
        if si_pid == 0 {
            ready.clear_ready();
            continue;
        }
        return Ok(if si_code == libc::CLD_EXITED { Exit::Code(status) } else { Exit::Signal(status) });
    }
}

/// Follows one process that need not be our child, safe against reuse of its pid.
pub(crate) struct ProcessWatch {
    pid: i32,
    pidfd: AsyncFd<OwnedFd>,
}

impl ProcessWatch {
    /// `None` when the process is already gone.
    pub(crate) fn open(pid: i32) -> Option<ProcessWatch> {
        let pidfd = open_pidfd(pid).and_then(watch_descriptor).ok()?;
        Some(ProcessWatch { pid, pidfd })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether the process has ended (a zombie counts as ended).
    pub(crate) fn is_gone(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid entry; a zero time limit never blocks.
        unsafe { libc::poll(&raw mut poll, 1, 0) > 0 }
    }

    /// Sends a signal to exactly this process; an ended one is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        // SAFETY: the descriptor is ours and open, the info pointer may be null.
        unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal.0,
                std::ptr::null::<u8>(),
                0,
            )
        };
    }

    /// Reaps the process if it has ended and was left to us; until then its number looks alive to those who ask.
    pub(crate) fn reap(&self) {
        let fd = libc::id_t::try_from(self.pidfd.as_raw_fd()).expect("a descriptor is not negative");
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: `info` is writable; for somebody else's child the call fails.
        unsafe { libc::waitid(libc::P_PIDFD, fd, info.as_mut_ptr(), libc::WEXITED | libc::WNOHANG) };
    }

    /// Completes when the process has ended (a zombie counts as ended).
    pub(crate) async fn gone(&self) {
        // An error of the reactor can only mean that it is shutting down.
        drop(self.pidfd.readable().await);
    }
}

/// An empty file without a name, closed on exec.
///
/// # Errors
/// The kernel's, `EMFILE` when the daemon is out of descriptors.
pub(crate) fn memory_file() -> io::Result<File> {
    // SAFETY: the name is NUL-terminated; the result is checked before it is owned.
    let fd = unsafe { libc::memfd_create(c"pm2-rs".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, nobody else knows it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// The children of a process right now.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|children| {
            children.split_ascii_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<i32>>()
        })
        .collect()
}

/// The parent of a process; `None` when it is gone.
pub(crate) fn parent_of(pid: i32) -> Option<i32> {
    stat_fields(pid)?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The process group and the session of a living process.
pub(crate) fn standing_of(pid: i32) -> Option<Standing> {
    let stat = stat_fields(pid)?;
    let mut fields = stat.split_ascii_whitespace();
    if matches!(fields.next(), Some("Z" | "X")) {
        return None;
    }
    let mut number = |skipped| fields.nth(skipped)?.parse().ok();
    Some(Standing { group: number(1)?, session: number(0)? })
}

/// The variables that a process was started with, each `key=value`; empty when they cannot be read.
pub(crate) fn variables_of(pid: i32) -> Vec<Vec<u8>> {
    let variables = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    variables.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// A descendant of this process whose parent ends becomes its child, instead of init's.
pub(crate) struct Adoption(AsyncFd<SignalFd>);

impl Adoption {
    /// Keeps threads that are started from here on from taking word of a child's end. To be called first of all.
    pub(crate) fn prepare() {
        // It fails only for a request that does not exist.
        let _ = SigSet::from(nix::sys::signal::Signal::SIGCHLD).thread_block();
    }

    /// From now on; it survives exec. `None` when the system does not do that.
    pub(crate) fn begin() -> Option<Adoption> {
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let ends = SignalFd::with_flags(&SigSet::from(nix::sys::signal::Signal::SIGCHLD), flags).ok()?;
        // SAFETY: the call takes plain integers.
        let adopts = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 };
        // SAFETY: it keeps its descriptor open and the same for as long as it lives, and the `AsyncFd` owns it.
        let ends = unsafe { AsyncFd::register_with_interest(ends, Interest::READABLE) }.ok()?;
        adopts.then_some(Adoption(ends))
    }

    /// Completes when a child has ended, adopted or not, since this was asked for last.
    pub(crate) async fn one_has_ended(&self) {
        // An error of the reactor can only mean that it is shutting down.
        let Ok(mut ready) = self.0.readable().await else { return std::future::pending().await };
        while matches!(self.0.get_ref().read_signal(), Ok(Some(_))) {}
        ready.clear_ready();
    }
}

/// Living members of a process group.
pub(crate) fn group_members(group: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            stat_fields(*pid).is_some_and(|stat| {
                let mut fields = stat.split_ascii_whitespace();
                let state = fields.next();
                let group_field = fields.nth(1).and_then(|field| field.parse::<i32>().ok());
                group_field == Some(group) && !matches!(state, Some("Z" | "X"))
            })
        })
        .collect()
}

/// The fields of `/proc/<pid>/stat` behind the command name, beginning with the state.
fn stat_fields(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.rfind(')')?;
    Some(stat.get(end + 2..)?.to_owned())
}

/// Reads memory and CPU time of one process again and again.
///
/// It keeps `/proc/<pid>/statm` open: reading at its beginning gives fresh figures for a tenth of what
/// opening `/proc/<pid>/stat` costs, and after the process's end an error, also when the pid has been given
/// to another. CPU time comes from the process's own clock.
pub(crate) struct Sampler {
    memory: File,
    clock: libc::clockid_t,
}

impl Sampler {
    /// `None` when the process is gone.
    pub(crate) fn open(pid: i32) -> Option<Sampler> {
        let memory = File::open(format!("/proc/{pid}/statm")).ok()?;
        let mut clock = 0;
        // SAFETY: `clock` is writable for the call.
        let found = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } == 0;
        found.then_some(Sampler { memory, clock })
    }

    /// Resident memory and CPU time; `None` when the process is gone.
    pub(crate) fn sample(&mut self) -> Option<Sample> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is writable for the call.
        if unsafe { libc::clock_gettime(self.clock, &raw mut time) } != 0 {
            return None;
        }
        // After the clock: that the file can still be read says whose clock it was.
        let mut text = [0; 128];
        let length = self.memory.read_at(&mut text, 0).ok()?;
        Some(Sample {
            memory: resident_pages(std::str::from_utf8(&text[..length]).ok()?)? * page_size(),
            cpu: Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?),
        })
    }
}

/// The second field of `statm`, see proc_pid_statm(5).
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn page_size() -> u64 {
    static SIZE: OnceLock<u64> = OnceLock::new();
    // SAFETY: sysconf reads a constant of the system.
    *SIZE.get_or_init(|| u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_pages_are_the_second_field() {
        assert_eq!(resident_pages("2521 913 757 11 0 197 0\n"), Some(913));
        assert_eq!(resident_pages(""), None);
    }

    #[test]
    fn a_process_that_ended_has_no_sample() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let mut sampler = Sampler::open(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(sampler.sample().is_some_and(|sample| sample.memory > 0));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(sampler.sample(), None);
    }
}
