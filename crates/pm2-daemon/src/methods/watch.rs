//! `stopWatch`.

use serde_json::Value;

use super::{Answer, MethodResult, id};
use crate::engine::Engine;
use crate::job::Command;

/// Switches `watch` off for good: of one app before it is stopped or deleted, or of all. Always
/// succeeds; clients send it before every stop.
pub(super) async fn stop(engine: &Engine, method: &Value, value: &Value) -> MethodResult {
    let jobs = match method.as_str() {
        Some("stopAll" | "deleteAll") => engine.supervisor.jobs(),
        _ => {
            let value = value.get("id").unwrap_or(value);
            id(value).and_then(|id| engine.supervisor.job(id)).into_iter().collect()
        }
    };
    for job in jobs {
        if !job.peek(|view| view.description.is_unwatched()) {
            // Deleted meanwhile: nothing to switch off.
            drop(job.ask(Command::Unwatch).await);
        }
    }
    Ok(Answer::Value(r#"{"success":true}"#.to_owned()))
}
