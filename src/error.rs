//! How the core's errors reach JavaScript.

use napi_derive::napi;
use pm2_core::client::{CallError, ConnectError};
use pm2_core::home::HomeError;

/// Why there is no connection; JavaScript makes an `Error` of it.
#[napi(object)]
pub struct Refusal {
    /// Text for people.
    pub message: String,
    /// Name for programs, such as `EACCES` or `PM2_NOT_RUNNING`.
    pub code: String,
}

impl From<ConnectError> for Refusal {
    fn from(error: ConnectError) -> Self {
        Self { message: error.to_string(), code: error.code().to_owned() }
    }
}

impl From<HomeError> for Refusal {
    fn from(error: HomeError) -> Self {
        ConnectError::from(error).into()
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self {
            message: format!("env is not a JSON object: {error}"),
            code: "ERR_INVALID_ARG_VALUE".to_owned(),
        }
    }
}

impl From<Refusal> for napi::Error {
    fn from(refusal: Refusal) -> Self {
        Self::from_reason(refusal.message)
    }
}

/// A broken connection, the only thing a call rejects with.
pub(crate) fn lost(error: &CallError) -> napi::Error {
    napi::Error::from_reason(error.to_string())
}
