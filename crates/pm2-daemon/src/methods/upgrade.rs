//! `upgrade`, a method of our own.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::{MethodResult, shown};
use crate::engine::Engine;
use crate::upgrade;

/// Runs another program in the daemon's place, which goes on with everything: the file that the daemon was started from,
/// as it is now, or the one named. Answers only if that failed; otherwise the connection ends.
pub(super) async fn upgrade(engine: &Arc<Engine>, path: &Value) -> MethodResult {
    let path = match path {
        Value::Null => None,
        Value::String(path) => Some(PathBuf::from(path)),
        // Callers pass an empty object where there is nothing to say.
        Value::Object(members) if members.is_empty() => None,
        other => return Err(format!("upgrade needs the path of an executable, not {}", shown(other))),
    };
    Err(format!("cannot upgrade: {}; everything goes on as before", upgrade::ask(engine, path).await))
}
