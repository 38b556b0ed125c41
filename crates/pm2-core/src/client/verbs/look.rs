//! Verbs that only look: `list`, `describe`, `pid`, `idByName`.

use serde::Deserialize;
use serde_json::Value;

use super::error::VerbError;
use super::session::{Json, Listed, Session};
use crate::app::absolute;
use crate::target;

/// The whole list, as the daemon sent it.
///
/// # Errors
/// The daemon refused; a lost connection.
pub async fn list(session: &Session) -> Result<Json, VerbError> {
    session.list_json().await
}

/// The processes with that id or name; none is no error. Specification `api.md` §5.4.
///
/// # Errors
/// The target is neither a number nor a text; as [`list`].
pub async fn describe(session: &Session, target: &Value) -> Result<Vec<Json>, VerbError> {
    let list = session.list_json().await?;
    let processes: Vec<Listed> = serde_json::from_str(list.get())?;
    let summaries: Vec<_> = processes.iter().filter_map(Listed::summary).collect();
    let meant = target::describe(target, &summaries)?;
    let texts: Vec<Json> = serde_json::from_str(list.get())?;
    let found = texts.into_iter().zip(&processes).filter(|(_, process)| {
        let summary = process.summary();
        summary.is_some_and(|summary| meant.contains(&summary.pm_id))
    });
    Ok(found.map(|(text, _)| text).collect())
}

/// The process ids under that name, or of everything; 0 for what does not run. Specification `api.md` §5.12.
///
/// # Errors
/// As [`list`].
pub async fn pid(session: &Session, name: Option<&str>) -> Result<Vec<Value>, VerbError> {
    let processes = session.list().await?;
    let named = processes.into_iter().filter(|process| name.is_none_or(|name| process.name == name));
    let pid_or_0 = |pid: Value| if pid.is_null() { Value::from(0) } else { pid };
    Ok(named.map(|process| pid_or_0(process.pid)).collect())
}

/// The ids under that name, or running that script. Specification `api.md` §5.12.
///
/// # Errors
/// As [`list`].
pub async fn id_by_name(
    session: &Session,
    name: &str,
    cwd: &std::path::Path,
) -> Result<Vec<Value>, VerbError> {
    let script = absolute(cwd, name).to_string_lossy().into_owned();
    let processes = session.list().await?;
    let named = processes
        .into_iter()
        .filter(|process| process.name == name || process.pm2_env.pm_exec_path == script);
    Ok(named.map(|process| process.pm_id).collect())
}

/// `describe`: `{target}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DescribeRequest {
    pub(super) target: Value,
}
