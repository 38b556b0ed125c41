//! `start`: apps, or a script, or something known by its name.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::apps::start_apps;
use super::error::VerbError;
use super::outcome::Started;
use super::prepare::prepare;
use super::request::StartRequest;
use super::restart::{Replace, replace_all};
use super::session::{Json, Listed, Session, selected, width};
use crate::app::{CallerContext, CheckedApp, OptionUpdate, check_script, resolve};
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
    if let Some(config) = request.config()? {
        return start_apps(session, config, request, Replace::Restart, None).await;
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
    if let Some(target) = known(script, &processes)? {
        let meant = selected(&target, processes, Path::new("/dev/null/"), "restart")?;
        return restart(session, &meant, &ctx, request).await;
    }
    if checked.options.get("write") == Some(&Value::Bool(true)) {
        write_down(&checked, &ctx)?;
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
                let same_name: Vec<_> = same_name.cloned().collect();
                restart(session, &same_name, &ctx, request).await
            }
            _ => Err(VerbError::AlreadyLaunched),
        };
    }
    prepare(session, &app).await
}

/// The option `write`: the options become a configuration file, `<name>-pm2.json` where the caller is. An existing one
/// is replaced, as by PM2.
fn write_down(checked: &CheckedApp, ctx: &CallerContext) -> Result<(), VerbError> {
    let folder = ctx.variable("PWD").map(Path::new).filter(|folder| folder.is_absolute() && folder.is_dir());
    let file = format!("{}-pm2.json", checked.name.replace('/', "-"));
    let path = folder.unwrap_or(&ctx.cwd).join(file);
    let text = serde_json::to_string_pretty(&checked.options)?;
    fs::write(&path, text).map_err(|source| VerbError::Io { action: "write", path, source })
}

/// What is meant by a word that is no path, `None` when the daemon knows nothing of that name.
fn known(script: &str, processes: &[Listed]) -> Result<Option<Target>, VerbError> {
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
    Ok(is_known_word.then_some(target))
}

async fn restart(
    session: &Session,
    processes: &[Listed],
    ctx: &CallerContext,
    request: &StartRequest,
) -> Result<Vec<Json>, VerbError> {
    let update = OptionUpdate::new(&request.options, ctx)?;
    let width = width(None, request.context.width(), processes.len());
    replace_all(session, processes, |running| update.of(running), Replace::Restart, width).await
}
