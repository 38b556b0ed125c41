//! Telling whoever started the daemon that it serves, or why it does not.

use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use serde_json::json;

use crate::run::{DaemonError, Outcome};

/// Name of the variable that holds the number of the descriptor to report on.
const VARIABLE: &str = "PM2_RS_READY_FD";

/// The pipe to the process that started the daemon; one line goes through it.
pub struct Ready(Option<File>);

impl Ready {
    /// Takes the descriptor that the environment names, once. Without one nothing is reported.
    ///
    /// # Safety
    /// To be called once, before anything else opens descriptors: the number is trusted.
    pub unsafe fn from_environment() -> Ready {
        let number = std::env::var(VARIABLE).ok().and_then(|text| text.parse::<RawFd>().ok());
        // SAFETY: the caller vouches that the descriptor was opened for us by our parent; an invalid
        // one is noticed by fcntl before it is owned.
        let file =
            number.filter(|fd| *fd > 2 && unsafe { libc::fcntl(*fd, libc::F_SETFD, libc::FD_CLOEXEC) } == 0);
        // SAFETY: open, as fcntl just said, and nobody else in this process knows it.
        Ready(file.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }.into()))
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
        }
    }
}
