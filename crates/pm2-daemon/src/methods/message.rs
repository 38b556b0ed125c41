//! `sendDataToProcessId`, `sendLineToStdin`.

use std::time::Duration;

use serde_json::Value;

use super::{Answer, MethodResult, job, shown};
use crate::engine::Engine;
use crate::job::{Command, Status};

/// How long an app may take to read a line before whoever sent it is told.
const INPUT_LIMIT: Duration = Duration::from_secs(2);

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
    let written = job.ask(Command::Input(line.to_owned()));
    match tokio::time::timeout(INPUT_LIMIT, written).await {
        Ok(written) => written?,
        Err(_) => {
            return Err(
                "the app has not read it yet; it is kept and written as soon as the app reads".to_owned()
            );
        }
    };
    Ok(Answer::Value(packet.to_string()))
}
