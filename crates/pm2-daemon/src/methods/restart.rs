//! `restartProcessId`, `reloadProcessId`, `softReloadProcessId`.

use serde_json::Value;

use super::{Answer, MethodResult, job};
use crate::engine::Engine;
use crate::job::{Command, Update};

/// Stops the app if it runs, applies `env` and its `current_conf`, starts it.
pub(super) async fn restart(engine: &Engine, options: &Value) -> MethodResult {
    let Some(id) = options.get("id").filter(|id| !id.is_null()) else {
        return Err("opts.id not passed to restartProcessId".to_owned());
    };
    again(engine, id, options, |_| "God db process id unknown".to_owned()).await
}

/// A fork-mode app is reloaded by a restart.
pub(super) async fn reload(engine: &Engine, options: &Value) -> MethodResult {
    again(engine, &options["id"], options, |_| "PM2 ID unknown".to_owned()).await
}

/// As [`reload`], with the error text of the older method.
pub(super) async fn soft_reload(engine: &Engine, options: &Value) -> MethodResult {
    again(engine, &options["id"], options, |id| format!("pm_id {id} not available in {id}")).await
}

async fn again(
    engine: &Engine,
    id: &Value,
    options: &Value,
    unknown: impl FnOnce(&str) -> String,
) -> MethodResult {
    let job = job(engine, id, unknown)?;
    job.ask(Command::Restart(Update::read(options.get("env")))).await.map(Answer::Value)
}
