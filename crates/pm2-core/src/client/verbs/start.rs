//! `start`: apps, or a script, or something known by its name.

use std::path::Path;

use serde_json::Value;

use super::apps::start_apps;
use super::error::VerbError;
use super::outcome::Started;
use super::prepare::prepare;
use super::request::StartRequest;
use super::restart::{Replace, replace_all, update_of};
use super::session::{Json, Listed, Session, width};
use crate::app::{CallerContext, Map, check_script, resolve};
use crate::target::{self, Target};

/// Starts apps or a script.
///
/// With `config`: known names are restarted, the others started, errors collected. With `script`, in this order:
/// a bare word that names processes or a namespace restarts these, a number restarts that id, a script that runs
/// under this name already is restarted unless it is up, everything else is started. Behaviour of PM2 7.0.4,
/// specification `api.md` §5.1.
///
/// # Errors
/// A mistake in the options; with a script also whatever keeps it from starting.
pub async fn start(session: &Session, request: &StartRequest) -> Result<Started, VerbError> {
    if let Some(apps) = request.apps()? {
        return start_apps(session, &apps, request, Replace::Restart, None).await;
    }
    let script = request.script.as_deref().unwrap_or_default();
    let started = start_script(session, script, request).await?;
    Ok(Started::all(started))
}

async fn start_script(
    session: &Session,
    script: &str,
    request: &StartRequest,
) -> Result<Vec<Json>, VerbError> {
    let ctx = request.context.context(&session.home);
    let checked = check_script(script, &request.options, &ctx)?;
    let processes = session.list().await?;
    if let Some(ids) = known(script, &processes)? {
        return restart(session, ids, &request.options, &ctx, request).await;
    }
    let app = resolve(&checked, &ctx)?;
    let runs_it = |process: &&Listed| {
        process.name == checked.name
            && app.get("pm_exec_path").and_then(Value::as_str) == Some(process.pm2_env.pm_exec_path.as_str())
    };
    let is_forced = request.options.get("force") == Some(&Value::Bool(true));
    if let Some(found) = processes.iter().find(runs_it).filter(|_| !is_forced) {
        return match found.pm2_env.status.as_str() {
            "stopped" | "stopping" | "errored" => {
                let same_name = processes.iter().filter(|other| other.name == found.name);
                let ids = same_name.map(|other| other.pm_id.clone()).collect();
                restart(session, ids, &request.options, &ctx, request).await
            }
            _ => Err(VerbError::AlreadyLaunched),
        };
    }
    prepare(session, &app).await
}

/// The processes meant by a word that is no path, `None` when the daemon knows nothing of that name.
fn known(script: &str, processes: &[Listed]) -> Result<Option<Vec<Value>>, VerbError> {
    if script.is_empty() || script.contains('/') || script == "-" {
        return Ok(None);
    }
    let target = target::parse(&Value::from(script))?;
    let is_known_word = match &target {
        Target::NameOrId(_) | Target::All => true,
        // Only the name counts here, not the script, which may be started under another name.
        Target::Name(name) if Path::new(script).extension().is_none() => {
            processes.iter().any(|process| process.name == *name || process.pm2_env.namespace == *name)
        }
        _ => false,
    };
    if !is_known_word {
        return Ok(None);
    }
    let summaries: Vec<_> = processes.iter().filter_map(Listed::summary).collect();
    let nowhere = Path::new("/dev/null/");
    let ids = target::select(&target, &summaries, nowhere)
        .map_err(|error| VerbError::not_found(&error, "restart"))?;
    Ok(Some(ids.into_iter().map(Value::from).collect()))
}

async fn restart(
    session: &Session,
    ids: Vec<Value>,
    options: &Map,
    ctx: &CallerContext,
    request: &StartRequest,
) -> Result<Vec<Json>, VerbError> {
    let update = update_of(options, ctx)?;
    let width = width(None, request.context.width(), ids.len());
    replace_all(session, ids, update, Replace::Restart, width).await
}
