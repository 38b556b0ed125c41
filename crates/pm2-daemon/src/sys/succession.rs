//! What a process needs to run another program in its own place.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};

/// Whether there is a descriptor of that number.
pub(crate) fn is_open(number: RawFd) -> bool {
    // SAFETY: it only asks for a flag, and fails for a number that is not open.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}

/// Whether a descriptor stays open in the next program.
///
/// # Errors
/// The system's.
pub(crate) fn keep_over_exec(descriptor: BorrowedFd<'_>, keep: bool) -> io::Result<()> {
    let flag = if keep { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    fcntl(descriptor.as_fd(), FcntlArg::F_SETFD(flag))?;
    Ok(())
}

/// Runs a program in this process's place: same pid, same children, and the descriptors that were told to stay open.
/// All other threads end. Returns only when it could not be run.
pub(crate) fn replace_program(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let Err(errno) = nix::unistd::execve(program, arguments, environment);
    errno.into()
}

/// The signals that the daemon has a meaning for.
fn of_daemon() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGUSR2, Signal::SIGHUP].into_iter().collect()
}

/// This thread is not interrupted by signals to the daemon; where no thread is, they wait, also for the next program.
pub(crate) fn leave_signals_to_others() {
    // It fails only for a request that does not exist.
    let _ = of_daemon().thread_block();
}

/// This thread is interrupted by them again.
pub(crate) fn take_signals_again() {
    // As above.
    let _ = of_daemon().thread_unblock();
}

/// Does something that may start a thread, which then leaves signals to others.
pub(crate) fn without_signals<Result>(start: impl FnOnce() -> Result) -> Result {
    let before = of_daemon().thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let result = start();
    // As above.
    let _ = before.and_then(|before| before.thread_set_mask());
    result
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn what_cannot_be_run_is_said() {
        let arguments = [c"x".to_owned()];
        let error = replace_program(c"/dev/null", &arguments, &[]);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(replace_program(c"/no/such", &arguments, &[]).kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn numbers_are_open_or_not() {
        let file = File::open("/dev/null").unwrap();
        assert!(is_open(file.as_raw_fd()));
        assert!(!is_open(-1) && !is_open(1_000_000));
    }
}
