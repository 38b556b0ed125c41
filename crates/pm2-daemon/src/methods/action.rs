//! `msgProcess`: has apps carry out an action that they offer.

use std::path::Path;

use serde_json::{Value, json};

use super::message::{self, is_running};
use super::{Answer, MethodResult, job, shown};
use crate::engine::Engine;
use crate::job::{Command, JobHandle, Status, View};

/// By `id` one process, which must offer the action; by `name` all that are online and offer it, where the name is that
/// of the app, its namespace, its script, or `all`. Answers how many were told.
pub(super) async fn trigger(engine: &Engine, command: &Value) -> MethodResult {
    let given = |key: &str| command.get(key).filter(|value| !value.is_null());
    let action = given("msg").map(shown).unwrap_or_default();
    // A mere word is sent as such.
    let is_bare = given("opts").is_none() && given("uuid").is_none();
    let text =
        if is_bare { given("msg").cloned().unwrap_or_default().to_string() } else { command.to_string() };

    let n_told = if let Some(id) = given("id") {
        let job = job(engine, id, |id| format!("{id} id unknown"))?;
        let (offers, name, runs) =
            job.peek(|view| (offers(view, &action), view.spec.name.clone(), is_running(view)));
        if !offers {
            return Err(format!("Action doesn't exist {action} for {name}"));
        }
        if !runs {
            return Err(format!("{} : id offline", shown(id)));
        }
        message::written(job.ask(Command::Trigger { action, text })).await?;
        1
    } else if let Some(name) = given("name") {
        to_all(engine, &shown(name), &action, &text).await?
    } else {
        return Err("method requires name or id field".to_owned());
    };
    Ok(Answer::Value(json!({"process_count": n_told, "success": true}).to_string()))
}

/// How many were told. An error when there was somebody to tell and nobody could be.
async fn to_all(engine: &Engine, name: &str, action: &str, text: &str) -> Result<usize, String> {
    let is_meant =
        |view: &View| view.status == Status::Online && offers(view, action) && answers_to(view, name);
    let chosen: Vec<JobHandle> =
        engine.supervisor.jobs().into_iter().filter(|job| job.peek(is_meant)).collect();
    let asked: Vec<_> = chosen
        .iter()
        .map(|job| job.ask(Command::Trigger { action: action.to_owned(), text: text.to_owned() }))
        .map(|asked| tokio::spawn(message::written(asked)))
        .collect();
    let mut n_told = 0;
    let mut failure = None;
    for asked in asked {
        match asked.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(_) => n_told += 1,
            Err(error) => failure = Some(error),
        }
    }
    failure.filter(|_| n_told == 0).map_or(Ok(n_told), Err)
}

fn offers(view: &View, action: &str) -> bool {
    view.axm_actions
        .iter()
        .any(|offered| offered.get("action_name").is_some_and(|name| shown(name) == action))
}

fn answers_to(view: &View, name: &str) -> bool {
    let script = Path::new(&view.spec.script).file_name().and_then(|name| name.to_str());
    name == "all" || name == view.spec.name || name == view.spec.namespace || Some(name) == script
}
