//! Telling whoever started the daemon that it serves, or why it does not: a client by a line through a pipe, a service
//! manager by the protocol of `sd_notify`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use serde_json::json;

use crate::run::{DaemonError, Outcome};
use crate::sys::{NotifySocket, close_from};

/// Name of the variable that holds the number of the descriptor to report on.
const VARIABLE: &str = "PM2_RS_READY_FD";

/// Name of the variable that holds the address of a service manager's socket.
pub(crate) const NOTIFY_VARIABLE: &str = "NOTIFY_SOCKET";

/// The way to whoever started the daemon.
pub struct Ready {
    /// To a client; one line goes through it.
    pipe: Option<File>,
    /// To a service manager.
    socket: Option<(OsString, NotifySocket)>,
}

impl Ready {
    /// Takes the descriptor that the environment names, once, and closes all others but the standard
    /// three. Without one nothing is reported.
    ///
    /// The socket of a service manager counts when there is no descriptor: a client that is itself a service hands its
    /// own down with its environment. Nobody below this process sees it.
    ///
    /// # Safety
    /// To be called once, while there is one thread, before anything else opens descriptors.
    pub unsafe fn from_environment() -> Ready {
        let number = std::env::var(VARIABLE).ok().and_then(|text| text.parse::<RawFd>().ok());
        // Moved to 3, which is where it is anyway; an invalid number is noticed by dup2.
        // SAFETY: plain integers; what 3 was is closed below otherwise.
        let moved = number.filter(|fd| *fd > 2 && (*fd == 3 || unsafe { libc::dup2(*fd, 3) } == 3));
        // SAFETY: fcntl only sets a flag; it fails for a descriptor that is not open.
        let taken = moved.filter(|_| unsafe { libc::fcntl(3, libc::F_SETFD, libc::FD_CLOEXEC) } == 0);
        // SAFETY: the caller vouches that nothing has opened a descriptor.
        unsafe { close_from(if taken.is_some() { 4 } else { 3 }) };
        if taken.is_none() {
            occupy_lowest();
        }
        // SAFETY: open, as fcntl just said, and nobody else in this process knows it.
        let pipe = taken.map(|_| unsafe { OwnedFd::from_raw_fd(3) }.into());
        // SAFETY: as the caller vouches.
        let socket = unsafe { take_service_manager() };
        Ready { pipe, socket: socket.filter(|_| number.is_none()) }
    }

    /// What an earlier image of this process goes on reporting to: a service manager at most.
    ///
    /// # Safety
    /// To be called once, while there is one thread.
    pub unsafe fn of_predecessor() -> Ready {
        // SAFETY: as the caller vouches.
        Ready { pipe: None, socket: unsafe { take_service_manager() } }
    }

    /// The address of the service manager's socket, for a next image of this process.
    pub(crate) fn service_manager(&self) -> Option<&OsStr> {
        self.socket.as_ref().map(|(address, _)| address.as_os_str())
    }

    pub(crate) fn serving(&mut self) {
        self.report(&json!({
            "online": true,
            "success": true,
            "pid": std::process::id(),
            "pm2_version": pm2_core::PM2_VERSION,
        }));
    }

    /// Tells a service manager, if one started this daemon, that it is `READY=1` or `STOPPING=1`.
    ///
    /// # Errors
    /// When its socket takes nothing.
    pub(crate) fn notify(&self, state: &str) -> io::Result<()> {
        self.socket.as_ref().map_or(Ok(()), |(_, socket)| socket.send(state))
    }

    /// Reports how a start ended that did not lead to serving. A daemon that has served has
    /// reported already.
    pub fn conclude(&mut self, result: &Result<Outcome, DaemonError>) {
        match result {
            Ok(Outcome::Served) => {}
            Ok(Outcome::AlreadyRunning { pid }) => self.report(&json!({
                "online": true,
                "success": true,
                "pid": pid,
                "pm2_version": pm2_core::PM2_VERSION,
                "already": true,
            })),
            Err(error) => self.report(&json!({ "error": error.to_string(), "code": error.code() })),
        }
    }

    fn report(&mut self, line: &serde_json::Value) {
        if let Some(mut pipe) = self.pipe.take() {
            // The starter may have given up waiting.
            drop(writeln!(pipe, "{line}"));
            drop(pipe);
            occupy_lowest();
        }
    }
}

/// Takes the address that the environment names, so that nobody below this process sees it.
///
/// # Safety
/// To be called while there is one thread.
unsafe fn take_service_manager() -> Option<(OsString, NotifySocket)> {
    let address = std::env::var_os(NOTIFY_VARIABLE)?;
    // SAFETY: as the caller vouches.
    unsafe { std::env::remove_var(NOTIFY_VARIABLE) };
    let socket = NotifySocket::parse(&address)?;
    Some((address, socket))
}

/// Holds the lowest free number, 3, for ever: a new process gets its channel there, and no descriptor of
/// ours, such as the one over which a failed start is reported, may be in the way.
pub(crate) fn occupy_lowest() {
    if let Ok(null) = File::open("/dev/null") {
        std::mem::forget(null);
    }
}
