//! `stopProcessId`.

use serde_json::Value;

use super::{Answer, MethodResult, job};
use crate::engine::Engine;
use crate::job::Command;

/// Stops an app and keeps it; answers its state once its whole process tree is gone.
pub(super) async fn stop(engine: &Engine, argument: &Value) -> MethodResult {
    let id = argument.get("id").unwrap_or(argument);
    let job = job(engine, id, |id| format!("{id} : id unknown"))?;
    job.ask_to_end(Command::Stop).await.map(Answer::Value)
}
