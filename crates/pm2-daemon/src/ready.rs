//! Telling whoever started the daemon that it serves, or why it does not.

use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use serde_json::json;

use crate::run::{DaemonError, Outcome};
use crate::sys::close_from;

/// Name of the variable that holds the number of the descriptor to report on.
const VARIABLE: &str = "PM2_RS_READY_FD";

/// The pipe to the process that started the daemon; one line goes through it.
pub struct Ready(Option<File>);

impl Ready {
    /// Takes the descriptor that the environment names, once, and closes all others but the standard
    /// three. Without one nothing is reported.
    ///
    /// # Safety
    /// To be called once, before anything else opens descriptors.
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
        Ready(taken.map(|_| unsafe { OwnedFd::from_raw_fd(3) }.into()))
    }

    /// A daemon that reports to nobody.
    #[must_use]
    pub fn silent() -> Ready {
        Ready(None)
    }

    pub(crate) fn serving(&mut self) {
        self.report(&json!({
            "online": true,
            "success": true,
            "pid": std::process::id(),
            "pm2_version": pm2_core::PM2_VERSION,
        }));
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
        if let Some(mut pipe) = self.0.take() {
            // The starter may have given up waiting.
            drop(writeln!(pipe, "{line}"));
            drop(pipe);
            occupy_lowest();
        }
    }
}

/// Holds the lowest free number, 3, for ever: a new process gets its channel there, and no descriptor of
/// ours, such as the one over which a failed start is reported, may be in the way.
pub(crate) fn occupy_lowest() {
    if let Ok(null) = File::open("/dev/null") {
        std::mem::forget(null);
    }
}
