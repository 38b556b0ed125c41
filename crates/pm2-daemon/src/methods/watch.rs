//! `stopWatch`, `startWatch`, `toggleWatch`.

use serde_json::Value;

use super::{Answer, MethodResult, id};
use crate::engine::Engine;
use crate::job::{Command, JobHandle};

const SUCCESS: &str = r#"{"success":true}"#;

/// Switches `watch` off for good: of one app before it is stopped or deleted, or of all. Always
/// succeeds; clients send it before every stop.
pub(super) async fn stop(engine: &Engine, method: &Value, value: &Value) -> MethodResult {
    for job in jobs(engine, method, value) {
        switch(&job, false).await;
    }
    Ok(Answer::Value(SUCCESS.to_owned()))
}

/// Switches `watch` on for the working directory.
pub(super) async fn start(engine: &Engine, method: &Value, value: &Value) -> MethodResult {
    let mut were_on = false;
    for job in jobs(engine, method, value) {
        were_on |= !switch(&job, true).await;
    }
    let reply = if were_on { r#"{"success":true,"notrestarted":true}"# } else { SUCCESS };
    Ok(Answer::Value(reply.to_owned()))
}

/// Switches `watch` on if it is off and off if it is on.
pub(super) async fn toggle(engine: &Engine, method: &Value, value: &Value) -> MethodResult {
    for job in jobs(engine, method, value) {
        let on = job.peek(|view| view.description.is_unwatched());
        switch(&job, on).await;
    }
    Ok(Answer::Value(SUCCESS.to_owned()))
}

/// The second argument is an id or has one; the first is the method that it is for.
fn jobs(engine: &Engine, method: &Value, value: &Value) -> Vec<JobHandle> {
    match method.as_str() {
        Some("stopAll" | "deleteAll") => engine.supervisor.jobs(),
        _ => {
            let value = value.get("id").unwrap_or(value);
            id(value).and_then(|id| engine.supervisor.job(id)).into_iter().collect()
        }
    }
}

/// Says whether anything has changed.
async fn switch(job: &JobHandle, on: bool) -> bool {
    let changes = job.peek(|view| view.description.is_unwatched()) == on;
    if changes {
        // Deleted meanwhile: nothing to switch.
        drop(job.ask(Command::Watch(on)).await);
    }
    changes
}
