//! `stop` and `delete`: watching off, the action, and word of it to the listeners.

use serde_json::Value;

use super::apps::ids_named;
use super::compact::compact;
use super::error::VerbError;
use super::request::TargetRequest;
use super::session::{Json, Session, for_each, width};

/// How many processes are deleted at once unless asked otherwise.
const DELETE_WIDTH: usize = 10;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Stop,
    Delete,
}

impl Action {
    fn method(self) -> &'static str {
        match self {
            Self::Stop => "stopProcessId",
            Self::Delete => "deleteProcessId",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Delete => "delete",
        }
    }

    fn width(self, request: &TargetRequest, n_targets: usize) -> usize {
        match (self, request.parallel()) {
            (Self::Delete, None) => DELETE_WIDTH,
            (_, asked) => width(asked, request.context.width(), n_targets),
        }
    }
}

/// Stops processes and gives their short forms, or with `apps` what the daemon answered.
///
/// Processes without a pid are left out; names of apps that nobody runs are skipped. Behaviour of PM2 7.0.4,
/// specification `api.md` §5.2.
///
/// # Errors
/// Nothing is named so, or the daemon refused one; the others that had begun are stopped all the same.
pub async fn stop(session: &Session, request: &TargetRequest) -> Result<Vec<Json>, VerbError> {
    act(session, request, Action::Stop).await
}

/// Deletes processes and gives their last short forms, or with `apps` what the daemon answered.
///
/// Behaviour of PM2 7.0.4, specification `api.md` §5.2.
///
/// # Errors
/// As [`stop`].
pub async fn delete(session: &Session, request: &TargetRequest) -> Result<Vec<Json>, VerbError> {
    act(session, request, Action::Delete).await
}

async fn act(session: &Session, request: &TargetRequest, action: Action) -> Result<Vec<Json>, VerbError> {
    let config = request.config()?;
    let ids = match &config {
        Some(config) => ids_named(session, &config.apps, &request.options, &request.context).await?,
        None => {
            let target = request.target.as_ref();
            let cwd = request.context.dir();
            let chosen = session.select(target, &cwd, action.verb()).await?;
            chosen.into_iter().map(|process| process.pm_id).collect()
        }
    };
    let is_compact = config.is_none();
    let width = action.width(request, ids.len());
    let answers = for_each(ids, width, |id| {
        let session = session.clone();
        async move { one(&session, action, &id, is_compact).await }
    })
    .await?;
    Ok(answers.into_iter().flatten().collect())
}

async fn one(
    session: &Session,
    action: Action,
    id: &Value,
    is_compact: bool,
) -> Result<Option<Json>, VerbError> {
    session.stop_watch(action.method(), id).await?;
    let answer = session.call(action.method(), id).await?;
    // A deleted process can no longer be spoken of.
    if action == Action::Stop {
        session.notify("stop", id).await?;
    }
    let short = compact(&answer)?;
    Ok(match is_compact {
        true => short,
        false => short.map(|_| answer),
    })
}
