//! Requests as they come from JavaScript or the command line.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error::VerbError;
use crate::app::{CallerContext, Map};
use crate::config::{self, Config};
use crate::home::Home;

/// The process that asks: `{cwd, env, node}`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Caller {
    /// Its working directory; empty: this process's.
    pub cwd: PathBuf,
    /// Its environment.
    pub env: Map,
    /// Its Node.js executable; empty: `node`, found in PATH.
    pub node: PathBuf,
}

impl Caller {
    /// What resolving apps needs to know about it.
    pub fn context(&self, home: &Home) -> CallerContext {
        let node = match self.node.as_os_str().is_empty() {
            true => PathBuf::from("node"),
            false => self.node.clone(),
        };
        CallerContext::new(self.dir(), self.env.clone(), node, home.clone())
    }

    /// Its working directory.
    pub(super) fn dir(&self) -> PathBuf {
        match self.cwd.as_os_str().is_empty() {
            true => std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_owned()),
            false => self.cwd.clone(),
        }
    }

    /// A variable that is a whole number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.env.get(name)?.as_str()?.trim().parse().ok()
    }

    /// Whether a variable is set to anything.
    pub(super) fn is_set(&self, name: &str) -> bool {
        let value = self.env.get(name).and_then(Value::as_str);
        value.is_some_and(|value| !value.is_empty())
    }

    /// `PM2_CONCURRENT_ACTIONS`.
    pub(super) fn width(&self) -> Option<usize> {
        usize::try_from(self.number("PM2_CONCURRENT_ACTIONS")?).ok()
    }
}

/// `stop`, `delete`, `restart`, `reload`: what to act on, and how.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TargetRequest {
    /// An id, a name, a namespace, a `/pattern/`, `"all"`, or a list of these.
    pub target: Option<Value>,
    /// Instead of a target: what a configuration file contains, in any of its shapes.
    #[serde(deserialize_with = "present")]
    pub config: Option<Value>,
    /// With `config`: only their names count, and nothing is started that is not listed. `stop` and `delete` always
    /// do so.
    pub names_only: bool,
    /// `parallel`, `updateEnv`, `force`, and changed app options.
    pub options: Map,
    /// Who asks.
    pub context: Caller,
}

impl TargetRequest {
    /// `config`, read.
    pub(super) fn config(&self) -> Result<Option<Config>, VerbError> {
        read(self.config.as_ref())
    }

    /// How many actions at once were asked for.
    pub(super) fn parallel(&self) -> Option<usize> {
        let asked = self.options.get("parallel")?;
        let asked = asked.as_u64().or_else(|| asked.as_str()?.parse().ok())?;
        usize::try_from(asked).ok().filter(|asked| *asked > 0)
    }

    /// Whether an option is `true`.
    pub(super) fn is_on(&self, option: &str) -> bool {
        self.options.get(option) == Some(&Value::Bool(true))
    }
}

/// `start`: apps, or a script.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StartRequest {
    /// What a configuration file contains, in any of its shapes.
    #[serde(deserialize_with = "present")]
    pub config: Option<Value>,
    /// Instead of it: a path, a command in PATH, a shell command, or the name of a known process.
    pub script: Option<String>,
    /// With `config` the options of `options.md` §5.3; with a script those of the app.
    pub options: Map,
    /// Who asks.
    pub context: Caller,
}

impl StartRequest {
    /// `config`, read.
    pub(super) fn config(&self) -> Result<Option<Config>, VerbError> {
        read(self.config.as_ref())
    }
}

fn read(config: Option<&Value>) -> Result<Option<Config>, VerbError> {
    Ok(config.cloned().map(config::read).transpose()?)
}

/// An empty file is not the same as none.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
