//! What resolution needs to know about the caller, and the options beside a configuration file.

use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};
use serde_json::{Number, Value};

use super::Map;
use crate::home::Home;

/// The process that asks for something to be started.
#[derive(Debug, Clone)]
pub struct CallerContext {
    /// Its working directory, absolute.
    pub cwd: PathBuf,
    /// Its environment, name to text.
    pub env: Map,
    /// Its Node.js executable, for scripts without a known extension and when PATH has no `node`.
    pub node: PathBuf,
    /// The home whose daemon will run the app.
    pub home: Home,
    /// Number of CPUs that `instances: "max"` stands for.
    pub cpus: usize,
    /// Whether the caller may choose the user an app runs as.
    pub is_root: bool,
    /// Name of the user the caller runs as.
    pub username: String,
}

impl CallerContext {
    /// A context with the CPU count, the user and the rights of this process.
    #[must_use]
    pub fn new(cwd: PathBuf, env: Map, node: PathBuf, home: Home) -> Self {
        let username = username(geteuid(), &env);
        Self { cwd, env, node, home, cpus: online_cpus(), is_root: geteuid().is_root(), username }
    }

    /// The caller's variable of that name.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.get(name).and_then(Value::as_str)
    }

    /// The caller's home directory, from `HOME`.
    #[must_use]
    pub fn user_home(&self) -> Option<&Path> {
        self.variable("HOME").filter(|dir| !dir.is_empty()).map(Path::new)
    }
}

/// CPUs the system has online, as Node's `os.cpus().length`: neither affinity nor a quota counts.
fn online_cpus() -> usize {
    // SAFETY: sysconf takes no pointer and has no precondition.
    let n_cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(n_cpus).unwrap_or(1).max(1)
}

fn username(uid: Uid, env: &Map) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => env.get("USER").and_then(Value::as_str).map_or_else(|| uid.to_string(), str::to_owned),
    }
}

/// Options given beside a configuration file or a list of app objects.
///
/// Behaviour of PM2 7.0.4, specification `options.md` §5.3: these keys act, every other is ignored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StartOptions {
    /// Name of the environment: `env_<name>` of the app is laid over `env`. An unknown name changes nothing.
    pub env: Option<String>,
    /// Names of the apps to act on, separated by commas or blanks; absent: all.
    pub only: Option<String>,
    /// Namespace of apps that name none.
    pub namespace: Option<String>,
    /// `true` switches watching on for apps that do not.
    pub watch: bool,
    /// Ignored paths of apps that have none.
    pub ignore_watch: Option<Value>,
    /// Number of instances, instead of the app's.
    pub instances: Option<Number>,
    /// User, instead of the app's.
    pub uid: Option<Value>,
    /// Group, instead of the app's.
    pub gid: Option<Value>,
    /// Working directory, instead of the app's.
    pub cwd: Option<String>,
    /// Bookkeeping of modules.
    pub install_url: Option<String>,
    /// Put before the name with a colon unless the name contains it.
    pub name_prefix: Option<String>,
    /// The `deploy` section of the configuration file: `deploy.<env>.env` is laid under `env_<env>`.
    pub deploy: Map,
}

impl StartOptions {
    /// Reads the known keys of an options object; a value of a wrong type counts as absent.
    #[must_use]
    pub fn from_map(options: &Map) -> Self {
        let text = |name: &str| match options.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let value = |name: &str| options.get(name).filter(|value| !value.is_null()).cloned();
        Self {
            env: text("env"),
            only: match options.get("only") {
                Some(Value::Array(names)) => {
                    let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
                    Some(names.join(","))
                }
                _ => text("only"),
            },
            namespace: text("namespace"),
            watch: options.get("watch") == Some(&Value::Bool(true)),
            ignore_watch: value("ignore_watch"),
            instances: options.get("instances").and_then(Value::as_number).cloned(),
            uid: value("uid"),
            gid: value("gid"),
            cwd: text("cwd"),
            install_url: text("install_url"),
            name_prefix: text("name_prefix"),
            deploy: Map::new(),
        }
    }

    /// Whether `only` lets an app of this name pass; the name is the one without prefix and
    /// without the appended environment.
    #[must_use]
    pub fn selects(&self, base_name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| {
            only.split([',', ' ', '\t', '\n']).any(|name| !name.is_empty() && name == base_name)
                || only.trim() == base_name
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_names_apps() {
        let check = |only: &str, name: &str, expected: bool| {
            let options = StartOptions { only: Some(only.to_owned()), ..StartOptions::default() };
            assert_eq!(options.selects(name), expected, "{only:?} {name:?}");
        };
        check("a,b", "a", true);
        check("a, b", "b", true);
        check("a b", "b", true);
        check("a b", "a b", true);
        check("ab", "a", false);
        check(",", "", false);
        assert!(StartOptions::default().selects("any"));
    }

    #[test]
    fn wrong_types_count_as_absent() {
        let Value::Object(options) = json!({
            "env": 5, "only": ["a", "b"], "watch": "yes", "instances": "2", "uid": null,
        }) else {
            unreachable!()
        };
        let options = StartOptions::from_map(&options);
        assert_eq!(options, StartOptions { only: Some("a,b".to_owned()), ..StartOptions::default() });
    }
}
