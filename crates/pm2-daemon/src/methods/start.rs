//! `prepare`, `startProcessId`, `duplicateProcessId`.

use serde_json::Value;

use super::{Answer, MethodResult, job};
use crate::engine::Engine;
use crate::job::Command;

/// Creates and starts the instances of an app; answers an array of what was started.
pub(super) async fn prepare(engine: &Engine, app: Value) -> MethodResult {
    let Value::Object(app) = app else {
        return Err("prepare needs an app description, an object".to_owned());
    };
    engine.supervisor.prepare(app).await.map(Answer::Value)
}

/// Starts a known app that is not running.
pub(super) async fn start(engine: &Engine, id: &Value) -> MethodResult {
    let job = job(engine, id, |id| format!("{id} id unknown"))?;
    job.ask(Command::Start).await.map(Answer::Value)
}

/// One more instance of a known app.
pub(super) async fn duplicate(engine: &Engine, id: &Value) -> MethodResult {
    let job = job(engine, id, |id| format!("{id} id unknown"))?;
    engine.supervisor.duplicate(&job).await.map(Answer::Value)
}
