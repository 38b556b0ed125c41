//! Starting a process by fork and exec, for what `posix_spawn` cannot do: another user.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::unix::Launch;

/// Starts the process as leader of a new session, with its user and group (supplementary groups are
/// reduced to that one group).
///
/// # Errors
/// What `setgid`, `setuid`, `chdir` or `exec` said in the child.
pub(super) fn spawn(launch: &Launch) -> io::Result<i32> {
    let text = |text: &CString| OsStr::from_bytes(text.as_bytes()).to_owned();
    let mut command = Command::new(text(&launch.program));
    if let Some((name, arguments)) = launch.arguments.split_first() {
        command.arg0(text(name)).args(arguments.iter().map(text));
    }
    command.env_clear().current_dir(text(&launch.folder));
    for pair in &launch.environment {
        let bytes = pair.as_bytes();
        if let Some(at) = bytes.iter().position(|byte| *byte == b'=') {
            command.env(OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..]));
        }
    }
    let [input, output, error, channel] = &launch.descriptors;
    command
        .stdin(Stdio::from(input.try_clone()?))
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(error.try_clone()?));
    let channel = channel.as_raw_fd();
    let uid = launch.uid;
    let own_session = launch.own_session;
    // Without a group of its own an app of another user gets that user's, never the daemon's.
    let gid = launch.gid.or_else(|| uid.map(primary_group));
    // SAFETY: only async-signal-safe calls happen between fork and exec.
    unsafe {
        command.pre_exec(move || {
            let check = |code| if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
            let standing = if own_session { libc::setsid() } else { libc::setpgid(0, 0) };
            if standing < 0 {
                return Err(io::Error::last_os_error());
            }
            // The thread that starts it leaves the daemon's signals to another one.
            let mut none = std::mem::MaybeUninit::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            check(libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()))?;
            if channel == 3 {
                check(libc::fcntl(3, libc::F_SETFD, 0))?;
            } else if libc::dup2(channel, 3) < 0 {
                return Err(io::Error::last_os_error());
            }
            if let Some(gid) = gid {
                check(libc::setgroups(1, &raw const gid))?;
                check(libc::setgid(gid))?;
            }
            if let Some(uid) = uid {
                check(libc::setuid(uid))?;
            }
            Ok(())
        });
    }
    let child = command.spawn()?;
    // The child is reaped by whoever waits for the pid; dropping the handle does nothing to it.
    Ok(i32::try_from(child.id()).expect("a pid fits"))
}

/// The primary group of a user; one who is not in the user database has the group of the same number.
pub(super) fn primary_group(uid: u32) -> u32 {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
    user.ok().flatten().map_or(uid, |user| user.gid.as_raw())
}
