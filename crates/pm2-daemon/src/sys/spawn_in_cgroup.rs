//! Starting a process that is a member of a control group from its first moment on.
//!
//! `posix_spawn` cannot do that everywhere, and a process that is moved later, which takes the kernel ten milliseconds,
//! may have started others before.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::sys::signal::{SigSet, SigmaskHow};

use super::forked::primary_group;
use super::unix::{Launch, output_pipe, reap_now};

/// The part of `struct clone_args` that is used; clone(2).
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Starts the process as leader of a new session, in that group; `None` when the kernel does not do that.
///
/// # Errors
/// What `chdir`, `setuid` or `exec` said in the child; nothing was started then.
pub(crate) fn spawn_in_cgroup(launch: &Launch, group: &Path) -> Option<io::Result<i32>> {
    let group = File::open(group).ok()?;
    let (failure, theirs) = output_pipe().ok()?;
    // Out of the way of the descriptors that the program is given.
    // SAFETY: a plain system call; the result is checked before it is owned.
    let moved = unsafe {
        let moved = libc::fcntl(theirs.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 4);
        (moved >= 0).then(|| OwnedFd::from_raw_fd(moved))?
    };
    drop(theirs);
    let theirs = moved;
    let plan = Plan::new(launch, theirs.as_raw_fd());
    // None of this process's handlers may run in the child.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).ok()?;
    // SAFETY: the child makes nothing but system calls until it runs the program or ends.
    let cloned = unsafe { clone_into(group.as_raw_fd()) };
    if cloned == 0 {
        plan.perform();
    }
    // It fails only for a request that does not exist.
    let _ = before.thread_set_mask();
    let pid = i32::try_from(cloned).ok().filter(|pid| *pid > 0)?;
    drop(theirs);
    let mut said = Vec::new();
    // An error here would be as good as silence: the child was started.
    let _ = File::from(failure).read_to_end(&mut said);
    match <[u8; 4]>::try_from(said.as_slice()) {
        Ok(code) => {
            reap_now(pid);
            Some(Err(io::Error::from_raw_os_error(i32::from_ne_bytes(code))))
        }
        // It has closed the pipe by running the program.
        Err(_) => Some(Ok(pid)),
    }
}

/// A copy of this process with this thread alone; 0 in the copy, negative when there is none.
///
/// # Safety
/// As after `fork` in a program with threads: the copy may make system calls only.
unsafe fn clone_into(group: RawFd) -> libc::c_long {
    let arguments = CloneArguments {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD.cast_unsigned().into(),
        cgroup: u64::try_from(group).expect("a descriptor is not negative"),
        ..CloneArguments::default()
    };
    // SAFETY: the structure is as long as said; without a stack of its own the copy has a copy of this one.
    unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArguments>()) }
}

/// Everything the child does, prepared: it cannot allocate.
struct Plan<'a> {
    launch: &'a Launch,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    uid: Option<u32>,
    gid: Option<u32>,
    failure: RawFd,
}

impl Plan<'_> {
    fn new(launch: &Launch, failure: RawFd) -> Plan<'_> {
        let pointers = |texts: &[CString]| {
            texts.iter().map(|text| CStr::as_ptr(text)).chain([std::ptr::null()]).collect::<Vec<_>>()
        };
        Plan {
            launch,
            arguments: pointers(&launch.arguments),
            environment: pointers(&launch.environment),
            uid: launch.uid,
            // Without a group of its own an app of another user gets that user's, never the daemon's.
            gid: launch.gid.or_else(|| launch.uid.map(primary_group)),
            failure,
        }
    }

    /// In the child: becomes the program, or says why not.
    fn perform(&self) -> ! {
        let Err(errno) = self.become_program();
        let code = errno.to_ne_bytes();
        // SAFETY: system calls on memory that is there; the process ends here.
        unsafe {
            libc::write(self.failure, code.as_ptr().cast(), code.len());
            libc::_exit(127)
        }
    }

    fn become_program(&self) -> Result<std::convert::Infallible, i32> {
        fn check(result: libc::c_long) -> Result<(), i32> {
            // SAFETY: the number of this thread's last error.
            if result < 0 { Err(unsafe { *libc::__errno_location() }) } else { Ok(()) }
        }
        // SAFETY: system calls only, on memory that was prepared. Users are changed without glibc, which would tell
        // threads that are not there.
        unsafe {
            check(libc::setsid().into())?;
            for signal in 1..=64 {
                // The two that stay as they are refuse; so do glibc's own.
                libc::signal(signal, libc::SIG_DFL);
            }
            // As for `posix_spawn`: no source is 0, 1 or 2, so going upward overwrites none that is still needed.
            for (target, source) in (0..).zip(&self.launch.descriptors) {
                let source = source.as_raw_fd();
                if source == target {
                    check(libc::fcntl(source, libc::F_SETFD, 0).into())?;
                } else {
                    check(libc::dup2(source, target).into())?;
                }
            }
            check(libc::chdir(self.launch.folder.as_ptr()).into())?;
            if let Some(gid) = self.gid {
                check(libc::syscall(libc::SYS_setgroups, 1, &raw const gid))?;
                check(libc::syscall(libc::SYS_setgid, gid))?;
            }
            if let Some(uid) = self.uid {
                check(libc::syscall(libc::SYS_setuid, uid))?;
            }
            let mut none = std::mem::MaybeUninit::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            check(libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()).into())?;
            libc::execve(self.launch.program.as_ptr(), self.arguments.as_ptr(), self.environment.as_ptr());
            Err(*libc::__errno_location())
        }
    }
}
