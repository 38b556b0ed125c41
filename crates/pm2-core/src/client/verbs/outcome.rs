//! What verbs give back, and its text for callers in other languages.

use serde::Serialize;

use super::error::{Failure, VerbError};
use super::session::Json;

/// Processes that came up, and why others did not.
#[derive(Debug, Default)]
pub struct Started {
    /// One element per process, in the order of what was asked for: the short form of a restarted one, the daemon's
    /// whole answer for a new one.
    pub result: Vec<Json>,
    /// One element per app that could not be started; the others were.
    pub errors: Vec<VerbError>,
}

impl Started {
    /// Everything came up.
    pub(super) fn all(result: Vec<Json>) -> Self {
        let errors = Vec::new();
        Self { result, errors }
    }
}

#[derive(Serialize)]
struct Done<T> {
    result: T,
}

#[derive(Serialize)]
struct Refused {
    error: Failure,
}

#[derive(Serialize)]
struct Partly<T> {
    errors: Vec<Failure>,
    result: T,
}

/// `{"result": …}`.
pub(super) fn done(result: &impl Serialize) -> Result<String, VerbError> {
    Ok(serde_json::to_string(&Done { result })?)
}

/// `{"result": […]}`, or `{"errors": […], "result": […]}` when something did not come up.
pub(super) fn started(started: &Started) -> Result<String, VerbError> {
    if started.errors.is_empty() {
        return done(&started.result);
    }
    let errors = started.errors.iter().map(VerbError::to_failure).collect();
    let result = &started.result;
    Ok(serde_json::to_string(&Partly { errors, result })?)
}

/// `{"error": {message, code?, stack?}}`.
pub(super) fn refused(error: &VerbError) -> String {
    let error = error.to_failure();
    serde_json::to_string(&Refused { error }).expect("a failure is plain text")
}
