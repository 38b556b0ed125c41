//! The remote methods, one file per verb. Specification `wire.md` §6.
//!
//! Nothing a client sends may end the daemon: arguments are looked at as values, and what cannot be
//! used is answered with an error text.

mod action;
mod delete;
mod info;
mod kill;
mod list;
mod message;
mod meta;
mod notify;
mod restart;
mod signal;
mod start;
mod stop;
mod upgrade;
mod watch;

use std::sync::Arc;

use pm2_core::protocol::{
    Reply, Request, RequestError, RequestMessage, encode_reply, encode_result, encode_success,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::engine::Engine;
use crate::job::JobHandle;

/// What a method answers.
pub(crate) enum Answer {
    /// One result, as JSON text.
    Value(String),
    /// Success without a result.
    Nothing,
    /// The caller must not wait.
    NoReply,
}

/// A method's result; the error is the text that the client sees.
pub(crate) type MethodResult = Result<Answer, String>;

/// The methods in PM2's order with the parameter names of its listing, and then our own.
const METHODS: &[(&str, &[&str])] = &[
    ("killMe", &[]),
    ("prepare", &["env", "cb"]),
    ("getMonitorData", &["env", "cb"]),
    ("getSystemData", &["env", "cb"]),
    ("startProcessId", &["id", "cb"]),
    ("stopProcessId", &["id", "cb"]),
    ("restartProcessId", &["opts", "cb"]),
    ("deleteProcessId", &["id", "cb"]),
    ("sendLineToStdin", &["packet", "cb"]),
    ("softReloadProcessId", &["opts", "cb"]),
    ("reloadProcessId", &["opts", "cb"]),
    ("duplicateProcessId", &["id", "cb"]),
    ("resetMetaProcessId", &["id", "cb"]),
    ("stopWatch", &["method", "value", "fn"]),
    ("startWatch", &["method", "value", "fn"]),
    ("toggleWatch", &["method", "value", "fn"]),
    ("notifyByProcessId", &["opts", "cb"]),
    ("notifyKillPM2", &[]),
    ("monitor", &["pm_id", "cb"]),
    ("unmonitor", &["pm_id", "cb"]),
    ("msgProcess", &["cmd", "cb"]),
    ("sendDataToProcessId", &["packet", "cb"]),
    ("sendSignalToProcessId", &["opts", "cb"]),
    ("sendSignalToProcessName", &["opts", "cb"]),
    ("ping", &["env", "cb"]),
    ("getVersion", &["env", "cb"]),
    ("getReport", &["arg", "cb"]),
    ("reloadLogs", &["opts", "cb"]),
    ("getOwnVersion", &["env", "cb"]),
    ("upgrade", &["path", "cb"]),
];

/// Carries out a request and gives the reply as a frame; `None` when there is nothing to answer.
pub(crate) async fn answer(engine: &Arc<Engine>, message: RequestMessage) -> Option<Vec<u8>> {
    let id = &message.id;
    let result = match message.request {
        Ok(Request::Methods) => return Some(encode_reply(id, &Reply::Methods(listing()))),
        Ok(Request::Call { method, args }) => call(engine, &method, &args).await,
        Err(error) => Err(refusal(&error)),
    };
    match result {
        Ok(Answer::NoReply) => None,
        Ok(Answer::Nothing) => Some(encode_success(id, "[]")),
        Ok(Answer::Value(json)) => Some(encode_result(id, &json)),
        Err(message) => Some(encode_reply(id, &Reply::Error { message, stack: None })),
    }
}

/// An unknown method is named before its arguments are complained about.
fn refusal(error: &RequestError) -> String {
    match error {
        RequestError::ArgsRequired { method }
        | RequestError::ArgsNotArray { method }
        | RequestError::TooManyArgs { method }
            if !METHODS.iter().any(|(name, _)| name == method) =>
        {
            unknown(method)
        }
        _ => error.to_string(),
    }
}

fn unknown(method: &str) -> String {
    format!("method \"{method}\" does not exist")
}

async fn call(engine: &Arc<Engine>, method: &str, args: &[Box<RawValue>]) -> MethodResult {
    let argument = |index: usize| -> Value {
        args.get(index).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    };
    if method == "upgrade" {
        return upgrade::upgrade(engine, &argument(0)).await;
    }
    if method == "sendDataToProcessId" {
        // The only one whose argument may be large: it is not read, but passed on. It does not count either: an upgrade
        // need not wait for an app to read, but hands over what is queued.
        return message::send_data(engine, args.first().map(|packet| &**packet)).await;
    }
    let _counted = engine.supervisor.context.under_way.one();
    let first = argument(0);
    match method {
        "ping" => Ok(info::ping()),
        "getVersion" => Ok(info::version()),
        "getOwnVersion" => Ok(info::own_version()),
        "getReport" => Ok(info::report(engine)),
        "getSystemData" => Ok(info::system_data()),
        "getMonitorData" => Ok(list::monitor_data(engine)),
        "prepare" => start::prepare(engine, first).await,
        "startProcessId" => start::start(engine, &first).await,
        "duplicateProcessId" => start::duplicate(engine, &first).await,
        "restartProcessId" => restart::restart(engine, &first).await,
        "reloadProcessId" => restart::reload(engine, &first).await,
        "softReloadProcessId" => restart::soft_reload(engine, &first).await,
        "stopProcessId" => stop::stop(engine, &first).await,
        "deleteProcessId" => delete::delete(engine, &first).await,
        "resetMetaProcessId" => meta::reset(engine, &first).await,
        "monitor" => meta::monitor(engine, &first, true).await,
        "unmonitor" => meta::monitor(engine, &first, false).await,
        "stopWatch" => watch::stop(engine, &first, &argument(1)).await,
        "startWatch" => watch::start(engine, &first, &argument(1)).await,
        "toggleWatch" => watch::toggle(engine, &first, &argument(1)).await,
        "notifyByProcessId" => notify::notify(engine, &first),
        "msgProcess" => action::trigger(engine, &first).await,
        "sendLineToStdin" => message::send_line(engine, first).await,
        "sendSignalToProcessId" => signal::to_id(engine, &first).await,
        "sendSignalToProcessName" => signal::to_name(engine, &first).await,
        "reloadLogs" => meta::reload_logs(engine, &first).await,
        "notifyKillPM2" => Ok(kill::notify(engine)),
        "killMe" => Ok(kill::kill_me(engine, &first)),
        _ => Err(unknown(method)),
    }
}

/// The object of the `methods` request.
fn listing() -> Box<RawValue> {
    let methods: Map<String, Value> = METHODS
        .iter()
        .map(|(name, params)| ((*name).to_owned(), serde_json::json!({"name": name, "params": params})))
        .collect();
    RawValue::from_string(Value::Object(methods).to_string()).expect("a serialised value is JSON")
}

/// Reads a process id: a number or its decimal text.
fn id(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) => number.as_u64().and_then(|id| u32::try_from(id).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Text of a value as JavaScript would put it into a message.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(_) => "[object Object]".to_owned(),
        other => other.to_string(),
    }
}

/// Finds a job, or words the error with `suffix` behind the id.
fn job(engine: &Engine, value: &Value, error: impl FnOnce(&str) -> String) -> Result<JobHandle, String> {
    id(value).and_then(|id| engine.supervisor.job(id)).ok_or_else(|| error(&shown(value)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_numbers_or_their_text() {
        assert_eq!((id(&json!(3)), id(&json!("3"))), (Some(3), Some(3)));
        for bad in [json!(-1), json!(1.5), json!("_old_0"), json!(null), json!([1]), json!(1e300)] {
            assert_eq!(id(&bad), None, "{bad}");
        }
    }

    #[test]
    fn the_listing_names_every_method_once() {
        let listing: Map<String, Value> = serde_json::from_str(listing().get()).unwrap();
        assert_eq!(listing.len(), METHODS.len());
        assert_eq!(listing["stopWatch"]["params"], json!(["method", "value", "fn"]));
    }
}
