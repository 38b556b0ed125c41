//! `sendDataToProcessId`, `sendLineToStdin`.

use serde_json::Value;

use super::{Answer, MethodResult, job, shown};
use crate::engine::Engine;
use crate::job::{Command, Status};

/// Sends the whole packet to an app's `process.on('message')`. Needs `id` and `data`; PM2's third
/// condition, a `topic`, is not asked for.
pub(super) async fn send_data(engine: &Engine, packet: Value) -> MethodResult {
    let missing = |key: &str| packet.get(key).is_none_or(Value::is_null);
    if missing("id") || packet.get("data").is_none() {
        return Err("ID, DATA or TOPIC field is missing".to_owned());
    }
    let job = job(engine, &packet["id"], |id| format!("Process with ID <{id}> unknown."))?;
    if !job.peek(|view| matches!(view.status, Status::Online | Status::Launching)) {
        return Err(format!("Process with ID <{}> offline.", shown(&packet["id"])));
    }
    job.ask(Command::Message(packet.to_string())).await?;
    Ok(Answer::Value(format!(r#"{{"success":true,"data":{packet}}}"#)))
}

/// Writes a text to an app's standard input.
pub(super) async fn send_line(engine: &Engine, packet: Value) -> MethodResult {
    let (Some(id), Some(line)) = (packet.get("pm_id"), packet.get("line").and_then(Value::as_str)) else {
        return Err("pm_id or line field missing".to_owned());
    };
    let job = job(engine, id, |id| format!("Process with ID <{id}> unknown."))?;
    if job.peek(|view| view.spec.cluster) {
        return Err("Cannot send line to processes in cluster mode".to_owned());
    }
    if !job.peek(|view| matches!(view.status, Status::Online | Status::Launching)) {
        return Err(format!("Process with ID <{}> offline.", shown(id)));
    }
    job.ask(Command::Input(line.to_owned())).await?;
    Ok(Answer::Value(packet.to_string()))
}
