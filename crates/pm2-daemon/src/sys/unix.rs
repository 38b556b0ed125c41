//! What every Unix does alike: the description of a launch, pipes, signals, descriptor passing.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

/// One process to start: absolute program, full argument vector, full environment, folder,
/// credentials, and the descriptors that become 0 to 3 of the child.
pub(crate) struct Launch {
    pub(crate) program: CString,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    pub(crate) folder: CString,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) descriptors: [OwnedFd; 4],
    /// It leads a session of its own; else only a process group, in the session of the daemon.
    pub(crate) own_session: bool,
    /// It is an app: whoever it starts is to be found.
    pub(crate) is_app: bool,
}

/// How a process ended: an exit code or the number of the signal that killed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

/// What `/proc` (or its equivalent) says of one process: resident bytes and consumed CPU time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    pub(crate) memory: u64,
    pub(crate) cpu: Duration,
}

/// Where a process stands among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) group: i32,
    pub(crate) session: i32,
}

/// To which sockets of a group new connections go. A socket's number is its place in the order of `listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Steering {
    /// To the first one, the daemon's.
    First,
    /// At random to these; one of `first_every` (a power of two) to the first one, so that the daemon sees how many
    /// there are.
    Spread { over: Vec<u32>, first_every: Option<u32> },
}

/// A signal by number; 0 only asks whether the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signal(pub(crate) i32);

impl Signal {
    pub(crate) const INTERRUPT: Signal = Signal(libc::SIGINT);
    pub(crate) const KILL: Signal = Signal(libc::SIGKILL);
    pub(crate) const QUIT: Signal = Signal(libc::SIGQUIT);

    /// The name with its `SIG` prefix, as Node shows it; a number without a name stays a number.
    pub(crate) fn name(self) -> String {
        nix::sys::signal::Signal::try_from(self.0)
            .map_or_else(|_| self.0.to_string(), |signal| signal.as_str().to_owned())
    }
}

/// Finds a signal by its name (`SIGUSR2`), as Node's `process.kill` spells them.
pub(crate) fn signal_by_name(name: &str) -> Option<Signal> {
    name.parse::<nix::sys::signal::Signal>().ok().map(|signal| Signal(signal as i32))
}

/// Sends a signal to one process.
///
/// # Errors
/// `ESRCH` when the process is gone, `EPERM` when it belongs to someone else.
pub(crate) fn send_signal(pid: i32, signal: Signal) -> io::Result<()> {
    // SAFETY: `kill` takes plain integers and touches no memory of ours.
    if unsafe { libc::kill(pid, signal.0) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits without a descriptor, for the moment when the daemon has none left.
pub(crate) async fn poll_for_exit(pid: i32) -> Exit {
    loop {
        let mut status = 0;
        // SAFETY: `status` is writable; WNOHANG never blocks.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        if waited == pid {
            return if libc::WIFSIGNALED(status) {
                Exit::Signal(libc::WTERMSIG(status))
            } else {
                Exit::Code(libc::WEXITSTATUS(status))
            };
        }
        if waited < 0 {
            return Exit::Code(0);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reaps a child that has ended and that nobody waits for. Does nothing while it lives.
pub(crate) fn reap(pid: i32) {
    // SAFETY: no status is asked for; WNOHANG never blocks.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
}

/// Whether the process group still has a member (a zombie counts).
pub(crate) fn group_exists(group: i32) -> bool {
    // SAFETY: signal 0 only asks; no memory is touched.
    unsafe { libc::kill(-group, 0) == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM) }
}

/// Registers a descriptor with the reactor.
///
/// # Errors
/// When the descriptor cannot be polled.
pub(crate) fn watch_descriptor(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` keeps its descriptor open and the same for as long as it lives, and the
    // `AsyncFd` owns it.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}

/// A pipe whose both ends close on exec.
///
/// # Errors
/// The kernel's, `EMFILE` when the daemon is out of descriptors.
pub(crate) fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(target_os = "linux")]
    let ends = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    #[cfg(not(target_os = "linux"))]
    let ends = {
        let ends = nix::unistd::pipe()?;
        for end in [&ends.0, &ends.1] {
            nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
        }
        ends
    };
    Ok(ends)
}

/// How many bytes a pipe can hold.
pub(crate) fn pipe_capacity(pipe: &OwnedFd) -> usize {
    #[cfg(target_os = "linux")]
    let capacity = nix::fcntl::fcntl(pipe, nix::fcntl::FcntlArg::F_GETPIPE_SZ).ok();
    #[cfg(not(target_os = "linux"))]
    let capacity = {
        let _ = pipe;
        None::<i32>
    };
    capacity.and_then(|capacity| usize::try_from(capacity).ok()).unwrap_or(64 * 1024)
}

/// Makes a pipe larger, where the system can and the user still may.
pub(crate) fn enlarge_pipe(pipe: &OwnedFd, capacity: usize) {
    #[cfg(target_os = "linux")]
    if let Ok(capacity) = i32::try_from(capacity) {
        // Too much for this user: it stays as it is.
        let _ = nix::fcntl::fcntl(pipe, nix::fcntl::FcntlArg::F_SETPIPE_SZ(capacity));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (pipe, capacity);
}

/// Allows this process as many descriptors as the system lets it; each app takes five. The apps
/// inherit the limit, as they do from Node.
pub(crate) fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Refused, the daemon manages fewer apps and says so when it runs out.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// The two ends of a Node IPC channel: ours non-blocking, both close on exec.
///
/// # Errors
/// The kernel's, `EMFILE` when the daemon is out of descriptors.
pub(crate) fn channel_pair() -> io::Result<(std::os::unix::net::UnixStream, OwnedFd)> {
    #[cfg(target_os = "linux")]
    let flags = SockFlag::SOCK_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = SockFlag::empty();
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags)?;
    #[cfg(not(target_os = "linux"))]
    for end in [&ours, &theirs] {
        nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    }
    let ours = std::os::unix::net::UnixStream::from(ours);
    ours.set_nonblocking(true)?;
    Ok((ours, theirs))
}

/// Writes bytes with at most one descriptor attached to them; returns how many bytes went.
///
/// # Errors
/// `EAGAIN` when the channel is full, `EPIPE` when the other end is gone.
pub(crate) fn send_with_descriptor(
    channel: RawFd,
    bytes: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    let flags = MsgFlags::MSG_NOSIGNAL;
    #[cfg(not(target_os = "linux"))]
    let flags = MsgFlags::empty();
    let slices = [io::IoSlice::new(bytes)];
    let raw = descriptor.map(|descriptor| [descriptor.as_raw_fd()]);
    let control: Vec<ControlMessage<'_>> = raw.iter().map(|raw| ControlMessage::ScmRights(raw)).collect();
    Ok(sendmsg::<()>(channel, &slices, &control, flags, None)?)
}

/// Whether the other end of a local socket may command this daemon: the same user, root, or the user
/// named by `PM2_SOCKET_USER`.
pub(crate) fn peer_is_trusted(stream: &UnixStream, extra: Option<u32>) -> bool {
    let Ok(peer) = stream.peer_cred() else { return false };
    let own = nix::unistd::geteuid().as_raw();
    peer.uid() == own || peer.uid() == 0 || Some(peer.uid()) == extra
}
