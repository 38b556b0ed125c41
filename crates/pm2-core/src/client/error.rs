//! What can go wrong between a client and its daemon, with the codes callers see.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::home::{Endpoint, HomeError};

/// A call that got no reply. A refusal by the daemon is not an error here but a [`super::Reply::Error`].
#[derive(Debug, Clone, Error)]
pub enum CallError {
    /// The connection ended before the reply came, or was already closed.
    #[error("connection to PM2 lost: {reason}")]
    ConnectionLost {
        /// Why it ended, for people.
        reason: String,
    },
    /// The call was not sent, because a daemon would end the connection for it, and with it all other calls.
    #[error("the request has {bytes} bytes, at most {limit} are sent")]
    RequestTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl CallError {
    /// The code shown to callers.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ConnectionLost { .. } => "PM2_CONNECTION_LOST",
            Self::RequestTooLarge { .. } => "PM2_REQUEST_TOO_LARGE",
        }
    }
}

/// Why a daemon could not be launched.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The home belongs to somebody else, who could then replace its sockets.
    #[error("the PM2 home {} belongs to another user (uid {owner})", path.display())]
    ForeignHome {
        /// The home.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
    },
    /// The daemon's log could not be opened.
    #[error("cannot open the daemon's log {}: {source}", path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The executable could not be run.
    #[error("cannot run the daemon {}: {source}", executable.display())]
    Spawn {
        /// What was run.
        executable: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The pipes to the new daemon could not be made or read.
    #[error("cannot wait for the daemon: {source}")]
    Pipe {
        /// The system's answer.
        source: io::Error,
    },
    /// It ended without saying that it is ready.
    #[error("the daemon ended before it was ready, see {}", log.display())]
    Ended {
        /// Its log.
        log: PathBuf,
    },
    /// It said something this client does not understand.
    #[error("the daemon {} is not of this version: it answered {line:?}", executable.display())]
    NotUnderstood {
        /// What was run.
        executable: PathBuf,
        /// The beginning of what it said.
        line: String,
    },
    /// It said why it cannot work.
    #[error("{message}")]
    Refused {
        /// Its reason.
        message: String,
        /// Its code.
        code: String,
    },
    /// It was not ready in time and has been ended.
    #[error("the daemon was not ready after {} s, see {}", limit.as_secs(), log.display())]
    TooSlow {
        /// The limit.
        limit: Duration,
        /// Its log.
        log: PathBuf,
    },
}

impl LaunchError {
    /// The code shown to callers.
    pub fn code(&self) -> &str {
        match self {
            Self::ForeignHome { .. } => "EACCES",
            Self::Log { source, .. } | Self::Spawn { source, .. } | Self::Pipe { source } => {
                io_code(source).unwrap_or("PM2_LAUNCH_FAILED")
            }
            Self::Refused { code, .. } => code,
            Self::TooSlow { .. } => "PM2_LAUNCH_TIMEOUT",
            Self::Ended { .. } | Self::NotUnderstood { .. } => "PM2_LAUNCH_FAILED",
        }
    }
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The daemon could not be launched.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A daemon may be there, but this user may not talk to it.
    #[error("permission denied on {endpoint}: the PM2 daemon of this home belongs to another user")]
    Denied {
        /// The socket.
        endpoint: Endpoint,
    },
    /// No daemon runs, and none was to be launched.
    #[error("no PM2 daemon is running at {endpoint}")]
    NotRunning {
        /// The socket.
        endpoint: Endpoint,
    },
    /// The socket cannot be connected for another reason.
    #[error("cannot connect to {endpoint}: {source}")]
    Socket {
        /// The socket.
        endpoint: Endpoint,
        /// The system's answer.
        source: io::Error,
    },
}

impl ConnectError {
    /// The code shown to callers.
    pub fn code(&self) -> &str {
        match self {
            Self::Home(error) => error.code(),
            Self::Launch(error) => error.code(),
            Self::Denied { .. } => "EACCES",
            Self::NotRunning { .. } => "PM2_NOT_RUNNING",
            Self::Socket { source, .. } => io_code(source).unwrap_or("PM2_CONNECT_FAILED"),
        }
    }
}

/// The system's name of the common errors.
pub(crate) fn io_code(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error() {
        Some(libc::EPERM) => return Some("EPERM"),
        Some(libc::ELOOP) => return Some("ELOOP"),
        Some(libc::ENAMETOOLONG) => return Some("ENAMETOOLONG"),
        Some(libc::EDQUOT) => return Some("EDQUOT"),
        _ => {}
    }
    Some(match error.kind() {
        io::ErrorKind::NotFound => "ENOENT",
        io::ErrorKind::PermissionDenied => "EACCES",
        io::ErrorKind::NotADirectory => "ENOTDIR",
        io::ErrorKind::IsADirectory => "EISDIR",
        io::ErrorKind::ReadOnlyFilesystem => "EROFS",
        io::ErrorKind::StorageFull => "ENOSPC",
        io::ErrorKind::OutOfMemory => "ENOMEM",
        _ => return None,
    })
}
