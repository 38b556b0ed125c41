//! `startup` and `uninstallStartup` as JSON text, for callers in other languages.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::error::StartupError;
use super::perform::{Place, install, remove, save_list};
use super::plan::{plan, removal};
use super::request::{Action, Facts, Request};
use crate::home::Home;

/// Does it. `request` is the text of a JSON object, see [`Request`].
///
/// The reply is the text of `{"result": {destination, template}}` or `{"result": {commands, platform, failed?}}`, or of
/// `{"error": {message, code?}}`. Must be called inside a tokio runtime.
pub async fn run(
    action: Action,
    request: &str,
    executable: PathBuf,
    home: &Home,
    get: &(dyn Fn(&str) -> Option<String> + Sync),
) -> String {
    let reply = match answer(action, request, executable, home, get).await {
        Ok(result) => json!({ "result": result }),
        Err(error) => json!({ "error": error.to_failure() }),
    };
    reply.to_string()
}

async fn answer(
    action: Action,
    request: &str,
    executable: PathBuf,
    home: &Home,
    get: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Value, StartupError> {
    let request: Request = serde_json::from_str(request)?;
    let place = Place::from_env(get);
    let facts = Facts::of_this_process(executable, home, &place, get);
    if action == Action::Remove {
        let removal = removal(&request, &facts)?;
        let commands: Vec<String> = removal.steps.iter().map(super::RemovalStep::text).collect();
        let platform = removal.platform.clone();
        let failed = blocking(move || remove(&removal, &place, &mut |_| {})).await;
        let mut result = json!({ "commands": commands, "platform": platform });
        if !failed.is_empty() {
            let failed =
                failed.iter().map(|failed| json!({ "command": failed.command, "output": failed.output }));
            result["failed"] = failed.collect();
        }
        return Ok(result);
    }
    let plan = plan(&request, &facts)?;
    save_list(&plan.home, &facts.executable).await?;
    let result = json!({ "destination": plan.destination, "template": plan.template });
    blocking(move || install(&plan, &place, &mut |_| {})).await?;
    Ok(result)
}

/// Commands of an init system may take long; other calls go on meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
