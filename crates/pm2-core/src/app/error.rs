//! Why an application description was refused.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::cron::CronError;
use crate::atomic_file::AtomicFileError;

/// Why an application cannot be started as described.
///
/// The texts are those of PM2 7.0.4, specification `options.md` §2, because scripts match on them.
#[derive(Debug, Error)]
pub enum AppError {
    /// One or more options have a wrong type or value; the messages are joined by `,` in the order
    /// of the option table.
    #[error("{0}")]
    Invalid(String),
    /// `cron_restart` is not a cron pattern.
    #[error("Cron pattern error: {0}")]
    Cron(#[from] CronError),
    /// `uid`, `gid` or `user` given by somebody who is not root.
    #[error("To use UID and GID please run PM2 as root")]
    NotRoot,
    /// No such user in the system's user table.
    #[error("User {0} cannot be found")]
    UnknownUser(String),
    /// No such group in the system's group table.
    #[error("Group {0} cannot be found")]
    UnknownGroup(String),
    /// The description names no script.
    #[error("No script path - aborting")]
    NoScript,
    /// The script is neither a file seen from the working directory nor a command in PATH.
    #[error("Script not found: {}", .0.display())]
    ScriptNotFound(PathBuf),
    /// The interpreter is not an executable in PATH.
    #[error("Interpreter {0} is NOT AVAILABLE in PATH. (type 'which {0}' to double check.)")]
    InterpreterNotFound(String),
    /// Nothing on this machine runs a `.ts` file.
    #[error(
        "TypeScript apps require bun, Node.js >= 22.18 (native type stripping) or a custom interpreter (e.g. --interpreter ts-node)"
    )]
    TypeScript,
    /// The file server could not be put into the home.
    #[error(transparent)]
    FileServer(AtomicFileError),
    /// A folder for log or pid files could not be made.
    #[error("cannot create the folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl AppError {
    /// Whether the description itself is at fault, so that PM2 refuses the whole list of apps with
    /// one `Error`; otherwise only this app is left out and the errors come as an array.
    /// Specification `api.md` §5.1.
    #[must_use]
    pub fn is_validation(&self) -> bool {
        match self {
            Self::Invalid(_)
            | Self::Cron(_)
            | Self::NotRoot
            | Self::UnknownUser(_)
            | Self::UnknownGroup(_) => true,
            Self::NoScript
            | Self::ScriptNotFound(_)
            | Self::InterpreterNotFound(_)
            | Self::TypeScript
            | Self::FileServer(_)
            | Self::Folder { .. } => false,
        }
    }
}
