//! Verbs as JSON text, for callers in other languages.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::VerbError;
use super::look::DescribeRequest;
use super::outcome::{self, done};
use super::request::Caller;
use super::session::Session;
use super::{
    clear_dump, delete, describe, dump, graceful_reload, id_by_name, kill, list, pid, reload, restart,
    resurrect, start, stop,
};
use crate::client::CallError;
use crate::protocol::repair_surrogates;

/// `pid`, `idByName`: `{name?, context?}`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct NameRequest {
    name: Option<String>,
    context: Caller,
}

/// `dump`: `{force?, context?}`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct DumpRequest {
    force: bool,
    context: Caller,
}

/// `resurrect`: `{context?}`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ContextRequest {
    context: Caller,
}

/// Runs a verb: `start`, `restart`, `reload`, `gracefulReload`, `stop`, `delete`, `list`, `describe`, `pid`,
/// `idByName`, `kill`, `dump`, `clearDump`, `resurrect`.
///
/// `request` is the text of a JSON object ([`super::StartRequest`], [`super::TargetRequest`], or
/// `{target}`, `{name}`, `{force}`). The reply is the text of `{"result": …}`,
/// `{"error": {message, code?, stack?}}`, or `{"errors": [{message, …}…], "result": […]}`.
///
/// # Errors
/// Only a lost connection; every refusal is part of the reply.
pub async fn run(session: &Session, verb: &str, request: &str) -> Result<String, CallError> {
    match answer(session, verb, request).await {
        Ok(reply) => Ok(reply),
        Err(VerbError::Call(error)) => Err(error),
        Err(error) => Ok(outcome::refused(&error)),
    }
}

async fn answer(session: &Session, verb: &str, request: &str) -> Result<String, VerbError> {
    let success = serde_json::json!({ "success": true });
    match verb {
        "start" => outcome::started(&start(session, &read(request)?).await?),
        "restart" => outcome::started(&restart(session, &read(request)?).await?),
        "reload" => outcome::started(&reload(session, &read(request)?).await?),
        "gracefulReload" => outcome::started(&graceful_reload(session, &read(request)?).await?),
        "stop" => done(&stop(session, &read(request)?).await?),
        "delete" => done(&delete(session, &read(request)?).await?),
        "list" => done(&list(session).await?),
        "describe" => {
            let request: DescribeRequest = read(request)?;
            done(&describe(session, &request.target).await?)
        }
        "pid" => {
            let request: NameRequest = read(request)?;
            done(&pid(session, request.name.as_deref()).await?)
        }
        "idByName" => {
            let request: NameRequest = read(request)?;
            let name = request.name.as_deref().unwrap_or_default();
            done(&id_by_name(session, name, &request.context.dir()).await?)
        }
        "kill" => {
            kill(session).await?;
            done(&success)
        }
        "dump" => {
            let request: DumpRequest = read(request)?;
            let is_forced = request.force || request.context.is_set("FORCE");
            dump(session, is_forced).await?;
            done(&success)
        }
        "clearDump" => {
            clear_dump(session).await?;
            done(&success)
        }
        "resurrect" => {
            let request: ContextRequest = read(request)?;
            outcome::started(&resurrect(session, &request.context).await?)
        }
        _ => Err(VerbError::UnknownVerb(verb.to_owned())),
    }
}

fn read<T: DeserializeOwned>(request: &str) -> Result<T, VerbError> {
    // JavaScript strings may hold half characters, which JSON.stringify escapes.
    Ok(serde_json::from_str(&repair_surrogates(request))?)
}
