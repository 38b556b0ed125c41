//! Why the init system could not be set up, with the texts PM2 shows.

use thiserror::Error;

use crate::atomic_file::AtomicFileError;
use crate::client::verbs::Failure;

/// Why the init system could not be set up.
#[derive(Debug, Error)]
pub enum StartupError {
    /// No platform was named, and none of the known commands is in PATH.
    #[error("Init system not found")]
    NotFound,
    /// The name means nothing here.
    #[error("Unknown platform / init system name")]
    UnknownPlatform,
    /// Only root may do this; nothing was changed.
    #[error(
        "You have to run this with elevated rights\nTo {verb} the Startup Script, copy/paste the following command:\n{line}"
    )]
    NotRoot {
        /// `setup` or `unsetup`.
        verb: &'static str,
        /// The command that root has to run.
        line: String,
    },
    /// A value that would break the init file, or name a file elsewhere.
    #[error("the {what} {value:?} cannot be used in an init file")]
    Value {
        /// Which value.
        what: &'static str,
        /// As given.
        value: String,
    },
    /// A daemon serves the home, but its list could not be saved. Nothing was changed.
    #[error("cannot save the process list: {0}")]
    Save(String),
    /// The init file could not be written.
    #[error("Failure when trying to write startup script\n{0}")]
    Write(#[from] AtomicFileError),
    /// A command of the init system failed; the file is written.
    #[error("{command} failed, see error above.")]
    Command {
        /// The command.
        command: String,
        /// What it wrote, and its exit code.
        output: String,
    },
    /// The request is not of the expected shape.
    #[error("not understood: {0}")]
    Shape(#[from] serde_json::Error),
}

impl StartupError {
    /// The error as callers in other languages get it. There is no "above" for them, so the output follows.
    #[must_use]
    pub fn to_failure(&self) -> Failure {
        let message = match self {
            Self::Command { output, .. } => format!("{self}\n{output}"),
            _ => self.to_string(),
        };
        Failure { message: message.trim_end().to_owned(), code: self.code(), stack: None }
    }

    fn code(&self) -> Option<&'static str> {
        match self {
            Self::NotRoot { .. } => Some("PM2_NOT_ROOT"),
            Self::Value { .. } => Some("ERR_INVALID_ARG_VALUE"),
            Self::Shape(_) => Some("PM2_NOT_UNDERSTOOD"),
            Self::Write(error) => crate::client::io_code(&error.source),
            _ => None,
        }
    }
}
