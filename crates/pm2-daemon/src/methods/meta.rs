//! `resetMetaProcessId`, `monitor`, `unmonitor`, `reloadLogs`.

use serde_json::Value;

use super::{Answer, MethodResult, id, job};
use crate::engine::Engine;
use crate::job::Command;

/// Counters to 0; answers all processes.
pub(super) async fn reset(engine: &Engine, id: &Value) -> MethodResult {
    let job = job(engine, id, |id| format!("{id} id unknown"))?;
    job.ask(Command::ResetMeta).await?;
    Ok(Answer::Value(engine.supervisor.formatted_json()))
}

/// Sets the flag that marks an app as watched by PM2's agent.
pub(super) async fn monitor(engine: &Engine, argument: &Value, on: bool) -> MethodResult {
    let Some(id) = id(argument) else { return Err("Unknown pm_id".to_owned()) };
    let job = job(engine, argument, |_| "Unknown pm_id".to_owned())?;
    job.ask(Command::Monitor(on)).await?;
    Ok(Answer::Value(format!(r#"{{"success":true,"pm_id":{id}}}"#)))
}

/// Opens all log files by their paths again; does not wait for it, as PM2 does not. With `{rotate: true}` the logs go on
/// in files with higher numbers, and the answer comes when they do.
pub(super) async fn reload_logs(engine: &Engine, options: &Value) -> MethodResult {
    if options.get("rotate") == Some(&Value::Bool(true)) {
        engine.continue_logs().await?;
    } else {
        engine.reload_logs();
    }
    Ok(Answer::Value("{}".to_owned()))
}
