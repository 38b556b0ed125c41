//! Starting a process that is a member of a control group from its first moment on.
//!
//! `posix_spawn` cannot do that everywhere, and a process that is moved later, which takes the kernel ten milliseconds,
//! may have started others before. As in `posix_spawn`, the child borrows this process's memory until it runs the program:
//! the cost does not grow with the daemon.

use std::arch::asm;
use std::ffi::{CStr, CString, c_void};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use nix::sys::signal::{SigSet, SigmaskHow};

use crate::sys::forked::primary_group;
use crate::sys::unix::Launch;

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
/// The caller waits until the child has left its memory.
const CLONE_BORROWING: u64 = (libc::CLONE_VM | libc::CLONE_VFORK) as u64;

/// Plenty: the child calls nothing but the system.
const STACK_BYTES: usize = 64 * 1024;

/// Starts the process as leader of a new session, in that group; `None` when the kernel does not do that.
///
/// # Errors
/// What `chdir`, `setuid` or `exec` said in the child; nothing was started then.
pub(crate) fn spawn_in_cgroup(launch: &Launch, group: &Path) -> Option<io::Result<i32>> {
    let group = File::open(group).ok()?;
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    let arguments = CloneArguments {
        flags: CLONE_INTO_CGROUP | CLONE_BORROWING,
        exit_signal: libc::SIGCHLD.cast_unsigned().into(),
        stack: stack.as_mut_ptr().expose_provenance() as u64,
        stack_size: STACK_BYTES as u64,
        cgroup: u64::try_from(group.as_raw_fd()).expect("a descriptor is not negative"),
        ..CloneArguments::default()
    };
    let mut plan = Plan::new(launch);
    // None of this process's handlers may run in the child.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).ok()?;
    // SAFETY: the stack is as long as said and aligned; the child makes nothing but system calls until it runs the program
    // or ends, and this thread waits until then.
    let cloned = unsafe { clone_and_call(&arguments, perform, (&raw mut plan).cast()) };
    // It fails only for a request that does not exist.
    let _ = before.thread_set_mask();
    let pid = i32::try_from(cloned).ok().filter(|pid| *pid > 0)?;
    drop(stack);
    match plan.failure {
        0 => Some(Ok(pid)),
        errno => {
            // It has ended, or is about to.
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            Some(Err(io::Error::from_raw_os_error(errno)))
        }
    }
}

/// Makes a child, which calls the function on its own stack; gives its pid, or a negated error.
///
/// # Safety
/// The stack belongs to nobody else, and the function does only what a child that shares memory may do.
unsafe fn clone_and_call(
    arguments: &CloneArguments,
    function: extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
) -> i64 {
    let result;
    // SAFETY: as the caller vouches; the child never comes back from the call.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") arguments,
            in("rsi") size_of::<CloneArguments>(),
            in("r12") argument,
            in("r13") function,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") arguments => result,
            in("x1") size_of::<CloneArguments>(),
            in("x20") argument,
            in("x21") function,
        );
    }
    result
}

/// Everything the child does, prepared: it cannot allocate.
struct Plan<'a> {
    launch: &'a Launch,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    uid: Option<u32>,
    gid: Option<u32>,
    /// The number of the error that the child has met, or 0.
    failure: i32,
}

impl Plan<'_> {
    fn new(launch: &Launch) -> Plan<'_> {
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
            failure: 0,
        }
    }

    /// Becomes the program; returns only when it cannot.
    fn become_program(&self) -> Result<std::convert::Infallible, i32> {
        fn check(result: libc::c_long) -> Result<(), i32> {
            if result < 0 { Err(errno()) } else { Ok(()) }
        }
        // SAFETY: system calls only, on memory that was prepared. Users are changed without glibc, which would tell
        // threads that are not there.
        unsafe {
            let standing = if self.launch.own_session { libc::setsid() } else { libc::setpgid(0, 0) };
            check(standing.into())?;
            let mut usual: libc::sigaction = std::mem::zeroed();
            usual.sa_sigaction = libc::SIG_DFL;
            for signal in 1..=64 {
                // The two that stay as they are refuse; so do glibc's own.
                libc::sigaction(signal, &raw const usual, std::ptr::null_mut());
            }
            // As for `posix_spawn`: no source is 0, 1 or 2, so going upward overwrites none that is still needed.
            for (target, source) in (0..).zip(&self.launch.descriptors) {
                let source: RawFd = source.as_raw_fd();
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
            let mut none = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            check(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()).into())?;
            libc::execve(self.launch.program.as_ptr(), self.arguments.as_ptr(), self.environment.as_ptr());
        }
        Err(errno())
    }
}

/// In the child: becomes the program, or leaves the reason why not.
extern "C" fn perform(plan: *mut c_void) -> ! {
    // SAFETY: whoever made the child waits, and has handed over its plan.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    let Err(errno) = plan.become_program();
    plan.failure = errno;
    // SAFETY: it ends here, without anything of the process whose memory it borrows being run.
    unsafe { libc::_exit(127) }
}

fn errno() -> i32 {
    // SAFETY: the number of this thread's last error.
    unsafe { *libc::__errno_location() }
}
