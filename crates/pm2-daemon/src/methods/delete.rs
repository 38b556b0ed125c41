//! `deleteProcessId`.

use serde_json::Value;

use super::{Answer, MethodResult, job};
use crate::engine::Engine;

/// Stops an app and forgets it; answers its last state.
pub(super) async fn delete(engine: &Engine, id: &Value) -> MethodResult {
    let job = job(engine, id, |id| format!("{id} : id unknown"))?;
    engine.supervisor.delete(&job).await.map(Answer::Value)
}
