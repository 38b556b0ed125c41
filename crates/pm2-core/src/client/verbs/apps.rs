//! App objects, as in a configuration file: known names are restarted, the others started.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::error::VerbError;
use super::outcome::Started;
use super::prepare::prepare;
use super::request::{Caller, StartRequest};
use super::restart::{Replace, replace_all};
use super::session::{Json, Listed, Session, for_each, width};
use crate::app::{AppUpdate, CallerContext, CheckedApp, Map, StartOptions, check_object, resolve};
use crate::config::Config;

/// How many apps are worked on at once unless asked otherwise; instances of one app count as one.
const APPS_AT_ONCE: usize = 2;

/// The same when none of them takes its time to become ready: such a start is over when the process runs, and
/// PM2's width would only leave the daemon waiting for this client.
const QUICK_APPS_AT_ONCE: usize = 8;

/// The keys of an app object that give it its name.
const NAMING: [&str; 7] = ["name", "script", "exec", "cmd", "command", "namePrefix", "name_prefix"];

/// An app object, checked, with the processes that are its own.
struct Planned {
    checked: CheckedApp,
    processes: Vec<Listed>,
}

/// The ids of the processes named like these apps, or like those that the option `only` selects; names that nobody
/// runs are skipped.
pub(super) async fn ids_named(
    session: &Session,
    apps: &[Map],
    options: &Map,
    caller: &Caller,
) -> Result<Vec<Value>, VerbError> {
    let selection = StartOptions { only: StartOptions::from_map(options).only, ..StartOptions::default() };
    let names = names_of(apps, &selection, &caller.context(&session.home))?;
    let processes = session.list().await?.into_iter();
    let meant = processes.filter(|process| names.contains(&process.name));
    Ok(meant.map(|process| process.pm_id).collect())
}

/// The names of the selected apps; nothing but the names is checked.
fn names_of(
    apps: &[Map],
    selection: &StartOptions,
    ctx: &CallerContext,
) -> Result<HashSet<String>, VerbError> {
    let name_of = |app: &Map| {
        let naming = app.iter().filter(|(key, _)| NAMING.contains(&key.as_str()));
        let naming = naming.map(|(key, value)| (key.clone(), value.clone())).collect();
        let checked = check_object(&naming, &StartOptions::default(), ctx)?;
        Ok(selection.selects(&checked.base_name).then_some(checked.name))
    };
    apps.iter().filter_map(|app| name_of(app).transpose()).collect()
}

/// Starts apps, and replaces the processes of those whose name is known.
///
/// A mistake in any description refuses all of them. After that each app stands for itself: what cannot be
/// found or what the daemon refuses becomes an element of `errors`, the others go on. Behaviour of PM2 7.0.4,
/// specification `api.md` §5.1, without its quirks 5 and 9.
pub(super) async fn start_apps(
    session: &Session,
    config: Config,
    request: &StartRequest,
    how: Replace,
    parallel: Option<usize>,
) -> Result<Started, VerbError> {
    let ctx = request.context.context(&session.home);
    let options = StartOptions { deploy: config.deploy, ..StartOptions::from_map(&request.options) };
    let mut planned = Vec::new();
    for app in &config.apps {
        let checked = check_object(app, &options, &ctx)?;
        if options.selects(&checked.base_name) {
            planned.push(Planned { checked, processes: Vec::new() });
        }
    }
    if planned.is_empty() {
        return Ok(Started::default());
    }
    let is_nameless = planned.iter().all(|app| app.checked.name.is_empty());
    if !is_nameless {
        assign(&mut planned, session.list().await?, &ctx);
    }
    let per_app = parallel.or(request.context.width());
    let default = if planned.iter().any(takes_time) { APPS_AT_ONCE } else { QUICK_APPS_AT_ONCE };
    let at_once = per_app.unwrap_or(default).max(1);
    let outcomes = for_each(planned, at_once, |app| {
        let session = session.clone();
        let ctx = ctx.clone();
        async move {
            match start_app(&session, &app, &ctx, how, per_app).await {
                Err(error @ VerbError::Call(_)) => Err(error),
                outcome => Ok(outcome),
            }
        }
    })
    .await?;
    let mut started = Started::default();
    for outcome in outcomes {
        match outcome {
            Ok(processes) => started.result.extend(processes),
            Err(error) => started.errors.push(error),
        }
    }
    Ok(started)
}

/// Whether a start waits for the app, not only for its process: workers, the ready message, and a restart
/// waits for the old process.
fn takes_time(app: &Planned) -> bool {
    let options = &app.checked.options;
    let is = |key: &str, value: &Value| options.get(key) == Some(value);
    !app.processes.is_empty()
        || is("wait_ready", &Value::Bool(true))
        || is("exec_mode", &Value::from("cluster_mode"))
        || options.get("instances").is_some()
}

async fn start_app(
    session: &Session,
    app: &Planned,
    ctx: &CallerContext,
    how: Replace,
    parallel: Option<usize>,
) -> Result<Vec<Json>, VerbError> {
    if app.processes.is_empty() {
        return prepare(session, &resolve(&app.checked, ctx)?).await;
    }
    let update = AppUpdate::new(&app.checked, ctx);
    let width = width(parallel, None, app.processes.len());
    replace_all(session, &app.processes, |running| update.of(running), how, width).await
}

/// Gives each app the processes of its name.
///
/// Apps that share a name share its processes: each takes those running its script and, where that does not
/// tell them apart, an equal part in the order of ids. PM2 would restart all of them for each, and start more.
fn assign(apps: &mut [Planned], processes: Vec<Listed>, ctx: &CallerContext) {
    let mut by_name: HashMap<String, Vec<Listed>> = HashMap::new();
    for process in processes {
        let same_name = by_name.entry(process.name.clone()).or_default();
        same_name.push(process);
    }
    for (name, processes) in by_name {
        let same_name: Vec<usize> =
            (0..apps.len()).filter(|&index| apps[index].checked.name == name).collect();
        if let [only] = same_name[..] {
            apps[only].processes = processes;
        } else if !same_name.is_empty() {
            share(apps, &same_name, processes, ctx);
        }
    }
}

fn share(apps: &mut [Planned], indexes: &[usize], processes: Vec<Listed>, ctx: &CallerContext) {
    let script_of = |index: &usize| {
        let resolved = resolve(&apps[*index].checked, ctx).ok()?;
        Some(resolved.get("pm_exec_path")?.as_str()?.to_owned())
    };
    let scripts: Vec<_> = indexes.iter().map(script_of).collect();
    let n_processes = processes.len();
    for (position, process) in processes.into_iter().enumerate() {
        let runs = |script: &Option<String>| script.as_ref() == Some(&process.pm2_env.pm_exec_path);
        let mut runners = (0..scripts.len()).filter(|&app| runs(&scripts[app]));
        let app = match (runners.next(), runners.next()) {
            (Some(only), None) => only,
            _ => position * indexes.len() / n_processes,
        };
        apps[indexes[app]].processes.push(process);
    }
}
