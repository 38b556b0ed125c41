//! The environment of an application.

use std::fs;

use serde_json::Value;

use super::check::{CheckedApp, Form, text};
use super::layers::Layers;
use super::{CallerContext, Map};

/// Names of PM2's own fields: an app started from within an app must not inherit them.
/// Specification `options.md` §4.5.
const NOT_INHERITED: &[&str] = &[
    "name",
    "exec_mode",
    "env",
    "args",
    "pm_cwd",
    "exec_interpreter",
    "pm_exec_path",
    "node_args",
    "pm_out_log_path",
    "pm_err_log_path",
    "pm_pid_path",
    "pm_id",
    "status",
    "pm_uptime",
    "created_at",
    "windowsHide",
    "username",
    "merge_logs",
    "kill_retry_time",
    "prev_restart_delay",
    "instance_var",
    "unstable_restarts",
    "restart_time",
    "axm_actions",
    "pmx_module",
    "command",
    "watch",
    "filter_env",
    "versioning",
    "vizion_runing",
    "MODULE_DEBUG",
    "pmx",
    "axm_options",
    "vizion",
    "axm_dynamic",
    "axm_monitor",
    "instances",
    "automation",
    "autostart",
    "autorestart",
    "stop_exit_codes",
    "unstable_restart",
    "treekill",
    "exit_code",
];

/// What `filter_env: true` leaves, because hardly a program starts without it.
const BASIC: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"];

/// What a value that was once an object looks like in an environment.
const LOST_OBJECT: &str = "[object Object]";

/// The environment of a new app, in its layers.
///
/// Later wins: the caller's variables, the app's, `PORT`, `PM2_HOME` with the settings of
/// `module_conf.json` and the variable named like the app, the chosen environment.
pub(super) fn build(checked: &CheckedApp, interpreter: &str, ctx: &CallerContext) -> Layers {
    let mut inherited = inherited(checked.options.get("filter_env"), ctx);
    let mut declared = own(checked);
    if let Some(cwd) = text(&checked.options, "cwd") {
        inherited.insert("PWD".to_owned(), cwd.into());
    }
    if interpreter.contains("python") {
        inherited.entry("PYTHONUNBUFFERED").or_insert_with(|| "1".into());
    }
    let home = ctx.home.dir.to_string_lossy().into_owned();
    let mut fixed = Map::new();
    fixed.insert("PM2_HOME".to_owned(), home.into());
    let is_variable = inherited.contains_key(&checked.name) || declared.contains_key(&checked.name);
    fixed.extend(module_variables(checked, is_variable, ctx));
    declared.retain(|name, _| !fixed.contains_key(name));
    inherited.extend(fixed);
    declared.extend(checked.chosen_env.clone());
    Layers { inherited, declared }
}

/// What the description of an app declares, the chosen environment included.
pub(super) fn declared(checked: &CheckedApp) -> Map {
    let mut declared = own(checked);
    declared.shift_remove("PM2_HOME");
    declared.extend(checked.chosen_env.clone());
    declared
}

/// The app's own variables, with those that stand for options.
fn own(checked: &CheckedApp) -> Map {
    let app = &checked.options;
    let mut env = Map::new();
    for (name, value) in app.get("env").and_then(Value::as_object).into_iter().flatten() {
        env.insert(name.clone(), as_variable(value.clone(), checked.form));
    }
    if let Some(home) = &checked.user_home {
        env.insert("HOME".to_owned(), home.to_string_lossy().into_owned().into());
    }
    if let Some(io) = app.get("io") {
        let text = io.as_str().map_or_else(|| io.to_string(), str::to_owned);
        env.insert("io".to_owned(), text.into());
    }
    if let Some(port) = app.get("port") {
        env.insert("PORT".to_owned(), port.clone());
    }
    env
}

/// The caller's variables that may be passed on.
pub(super) fn inherited(filter: Option<&Value>, ctx: &CallerContext) -> Map {
    let is_filtered = |name: &str| match filter {
        Some(Value::Bool(true)) => !BASIC.contains(&name),
        Some(Value::String(filtered)) => name == filtered,
        Some(Value::Array(parts)) => parts.iter().filter_map(Value::as_str).any(|part| name.contains(part)),
        _ => false,
    };
    ctx.env
        .iter()
        .filter(|(name, value)| {
            !NOT_INHERITED.contains(&name.as_str())
                && value.as_str() != Some(LOST_OBJECT)
                && !is_filtered(name)
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The settings of `module_conf.json` under the app's name, and a variable of that name.
///
/// PM2 sets the latter for every app. Here an app called like a variable does not destroy it.
fn module_variables(checked: &CheckedApp, is_variable: bool, ctx: &CallerContext) -> Map {
    let variables = settings_of(&checked.name, checked.form, &module_conf(ctx));
    if is_variable || !variables.is_empty() {
        return variables;
    }
    let nothing = Value::Object(Map::new());
    let nothing = match checked.form {
        Form::Object => nothing.to_string().into(),
        Form::Script => nothing,
    };
    Map::from_iter([(checked.name.clone(), nothing)])
}

/// What `module_conf.json` contains; nothing when it cannot be read.
pub(super) fn module_conf(ctx: &CallerContext) -> Map {
    let text = fs::read_to_string(&ctx.home.module_conf_file).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// The settings in [`module_conf`] under this name as variables, and all of them in one of that name; nothing when
/// there are none.
pub(super) fn settings_of(name: &str, form: Form, conf: &Map) -> Map {
    let Some(whole @ Value::Object(settings)) = conf.get(name) else { return Map::new() };
    let variable = |(name, value): (&String, &Value)| (name.clone(), as_variable(value.clone(), form));
    let mut variables: Map = settings.iter().map(variable).collect();
    variables.insert(name.to_owned(), whole.to_string().into());
    variables
}

/// What is no scalar becomes JSON text in an app object; beside a script it stays, and the app does not see it.
fn as_variable(value: Value, form: Form) -> Value {
    match (form, &value) {
        (Form::Object, Value::Null | Value::Array(_) | Value::Object(_)) => value.to_string().into(),
        _ => value,
    }
}
