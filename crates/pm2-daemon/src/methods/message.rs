//! `sendDataToProcessId`, `sendLineToStdin`.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Answer, MethodResult, job, shown};
use crate::engine::Engine;
use crate::job::{Command, Reply, Status, View};

/// How long an app may take to read a line before whoever sent it is told.
const INPUT_LIMIT: Duration = Duration::from_secs(2);
/// The same for a message. One that fits into the channel need not be read for its answer.
const MESSAGE_LIMIT: Duration = Duration::from_secs(5);

/// What has to be known of a packet; its text goes to the app as it is.
#[derive(Deserialize)]
struct Packet<'a> {
    #[serde(default)]
    id: Value,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

/// `null` is a value.
fn present<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// Sends the whole packet to an app's `process.on('message')` and answers when it has been written to the app's channel.
/// Needs `id` and `data`; PM2's third condition, a `topic`, is not asked for.
pub(super) async fn send_data(engine: &Engine, packet: Option<&RawValue>) -> MethodResult {
    let text = packet.map(RawValue::get).unwrap_or_default();
    let Ok(Packet { id, data: Some(_) }) = serde_json::from_str::<Packet<'_>>(text) else {
        return Err(MISSING.to_owned());
    };
    if id.is_null() {
        return Err(MISSING.to_owned());
    }
    let job = job(engine, &id, |id| format!("Process with ID <{id}> unknown."))?;
    if !job.peek(is_running) {
        return Err(format!("Process with ID <{}> offline.", shown(&id)));
    }
    written(job.ask(Command::Message(one_line(text).into_owned()))).await?;
    Ok(Answer::Value(format!(r#"{{"success":true,"data":{text}}}"#)))
}

const MISSING: &str = "ID, DATA or TOPIC field is missing";

/// JSON as it can be sent: the end of a line is the end of a message. In JSON it can only be white space.
fn one_line(json: &str) -> Cow<'_, str> {
    match json.contains('\n') {
        true => Cow::Owned(json.replace('\n', " ")),
        false => Cow::Borrowed(json),
    }
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
    if !job.peek(is_running) {
        return Err(format!("Process with ID <{}> offline.", shown(id)));
    }
    within(INPUT_LIMIT, job.ask(Command::Input(line.to_owned()))).await?;
    Ok(Answer::Value(packet.to_string()))
}

/// Whether an app can be spoken to.
pub(super) fn is_running(view: &View) -> bool {
    matches!(view.status, Status::Online | Status::Launching)
}

/// Waits until a message is in the app's channel.
///
/// # Errors
/// What the job answers, and that the app does not read.
pub(super) async fn written(asked: impl Future<Output = Reply>) -> Reply {
    within(MESSAGE_LIMIT, asked).await
}

async fn within(limit: Duration, asked: impl Future<Output = Reply>) -> Reply {
    let late = "the app has not read it yet; it is kept and written as soon as the app reads";
    tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| Err(late.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_one_line_and_keeps_its_text() {
        assert_eq!(one_line("{\"id\":1,\n \"data\":1.10}"), "{\"id\":1,  \"data\":1.10}");
        assert!(matches!(one_line(r#"{"data":"\n"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn null_is_data_and_nothing_is_not() {
        let has_data =
            |text: &str| serde_json::from_str::<Packet<'_>>(text).is_ok_and(|packet| packet.data.is_some());
        assert!(has_data(r#"{"id":0,"data":null}"#));
        assert!(has_data(r#"{"data":"\ud800"}"#));
        assert!(!has_data(r#"{"id":0}"#));
        assert!(!has_data("[]"));
        assert!(!has_data(""));
    }
}
