//! Application descriptions: from what a user wrote to what the daemon is asked to run.
//!
//! Two steps. *Checking* ([`check_object`], [`check_script`]) maps every accepted spelling to its
//! canonical name, converts units and reports mistakes; it looks at nothing but its arguments.
//! *Resolving* ([`resolve`]) looks at the machine: it finds the script, the interpreter, the user
//! and the log folders, and gives the argument of the daemon's `prepare` method.
//! One table, [`options::OPTIONS`], drives names, types, defaults and help.
//!
//! Behaviour of PM2 7.0.4, specification `options.md` §1–4; where PM2 loses falsy values or ignores
//! a spelling, this does what was written.

mod check;
mod coerce;
mod context;
mod cron;
mod environment;
mod error;
mod file_server;
mod instances;
mod interpreter;
mod layers;
pub mod options;
mod paths;
mod resolve;
mod script;
mod update;
mod user;
mod validate;
mod watch_extension;

pub use check::{CheckedApp, Form, check_object, check_script};
pub(crate) use coerce::number_from_f64;
pub use context::{CallerContext, StartOptions};
pub use cron::{CronError, check_cron};
pub use error::AppError;
pub(crate) use file_server::SCRIPT as FILE_SERVER;
pub use paths::{absolute, file_safe};
pub use resolve::{prepare_object, prepare_script, resolve};
pub use update::{AppUpdate, OptionUpdate, Running};
pub use validate::{Spelling, validate};

/// A JSON object, in the order it was written.
pub type Map = serde_json::Map<String, serde_json::Value>;

#[cfg(test)]
mod testing {
    use serde_json::Value;

    use super::Map;

    /// What is inside a JSON object.
    pub(super) fn map(value: Value) -> Map {
        match value {
            Value::Object(map) => map,
            other => panic!("not an object: {other}"),
        }
    }
}
