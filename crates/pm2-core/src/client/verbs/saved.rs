//! The saved process list: `dump`, `clearDump`, `resurrect`.

use std::collections::HashSet;
use std::fs::File;
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};

use serde_json::{Map as JsonMap, Value};

use super::error::VerbError;
use super::outcome::Started;
use super::prepare::prepare;
use super::request::Caller;
use super::session::{Session, for_each};
use crate::app::{Map, file_safe};
use crate::dump;
use crate::home::Home;

/// How many processes are restored at once.
const RESTORED_AT_ONCE: usize = 2;

/// Saves the process list; `dump.pm2` becomes `dump.pm2.bak`.
///
/// Modules are left out. Behaviour of PM2 7.0.4, specification `api.md` §5.6.
///
/// # Errors
/// The list is empty and not `force`d (a missing file is then made, empty), or the file cannot be written.
pub async fn dump(session: &Session, force: bool) -> Result<(), VerbError> {
    let list = session.list_json().await?;
    let processes: Vec<Value> = serde_json::from_str(list.get())?;
    let entries = dump::entries(&processes);
    let is_refused = entries.is_empty() && !force;
    let home = session.home.clone();
    if !is_refused {
        return write(home, entries).await;
    }
    if !home.dump_file.exists() {
        write(home, entries).await?;
    }
    Err(VerbError::EmptyList)
}

/// Empties the saved list; the previous one becomes the backup.
///
/// # Errors
/// The file cannot be written.
pub async fn clear_dump(session: &Session) -> Result<(), VerbError> {
    write(session.home.clone(), Vec::new()).await
}

/// Starts what was saved and is not there by name; what was stopped comes back stopped.
///
/// Each entry stands for itself: one that fails becomes an element of `errors`. Behaviour of PM2 7.0.4,
/// specification `api.md` §5.6 and `lifecycle.md` §13; an unreadable dump is not deleted.
///
/// # Errors
/// Neither the dump nor its backup can be read; a lost connection.
pub async fn resurrect(session: &Session, caller: &Caller) -> Result<Started, VerbError> {
    let home = &session.home;
    // Two at once would both find nothing running and start everything twice.
    let _lock = lock(home.dir.clone()).await;
    let saved = dump::load(&home.dump_file, &home.dump_backup_file)?;
    let processes = session.list().await?;
    let names: HashSet<&str> = processes.iter().map(|found| found.name.as_str()).collect();
    let is_missing = |entry: &Map| {
        let name = entry.get("name").and_then(Value::as_str);
        name.is_some_and(|name| !names.contains(name))
    };
    let missing: Vec<Map> = saved.entries.into_iter().filter(is_missing).collect();
    let at_once = caller.width().unwrap_or(RESTORED_AT_ONCE).max(1);
    let outcomes = for_each(missing, at_once, |entry| {
        let session = session.clone();
        async move {
            let app = complete(entry, &session.home);
            match prepare(&session, &app).await {
                Err(error @ VerbError::Call(_)) => Err(error),
                Err(error) => {
                    let name = app.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                    Ok(Err(VerbError::Restore { name, source: Box::new(error) }))
                }
                started => Ok(started),
            }
        }
    })
    .await?;
    let refused = saved.refused.into_iter().map(VerbError::from);
    let mut restored = Started { result: Vec::new(), errors: refused.collect() };
    for outcome in outcomes {
        match outcome {
            Ok(processes) => restored.result.extend(processes),
            Err(error) => restored.errors.push(error),
        }
    }
    Ok(restored)
}

/// Waits until nobody else restores into this home; `None` where folders cannot be locked.
async fn lock(path: PathBuf) -> Option<Flock<File>> {
    let locked = || Flock::lock(File::open(path).ok()?, FlockArg::LockExclusive).ok();
    tokio::task::spawn_blocking(locked).await.ok().flatten()
}

/// Adds what PM2's daemon cannot live without, should the file lack it. Specification `wire.md` §6.1.
fn complete(mut entry: Map, home: &Home) -> Map {
    let name = entry.get("name").and_then(Value::as_str);
    let pid_file = format!("{}.pid", file_safe(name.unwrap_or_default()));
    let pid_path = home.pids_dir.join(pid_file).to_string_lossy().into_owned();
    if !entry.get("env").is_some_and(Value::is_object) {
        entry.insert("env".to_owned(), Value::Object(JsonMap::new()));
    }
    let pid_entry = entry.entry("pm_pid_path");
    pid_entry.or_insert_with(|| pid_path.into());
    entry
}

/// Writes in the background: a sync may take long, and other calls go on meanwhile.
async fn write(home: Home, entries: Vec<Map>) -> Result<(), VerbError> {
    let written =
        tokio::task::spawn_blocking(move || dump::save(&home.dump_file, &home.dump_backup_file, &entries));
    match written.await {
        Ok(written) => Ok(written?),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(VerbError::Interrupted),
        },
    }
}
