//! Why a verb failed, with the texts PM2 shows.

use std::io;
use std::path::PathBuf;

use serde::Serialize;
use thiserror::Error;

use crate::app::AppError;
use crate::client::CallError;
use crate::client::error::io_code;
use crate::config::ShapeError;
use crate::dump::DumpError;
use crate::target::{NotFound, TargetError};

/// Why a verb failed.
#[derive(Debug, Error)]
pub enum VerbError {
    /// The connection ended.
    #[error(transparent)]
    Call(CallError),
    /// The daemon would not take a request; the connection stays.
    #[error(transparent)]
    NotSent(CallError),
    /// The daemon refused.
    #[error("{message}")]
    Refused {
        /// Its text.
        message: String,
        /// Its JavaScript stack text, if it sent one.
        stack: Option<String>,
    },
    /// The daemon's answer, or the request, is not of the expected shape.
    #[error("not understood: {0}")]
    Shape(#[from] serde_json::Error),
    /// There is no such verb.
    #[error("unknown verb {0:?}")]
    UnknownVerb(String),
    /// An app cannot be started as described.
    #[error(transparent)]
    App(#[from] AppError),
    /// A configuration file contains something else.
    #[error(transparent)]
    Config(#[from] ShapeError),
    /// The target is of a wrong type or not a regular expression.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The target selects nothing; the text depends on the verb.
    #[error("{0}")]
    NotFound(String),
    /// The script runs under this name already.
    #[error("Script already launched")]
    AlreadyLaunched,
    /// The name of an environment without the file that defines it.
    #[error("Using --env [env] without passing the ecosystem.config.js does not work")]
    EnvWithoutFile,
    /// Another client reloads right now.
    #[error("Reload in progress")]
    ReloadInProgress,
    /// Saving an empty list needs `force`.
    #[error("Process list empty, cannot save empty list")]
    EmptyList,
    /// The saved list could not be read or written.
    #[error(transparent)]
    Dump(#[from] DumpError),
    /// A saved app could not be started.
    #[error("{name}: {source}")]
    Restore {
        /// Its name.
        name: String,
        /// Why.
        source: Box<VerbError>,
    },
    /// This process ends.
    #[error("interrupted, because this process ends")]
    Interrupted,
    /// A file of the home could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl From<CallError> for VerbError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::ConnectionLost { .. } => Self::Call(error),
            CallError::RequestTooLarge { .. } => Self::NotSent(error),
        }
    }
}

impl VerbError {
    /// The text PM2 has for this verb when a target selects nothing.
    pub(super) fn not_found(error: &NotFound, verb: &str) -> Self {
        Self::NotFound(error.message(verb))
    }

    /// The code shown to callers, for errors that PM2 does not know by their text.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Call(error) | Self::NotSent(error) => Some(error.code()),
            Self::Refused { message, .. } if message.starts_with("Reload aborted") => {
                Some("PM2_RELOAD_ABORTED")
            }
            Self::Interrupted => Some("PM2_INTERRUPTED"),
            Self::Shape(_) => Some("PM2_NOT_UNDERSTOOD"),
            Self::UnknownVerb(_) => Some("PM2_UNKNOWN_VERB"),
            Self::Target(TargetError::Type(_)) | Self::Config(_) => Some("ERR_INVALID_ARG_TYPE"),
            Self::Dump(DumpError::Read { source, .. }) => io_code(source),
            Self::Dump(DumpError::Write(error)) => io_code(&error.source),
            Self::Io { source, .. } => io_code(source),
            Self::Restore { source, .. } => source.code(),
            _ => None,
        }
    }

    /// The error as callers get it.
    pub fn to_failure(&self) -> Failure {
        let stack = match self {
            Self::Refused { stack, .. } => stack.clone(),
            _ => None,
        };
        Failure { message: self.to_string(), code: self.code(), stack }
    }
}

/// A failed verb, or one failed app of several: `{message, code?, stack?}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The text PM2 shows.
    pub message: String,
    /// A name for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The daemon's JavaScript stack text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}
