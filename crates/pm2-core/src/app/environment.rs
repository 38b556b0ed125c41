//! The environment of an application.

use std::fs;

use serde_json::Value;

use super::check::{CheckedApp, Form, text};
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

/// The complete environment of an app: pm2_env.env.
///
/// Later wins: the caller's variables, the app's, `PORT`, `PM2_HOME` with the settings of
/// `module_conf.json` and the variable named like the app, the chosen environment.
pub(crate) fn build(checked: &CheckedApp, interpreter: &str, ctx: &CallerContext) -> Map {
    let app = &checked.options;
    let mut env = inherited(app.get("filter_env"), ctx);
    if let Some(cwd) = text(app, "cwd") {
        env.insert("PWD".to_owned(), cwd.into());
    }
    env.extend(own(checked));
    if interpreter.contains("python") && !env.contains_key("PYTHONUNBUFFERED") {
        env.insert("PYTHONUNBUFFERED".to_owned(), "1".into());
    }
    let home = ctx.home.dir.to_string_lossy().into_owned();
    env.insert("PM2_HOME".to_owned(), home.into());
    add_module_settings(&mut env, checked, ctx);
    env.extend(checked.chosen_env.clone());
    env
}

/// The app's own variables, with those that stand for options.
pub(crate) fn own(checked: &CheckedApp) -> Map {
    let app = &checked.options;
    let mut env = Map::new();
    for (name, value) in app.get("env").and_then(Value::as_object).into_iter().flatten() {
        let value = match (checked.form, value) {
            (Form::Object, Value::Null | Value::Array(_) | Value::Object(_)) => value.to_string().into(),
            _ => value.clone(),
        };
        env.insert(name.clone(), value);
    }
    if let Some(home) = &checked.user_home {
        env.insert("HOME".to_owned(), home.to_string_lossy().into_owned().into());
    }
    if let Some(io) = app.get("io").filter(|io| io.is_object()) {
        env.insert("io".to_owned(), io.to_string().into());
    }
    if let Some(port) = app.get("port") {
        env.insert("PORT".to_owned(), port.clone());
    }
    env
}

/// The caller's variables that may be passed on.
pub(crate) fn inherited(filter: Option<&Value>, ctx: &CallerContext) -> Map {
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

/// Adds the settings of `module_conf.json` under the app's name, and a variable of that name.
///
/// PM2 sets the latter for every app. Here an app called like a variable does not destroy it.
fn add_module_settings(env: &mut Map, checked: &CheckedApp, ctx: &CallerContext) {
    let settings = module_settings(&checked.name, ctx);
    if env.contains_key(&checked.name) && settings.is_none() {
        return;
    }
    let settings = settings.unwrap_or_default();
    env.extend(settings.clone());
    let settings = Value::Object(settings);
    let value = match checked.form {
        Form::Object => settings.to_string().into(),
        Form::Script => settings,
    };
    env.insert(checked.name.clone(), value);
}

fn module_settings(name: &str, ctx: &CallerContext) -> Option<Map> {
    let file = fs::read_to_string(&ctx.home.module_conf_file).ok()?;
    match serde_json::from_str::<Map>(&file).ok()?.remove(name)? {
        Value::Object(settings) => Some(settings),
        _ => None,
    }
}
