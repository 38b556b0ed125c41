//! What every verb needs: calls whose refusal is an error, the process list, and many actions at once.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;

use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::VerbError;
use crate::app::{Map, Running};
use crate::client::{CallError, Connection, Reply};
use crate::home::Home;
use crate::target::{self, ProcessSummary, Target};

/// One JSON text, passed on as it came.
pub type Json = Box<RawValue>;

/// A connection in use for a verb.
#[derive(Debug, Clone)]
pub struct Session {
    /// The connection.
    pub connection: Connection,
    /// The home of its daemon.
    pub home: Home,
}

impl Session {
    /// Calls a remote method with one argument and gives its result, `null` when there is none.
    ///
    /// # Errors
    /// [`VerbError::Refused`] with the daemon's text, or a lost connection.
    pub async fn call(&self, method: &str, argument: &Value) -> Result<Json, VerbError> {
        self.call_with(method, &format!("[{argument}]")).await
    }

    /// Like [`Session::call`], with the text of the array of arguments.
    async fn call_with(&self, method: &str, args_json: &str) -> Result<Json, VerbError> {
        match self.connection.call(method, args_json).await? {
            Reply::Success { args } => {
                let [result] = serde_json::from_str::<Vec<Json>>(args.get())?
                    .try_into()
                    .unwrap_or_else(|_| [RawValue::NULL.to_owned()]);
                Ok(result)
            }
            Reply::Error { message, stack } => Err(VerbError::Refused { message, stack }),
            Reply::Methods(_) => Ok(RawValue::NULL.to_owned()),
        }
    }

    /// Calls one of the watch methods; PM2's clients do before every stop, which switches watching off for good.
    ///
    /// # Errors
    /// A lost connection; a refusal does not matter.
    pub(super) async fn stop_watch(&self, method: &str, id: &Value) -> Result<(), CallError> {
        let arguments = format!("[\"{method}\",{id}]");
        self.connection.call("stopWatch", &arguments).await?;
        Ok(())
    }

    /// Tells the daemon what was done, so that it publishes a `process:event`; PM2's daemon cannot know.
    ///
    /// # Errors
    /// A lost connection; a refusal does not matter.
    pub(super) async fn notify(&self, action: &str, id: &Value) -> Result<(), CallError> {
        let packet = serde_json::json!([{ "id": id, "action_name": action, "manually": true }]);
        let packet = packet.to_string();
        self.connection.call("notifyByProcessId", &packet).await?;
        Ok(())
    }

    /// The text of the whole process list.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn list_json(&self) -> Result<Json, VerbError> {
        self.call_with("getMonitorData", "[{}]").await
    }

    /// The processes a target means.
    ///
    /// # Errors
    /// Nothing is named so, with PM2's text for the verb; as [`Session::call`].
    pub(super) async fn select(
        &self,
        target: Option<&Value>,
        cwd: &Path,
        verb: &str,
    ) -> Result<Vec<Listed>, VerbError> {
        let target = target::parse(target.unwrap_or(&Value::Null))?;
        selected(&target, self.list().await?, cwd, verb)
    }

    /// The process list, as far as verbs look at it.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn list(&self) -> Result<Vec<Listed>, VerbError> {
        Ok(serde_json::from_str(self.list_json().await?.get())?)
    }
}

/// The processes of a list that a target means, in the order of the target.
///
/// # Errors
/// Nothing is named so, with PM2's text for the verb.
pub(super) fn selected(
    target: &Target,
    processes: Vec<Listed>,
    cwd: &Path,
    verb: &str,
) -> Result<Vec<Listed>, VerbError> {
    let summaries: Vec<_> = processes.iter().filter_map(Listed::summary).collect();
    let ids = target::select(target, &summaries, cwd).map_err(|error| VerbError::not_found(&error, verb))?;
    let mut by_id: HashMap<i64, Listed> =
        processes.into_iter().filter_map(|process| Some((process.id()?, process))).collect();
    Ok(ids.into_iter().filter_map(|id| by_id.remove(&id)).collect())
}

/// A process of the list. What is missing or of another type is empty, so that no list is refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Listed {
    /// Its id; a number, unless an environment variable `pm_id` leaked in.
    pub pm_id: Value,
    /// Its process id: 0 when stopped.
    pub pid: Value,
    /// Its name.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// The rest.
    pub pm2_env: ListedEnv,
}

/// What verbs read of `pm2_env`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ListedEnv {
    /// Namespace, `default` unless set.
    #[serde(deserialize_with = "text")]
    pub namespace: String,
    /// Status word.
    #[serde(deserialize_with = "text")]
    pub status: String,
    /// Working directory.
    #[serde(deserialize_with = "text")]
    pub pm_cwd: String,
    /// Absolute path of the script.
    #[serde(deserialize_with = "text")]
    pub pm_exec_path: String,
    /// `true` for modules, which `all` leaves alone.
    pub pmx_module: Value,
    /// Its variables, unread.
    env: Option<Json>,
    /// Which of them were declared, unread.
    declared_env: Option<Json>,
    /// Its option of that name.
    filter_env: Value,
    /// Its option of that name.
    increment_var: Value,
    /// Its option of that name.
    instance_var: Value,
    /// Its option of that name.
    port: Value,
    /// Its option of that name.
    uid: Value,
    /// Its option of that name.
    io: Value,
}

impl Listed {
    /// Whether it is an installed module and not an app.
    pub fn is_module(&self) -> bool {
        !matches!(self.pm2_env.pmx_module, Value::Null | Value::Bool(false))
    }

    fn id(&self) -> Option<i64> {
        let id = &self.pm_id;
        id.as_i64().or_else(|| id.as_str()?.parse().ok())
    }

    /// The variables it has because of options, besides `PORT`.
    fn derived(&self) -> Vec<&'static str> {
        let env = &self.pm2_env;
        let options = [("HOME", &env.uid), ("io", &env.io)];
        options.into_iter().filter(|(_, option)| !option.is_null()).map(|(name, _)| name).collect()
    }

    /// What a restart must know of it.
    pub(super) fn running(&self) -> Running {
        let variables = |text: &Option<Json>| serde_json::from_str::<Map>(text.as_ref()?.get()).ok();
        Running {
            name: self.name.clone(),
            env: variables(&self.pm2_env.env).unwrap_or_default(),
            declared_env: variables(&self.pm2_env.declared_env),
            filter_env: self.pm2_env.filter_env.clone(),
            increment_var: self.pm2_env.increment_var.as_str().map(str::to_owned),
            instance_var: self.pm2_env.instance_var.as_str().map(str::to_owned),
            port: Some(self.pm2_env.port.clone()).filter(|port| !port.is_null()),
            derived: self.derived(),
        }
    }

    /// What selection by target looks at; `None` without a numeric id.
    pub fn summary(&self) -> Option<ProcessSummary> {
        Some(ProcessSummary {
            pm_id: self.id()?,
            name: self.name.clone(),
            namespace: self.pm2_env.namespace.clone(),
            script_path: self.pm2_env.pm_exec_path.clone().into(),
            cwd: self.pm2_env.pm_cwd.clone().into(),
            status: self.pm2_env.status.clone(),
            is_module: self.is_module(),
        })
    }
}

fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    })
}

/// How many actions run at once: what was asked for, else one after the other for up to two, else
/// `PM2_CONCURRENT_ACTIONS` or 2. Specification `api.md` §4.
pub(super) fn width(asked: Option<usize>, configured: Option<usize>, n_targets: usize) -> usize {
    let chosen = match asked {
        Some(asked) => asked,
        None if n_targets <= 2 => 1,
        None => configured.unwrap_or(2),
    };
    chosen.max(1)
}

/// Runs an action for every item, at most `width` at once, and gives the results in the order of the items.
///
/// Actions begin in that order, too, each with its first request, so that ids are given accordingly. PM2 gives
/// results as they come; with its slower starts that is nearly always the same.
/// The first error ends it: what has begun is waited for, what has not is left.
pub(super) async fn for_each<I, T, F>(
    items: Vec<I>,
    width: usize,
    action: impl Fn(I) -> F,
) -> Result<Vec<T>, VerbError>
where
    F: Future<Output = Result<T, VerbError>>,
{
    let numbered = |(position, item)| {
        let running = action(item);
        async move { (position, running.await) }
    };
    let mut items = items.into_iter().enumerate();
    let mut running: FuturesUnordered<_> = items.by_ref().take(width).map(numbered).collect();
    let mut results = Vec::new();
    let mut failure = None;
    while let Some((position, ended)) = running.next().await {
        match ended {
            Ok(result) => results.push((position, result)),
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
        if failure.is_none()
            && let Some(item) = items.next()
        {
            running.push(numbered(item));
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }
    results.sort_unstable_by_key(|(position, _)| *position);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
