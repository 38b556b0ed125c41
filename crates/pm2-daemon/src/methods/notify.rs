//! `notifyByProcessId`.

use serde_json::Value;

use super::{Answer, MethodResult, job};
use crate::engine::Engine;

/// Publishes a `process:event` on behalf of a client, which does so after each action.
pub(super) fn notify(engine: &Engine, options: &Value) -> MethodResult {
    let Some(id) = options.get("id").filter(|id| !id.is_null()) else {
        return Err("process id missing".to_owned());
    };
    let job = job(engine, id, |_| "process id doesnt exists".to_owned())?;
    let event = options.get("action_name").and_then(Value::as_str).unwrap_or_default();
    let manually = options.get("manually").and_then(Value::as_bool).unwrap_or(false);
    engine.supervisor.publish(&job, event, manually);
    Ok(Answer::Nothing)
}
