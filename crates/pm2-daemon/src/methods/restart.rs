//! `restartProcessId`, `reloadProcessId`, `softReloadProcessId`.

use serde_json::Value;

use super::{Answer, MethodResult, job};
use crate::engine::Engine;
use crate::job::{Command, Farewell, Update};

/// Stops the app if it runs, applies `env` and its `current_conf`, starts it.
pub(super) async fn restart(engine: &Engine, options: &Value) -> MethodResult {
    let Some(id) = options.get("id").filter(|id| !id.is_null()) else {
        return Err("opts.id not passed to restartProcessId".to_owned());
    };
    again(engine, id, options, Command::Restart, |_| "God db process id unknown".to_owned()).await
}

/// A worker goes on until its successor serves; everything else is restarted.
pub(super) async fn reload(engine: &Engine, options: &Value) -> MethodResult {
    let command = |update| Command::Reload(update, Farewell::Usual);
    again(engine, &options["id"], options, command, |_| "PM2 ID unknown".to_owned()).await
}

/// As [`reload`]; the worker is told by a message, and has more time.
pub(super) async fn soft_reload(engine: &Engine, options: &Value) -> MethodResult {
    let command = |update| Command::Reload(update, Farewell::Message);
    again(engine, &options["id"], options, command, |id| format!("pm_id {id} not available in {id}")).await
}

async fn again(
    engine: &Engine,
    id: &Value,
    options: &Value,
    command: impl FnOnce(Update) -> Command,
    unknown: impl FnOnce(&str) -> String,
) -> MethodResult {
    let job = job(engine, id, unknown)?;
    job.ask(command(Update::read(options.get("env")))).await.map(Answer::Value)
}
