//! `restart` and `reload` of processes the daemon has.

use serde_json::json;

use super::apps::{ids_named, start_apps};
use super::compact::compact;
use super::error::VerbError;
use super::outcome::Started;
use super::reload_lock::ReloadLock;
use super::request::{StartRequest, TargetRequest};
use super::session::{Json, Listed, Session, for_each, width};
use crate::app::{Map, OptionUpdate, Running};

/// How a running process is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replace {
    /// Stop, then start.
    Restart,
    /// In cluster mode start the new one first; otherwise as a restart.
    Reload,
    /// As a reload, and the old one is asked to finish what it does.
    GracefulReload,
}

impl Replace {
    fn method(self) -> &'static str {
        match self {
            Self::Restart => "restartProcessId",
            Self::Reload => "reloadProcessId",
            Self::GracefulReload => "softReloadProcessId",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Reload | Self::GracefulReload => "reload",
        }
    }

    /// The name of the event.
    fn action(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::GracefulReload => "graceful reload",
        }
    }
}

/// Restarts processes, stopped ones too; with `apps` restarts the known ones and starts the others.
///
/// Only options that are given change, and with `updateEnv` the caller's variables are laid over the app's.
/// Behaviour of PM2 7.0.4, specification `api.md` §5.2, without its quirk 11.
///
/// # Errors
/// Nothing is named so, an option is wrong, or the daemon refused one.
pub async fn restart(session: &Session, request: &TargetRequest) -> Result<Started, VerbError> {
    replace(session, request, Replace::Restart).await
}

/// Reloads processes; one reload per home at a time unless `force` is given.
///
/// Behaviour of PM2 7.0.4, specification `api.md` §5.3.
///
/// # Errors
/// As [`restart`]; another client reloads; the lock file cannot be used.
pub async fn reload(session: &Session, request: &TargetRequest) -> Result<Started, VerbError> {
    reload_as(session, request, Replace::Reload).await
}

/// Like [`reload`]; old workers are told to finish and are waited for.
///
/// # Errors
/// As [`reload`].
pub async fn graceful_reload(session: &Session, request: &TargetRequest) -> Result<Started, VerbError> {
    reload_as(session, request, Replace::GracefulReload).await
}

async fn reload_as(session: &Session, request: &TargetRequest, how: Replace) -> Result<Started, VerbError> {
    let _lock = match request.is_on("force") {
        true => None,
        false => Some(ReloadLock::acquire(
            &session.home.reload_lock_file,
            request.context.number("PM2_RELOAD_LOCK_TIMEOUT"),
        )?),
    };
    replace(session, request, how).await
}

async fn replace(session: &Session, request: &TargetRequest, how: Replace) -> Result<Started, VerbError> {
    if let Some(config) = request.config()? {
        if request.names_only {
            let result = replace_named(session, &config.apps, request, how).await?;
            return Ok(Started::all(result));
        }
        let start = StartRequest {
            config: None,
            script: None,
            options: request.options.clone(),
            context: request.context.clone(),
        };
        return start_apps(session, config, &start, how, request.parallel()).await;
    }
    if request.options.get("env").is_some_and(|env| !env.is_null()) {
        return Err(VerbError::EnvWithoutFile);
    }
    let ctx = request.context.context(&session.home);
    let update = OptionUpdate::new(&request.options, &ctx)?;
    let target = request.target.as_ref();
    let cwd = request.context.dir();
    let processes = session.select(target, &cwd, how.verb()).await?;
    let width = width(request.parallel(), request.context.width(), processes.len());
    let result = replace_all(session, &processes, |running| update.of(running), how, width).await?;
    Ok(Started::all(result))
}

/// Replaces the processes of these names as they are, and gives the daemon's whole answers.
///
/// Behaviour of PM2 7.0.4 for a list of apps on the standard input, specification `api.md` §5.2.
async fn replace_named(
    session: &Session,
    apps: &[Map],
    request: &TargetRequest,
    how: Replace,
) -> Result<Vec<Json>, VerbError> {
    let ids = ids_named(session, apps, &request.options, &request.context).await?;
    let width = width(request.parallel(), request.context.width(), ids.len());
    for_each(ids, width, |id| {
        let session = session.clone();
        async move {
            let argument = json!({ "id": id, "env": { "current_conf": {} } });
            let answer = session.call(how.method(), &argument).await?;
            session.notify(how.action(), &id).await?;
            Ok(answer)
        }
    })
    .await
}

/// Replaces processes, each with its changes, and gives their short forms.
pub(super) async fn replace_all(
    session: &Session,
    processes: &[Listed],
    update: impl Fn(&Running) -> Map,
    how: Replace,
    width: usize,
) -> Result<Vec<Json>, VerbError> {
    let requests = processes.iter().map(|process| {
        let update = update(&process.running());
        (process.pm_id.clone(), json!({ "id": process.pm_id, "env": update }))
    });
    let answers = for_each(requests.collect(), width, |(id, argument)| {
        let session = session.clone();
        async move {
            let answer = session.call(how.method(), &argument).await?;
            session.notify(how.action(), &id).await?;
            compact(&answer)
        }
    })
    .await?;
    Ok(answers.into_iter().flatten().collect())
}
