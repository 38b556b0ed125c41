//! What a restart sends: changes to an app that the daemon already has.
//!
//! The result is the `env` of `restartProcessId`: variables, which the daemon lays over those it has, and options in
//! `current_conf`, of which a non-empty `env` replaces all variables and the text `null` removes an option.
//! Specification `wire.md` §6.2.

use serde_json::Value;

use super::check::{CheckedApp, Form};
use super::layers::{DECLARED_ENV, Layers};
use super::options;
use super::validate::{Spelling, validate};
use super::{AppError, CallerContext, Map, environment};

/// Facts of a process that a variable of the same name must not take away.
const KEPT: &[&str] = &[
    "NODE_APP_INSTANCE",
    "_km_monitored",
    "_pm2_version",
    "axm_actions",
    "axm_dynamic",
    "axm_monitor",
    "axm_options",
    "created_at",
    "exit_code",
    "km_link",
    "node_version",
    "pm_cwd",
    "pm_err_log_path",
    "pm_exec_path",
    "pm_id",
    "pm_log_path",
    "pm_out_log_path",
    "pm_pid_path",
    "pm_uptime",
    "pmx_module",
    "prev_restart_delay",
    "restart_time",
    "status",
    "unique_id",
    "unstable_restarts",
    "version",
    "versioning",
    "vizion_running",
];

/// What every JavaScript object has, and PM2's daemon stumbles over.
const JAVASCRIPTS: &[&str] = &[
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
];

/// What counts of a process that is about to be restarted: parts of its `pm2_env`.
#[derive(Debug, Clone, Default)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// Its variables.
    pub env: Map,
    /// Which of them were declared; `None` if PM2's client started it.
    pub declared_env: Option<Map>,
    /// Its option of that name, `null` without.
    pub filter_env: Value,
    /// Its variable that grows with each instance.
    pub increment_var: Option<String>,
    /// Its variable with the number of the instance.
    pub instance_var: Option<String>,
    /// Its option of that name, which is its variable `PORT`.
    pub port: Option<Value>,
    /// Other variables that come from options it has: `HOME` from `uid`, `io`.
    pub derived: Vec<&'static str>,
}

impl Running {
    /// Without those of the caller's variables that are its own: where it lives, who it is, and its count.
    fn free_to_take(&self, mut inherited: Map) -> Map {
        for own in ["PM2_HOME", "unique_id"].into_iter().chain(self.increment_var.as_deref()) {
            inherited.shift_remove(own);
        }
        inherited
    }
}

/// A restart through an app object or a configuration file.
///
/// The declared variables become those of the description, whatever was declared before. The inherited ones stay as they
/// are if the app declares any, as in PM2, else the caller's are laid over them. Options are laid over the old ones; the
/// mode and, unless written, the namespace do not change. Specification `options.md` §5.3, `lifecycle.md` §7.5.
#[derive(Debug, Clone)]
pub struct AppUpdate {
    declared: Map,
    /// The caller's variables, unless the old ones stay.
    inherited: Option<Map>,
    options: Map,
}

impl AppUpdate {
    /// The changes a checked description stands for.
    #[must_use]
    pub fn new(checked: &CheckedApp, ctx: &CallerContext) -> Self {
        let declared = environment::declared(checked);
        let inherited = declared.is_empty().then(|| {
            let mut inherited = environment::inherited(checked.options.get("filter_env"), ctx);
            if checked.options.contains_key("cwd") {
                // It names the app's own folder, which a restart does not change.
                inherited.shift_remove("PWD");
            }
            inherited
        });
        let mut options = checked.options.clone();
        for unchanged in ["exec_mode", "env"] {
            options.shift_remove(unchanged);
        }
        if !checked.has_namespace {
            options.shift_remove("namespace");
        }
        Self { declared, inherited, options }
    }

    /// What to send for one process.
    #[must_use]
    pub fn of(&self, running: &Running) -> Map {
        restarted(running, self.declared.clone(), self.inherited.as_ref(), self.options.clone())
    }
}

/// A restart by name or id, with options.
///
/// Only options that were written change; the mode never does. Settings of `module_conf.json` are read again.
/// Specification `options.md` §1.3.
#[derive(Debug, Clone)]
pub struct OptionUpdate {
    options: Map,
    /// Variables among the options, which are laid over the declared ones.
    declared: Map,
    /// Whether the caller's variables are laid over all others.
    is_env_updated: bool,
    /// Settings by the names of apps.
    module_conf: Map,
    ctx: CallerContext,
}

impl OptionUpdate {
    /// Reads options beside a name: those of an app, and `updateEnv`.
    ///
    /// # Errors
    /// A validation error.
    pub fn new(options: &Map, ctx: &CallerContext) -> Result<Self, AppError> {
        let is_env_updated = options.get("updateEnv") == Some(&Value::Bool(true));
        let mut written = options.clone();
        // What these mean is not for the app.
        for own in ["updateEnv", "parallel", "force"] {
            written.shift_remove(own);
        }
        let mut changes = validate(&written, Spelling::Script)?;
        changes.shift_remove("exec_mode");
        let mut declared = match changes.shift_remove("env") {
            Some(Value::Object(env)) => env,
            _ => Map::new(),
        };
        if let Some(port) = changes.get("port") {
            declared.insert("PORT".to_owned(), port.clone());
        }
        let module_conf = environment::module_conf(ctx);
        Ok(Self { options: changes, declared, is_env_updated, module_conf, ctx: ctx.clone() })
    }

    /// What to send for one process.
    #[must_use]
    pub fn of(&self, running: &Running) -> Map {
        let filter = self.options.get("filter_env").unwrap_or(&running.filter_env);
        let mut over = match self.is_env_updated {
            true => environment::inherited(Some(filter), &self.ctx),
            false => Map::new(),
        };
        over.extend(environment::settings_of(&running.name, Form::Object, &self.module_conf));
        if self.declared.is_empty() {
            return overlaid(running, over, self.options.clone());
        }
        let mut declared = Layers::read(&running.env, running.declared_env.as_ref()).declared;
        declared.extend(self.declared.clone());
        restarted(running, declared, Some(&over), self.options.clone())
    }
}

/// The caller's variables over all others: whoever asks for them means them to count, declared or not.
fn overlaid(running: &Running, inherited: Map, mut options: Map) -> Map {
    let inherited = running.free_to_take(inherited);
    if let Some(mut hidden) = running.declared_env.clone().filter(|_| !inherited.is_empty()) {
        for (name, value) in &mut hidden {
            if let Some(inherited) = inherited.get(name) {
                *value = inherited.clone();
            }
        }
        options.insert(DECLARED_ENV.to_owned(), hidden.into());
    }
    let mut update = inherited;
    update.insert("current_conf".to_owned(), Value::Object(options));
    update
}

/// The whole environment after a restart, and the options.
fn restarted(running: &Running, mut declared: Map, inherited: Option<&Map>, mut options: Map) -> Map {
    if let Some(counted) = &running.increment_var
        && let Some(own) = running.env.get(counted)
        && declared.contains_key(counted)
    {
        declared.insert(counted.clone(), own.clone());
    }
    let mut layers = Layers::read(&running.env, running.declared_env.as_ref());
    layers.inherited.extend(running.free_to_take(inherited.cloned().unwrap_or_default()));
    let before = std::mem::replace(&mut layers.declared, declared);
    // The options stay, and so does what they mean.
    if let Some(port) = running.port.as_ref().filter(|_| before.contains_key("PORT")) {
        layers.declared.entry("PORT").or_insert_with(|| port.clone());
    }
    for derived in &running.derived {
        if let Some(value) = before.get(*derived) {
            layers.declared.entry(*derived).or_insert_with(|| value.clone());
        }
    }
    let env = layers.env();
    for removed in running.env.keys().filter(|name| !env.contains_key(*name)) {
        // PM2's daemon keeps a copy of each variable beside the options, and takes it from there.
        let is_own = options::find(removed).is_some()
            || KEPT.contains(&removed.as_str())
            || JAVASCRIPTS.contains(&removed.as_str())
            || removed.starts_with("__")
            || running.instance_var.as_ref() == Some(removed);
        if !is_own && !options.contains_key(removed) {
            options.insert(removed.clone(), "null".into());
        }
    }
    options.insert(DECLARED_ENV.to_owned(), layers.declared_env().into());
    options.insert("env".to_owned(), env.into());
    let mut update = Map::new();
    update.insert("current_conf".to_owned(), Value::Object(options));
    update
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::app::testing::map;
    use crate::app::{StartOptions, check_object};
    use crate::home::Home;

    fn context() -> CallerContext {
        let home = Home::at("/nowhere", &|_| None).unwrap();
        let env = map(json!({"PATH": "/new", "status": "q", "SECRET": "s"}));
        CallerContext::new("/work".into(), env, "/node".into(), home)
    }

    fn running() -> Running {
        Running {
            env: map(json!({"PATH": "/old", "A": "declared", "B": 2, "unique_id": "u"})),
            declared_env: Some(map(json!({"A": "inherited", "B": null}))),
            ..Running::default()
        }
    }

    fn conf_of(update: Map) -> Map {
        assert_eq!(update.len(), 1);
        map(update["current_conf"].clone())
    }

    fn through_object(entry: Value, running: &Running) -> Map {
        let options = StartOptions::from_map(&map(json!({"env": "p"})));
        let checked = check_object(&map(entry), &options, &context()).unwrap();
        conf_of(AppUpdate::new(&checked, &context()).of(running))
    }

    #[test]
    fn only_what_was_written() {
        let options = map(json!({"maxRestarts": 0, "max_memory_restart": "1K", "execMode": "cluster"}));
        let update = OptionUpdate::new(&options, &context()).unwrap().of(&running());
        assert_eq!(json!(conf_of(update)), json!({"max_memory_restart": 1024, "max_restarts": 0}));
        assert!(OptionUpdate::new(&map(json!({"name": 5})), &context()).is_err());
    }

    #[test]
    fn the_declared_variables_become_those_of_the_description() {
        let entry =
            json!({"script": "a.js", "env": {"C": 1, "O": {}}, "env_p": {"P": 2}, "exec_mode": "fork"});
        let conf = through_object(entry, &running());
        let expected = json!({"PATH": "/old", "A": "inherited", "unique_id": "u", "C": 1, "O": "{}", "P": 2});
        assert_eq!(conf["env"], expected);
        assert_eq!(conf["declared_env"], json!({"C": null, "O": null, "P": null}));
        assert_eq!(json!([conf["name"], conf["autorestart"], conf["B"]]), json!(["a", true, "null"]));
        for absent in ["exec_mode", "namespace", "A"] {
            assert!(!conf.contains_key(absent), "{absent}");
        }
        assert_eq!(through_object(json!({"name": "n", "namespace": "ns"}), &running())["namespace"], "ns");
    }

    #[test]
    fn without_declared_variables_the_callers_count() {
        let conf = through_object(json!({"name": "a", "filter_env": ["SEC"]}), &running());
        assert_eq!(conf["env"], json!({"PATH": "/new", "A": "inherited", "unique_id": "u"}));
        assert_eq!(conf["declared_env"], json!({}));
    }

    #[test]
    fn a_counted_variable_stays_that_of_the_instance() {
        let running = Running {
            env: map(json!({"PORT": 8001})),
            declared_env: Some(map(json!({"PORT": null}))),
            increment_var: Some("PORT".to_owned()),
            ..Running::default()
        };
        let entry = json!({"name": "a", "increment_var": "PORT", "env": {"PORT": 8000}});
        assert_eq!(through_object(entry, &running)["env"], json!({"PORT": 8001}));
        let options = map(json!({"port": 9000}));
        let conf = conf_of(OptionUpdate::new(&options, &context()).unwrap().of(&running));
        assert_eq!(conf["env"], json!({"PORT": 8001}));
    }

    #[test]
    fn what_is_its_own_is_not_taken_from_the_caller() {
        let mut ctx = context();
        for (name, value) in [("PM2_HOME", "/other"), ("unique_id", "parent"), ("NR", "1"), ("PWD", "/mine")]
        {
            ctx.env.insert(name.to_owned(), value.into());
        }
        let running = Running {
            env: map(json!({"PM2_HOME": "/home", "unique_id": "u", "NR": 7, "PATH": "/old", "status": "x"})),
            declared_env: Some(map(json!({"status": null}))),
            increment_var: Some("NR".to_owned()),
            ..Running::default()
        };
        let checked =
            check_object(&map(json!({"name": "a", "cwd": "/usr"})), &StartOptions::default(), &ctx).unwrap();
        let conf = conf_of(AppUpdate::new(&checked, &ctx).of(&running));
        let expected = json!({"PM2_HOME": "/home", "unique_id": "u", "NR": 7, "PATH": "/new", "SECRET": "s"});
        assert_eq!(conf["env"], expected);
        // Its status is no variable, whatever was called so.
        assert_eq!(conf.get("status"), None);
        let update = OptionUpdate::new(&map(json!({"updateEnv": true})), &ctx).unwrap().of(&running);
        for own in ["PM2_HOME", "unique_id", "NR"] {
            assert!(!update.contains_key(own), "{own}");
        }
    }

    #[test]
    fn the_callers_variables_count_when_asked_for() {
        let mut ctx = context();
        ctx.env.insert("A".to_owned(), "caller".into());
        let options = map(json!({"updateEnv": true}));
        let running = Running { filter_env: json!(["SECRET"]), ..running() };
        let update = OptionUpdate::new(&options, &ctx).unwrap().of(&running);
        let hidden = json!({"declared_env": {"A": "caller", "B": null}});
        assert_eq!(json!(update), json!({"PATH": "/new", "A": "caller", "current_conf": hidden}));
    }

    #[test]
    fn variables_beside_a_name_are_laid_over_the_declared_ones() {
        let options = map(json!({"env": {"A": "new"}}));
        let conf = conf_of(OptionUpdate::new(&options, &context()).unwrap().of(&running()));
        assert_eq!(conf["env"], json!({"PATH": "/old", "A": "new", "B": 2, "unique_id": "u"}));
        assert_eq!(conf["declared_env"], json!({"A": "inherited", "B": null}));
    }

    #[test]
    fn variables_of_options_stay_as_long_as_these() {
        let running = Running {
            env: map(json!({"PORT": 80, "HOME": "/its", "A": 1})),
            declared_env: Some(map(json!({"PORT": null, "HOME": "/mine", "A": null}))),
            port: Some(json!(80)),
            derived: vec!["HOME"],
            ..Running::default()
        };
        let conf = through_object(json!({"name": "a", "env": {"B": 1}}), &running);
        assert_eq!(conf["env"], json!({"HOME": "/its", "B": 1, "PORT": 80}));
        let conf = through_object(json!({"name": "a", "port": 81}), &running);
        assert_eq!(conf["env"], json!({"HOME": "/its", "PORT": 81}));
        let running = Running { port: None, derived: Vec::new(), ..running };
        let conf = through_object(json!({"name": "a", "env": {"B": 1}}), &running);
        assert_eq!(conf["env"], json!({"HOME": "/mine", "B": 1}));
    }
}
