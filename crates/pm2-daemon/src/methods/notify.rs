//! `notifyByProcessId`.

use serde_json::Value;

use super::{Answer, MethodResult, job, shown};
use crate::engine::Engine;

/// Publishes a `process:event` on behalf of a client, which does so after each action.
pub(super) fn notify(engine: &Engine, options: &Value) -> MethodResult {
    let Some(id) = options.get("id").filter(|id| !id.is_null()) else {
        return Err("process id missing".to_owned());
    };
    let job = job(engine, id, |_| "process id doesnt exists".to_owned())?;
    let event = options.get("action_name").filter(|name| !name.is_null()).map(shown);
    // Whatever it says, as in PM2.
    let manually = options.get("manually").is_some();
    engine.supervisor.publish(&job, event.as_deref(), manually);
    Ok(Answer::Nothing)
}
