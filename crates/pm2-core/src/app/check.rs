//! The first step: a validated application with its name, defaults and user.

use std::path::PathBuf;

use serde_json::Value;

use super::options::OPTIONS;
use super::user::{self, RunAs};
use super::validate::{Spelling, validate};
use super::{AppError, CallerContext, Map, StartOptions, absolute, script, watch_extension};

/// How the application was described; PM2 treats non-scalar variables differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An app object: objects and `null` in `env` become JSON text.
    Object,
    /// A script name with options: they stay values, which the app does not get to see.
    Script,
}

/// An application whose description is in order; nothing has been looked for on the machine yet.
#[derive(Debug, Clone)]
pub struct CheckedApp {
    /// The name before prefix and appended environment, the one `only` selects by; empty without a script.
    pub base_name: String,
    /// The name of the process.
    pub name: String,
    /// Canonical options with defaults, in PM2's order; `script`, `out_file`… still as written.
    pub options: Map,
    /// How it was described.
    pub form: Form,
    /// Whether the namespace was written, not the default.
    pub has_namespace: bool,
    /// The chosen environment (`deploy.<env>.env`, then `env_<env>`), laid over everything else.
    pub chosen_env: Map,
    /// Home directory of the user the app runs as, when one was chosen.
    pub user_home: Option<PathBuf>,
}

/// Checks an app object, as found in a configuration file.
///
/// # Errors
/// A validation error ([`AppError::is_validation`]).
pub fn check_object(
    entry: &Map,
    options: &StartOptions,
    ctx: &CallerContext,
) -> Result<CheckedApp, AppError> {
    let mut app = validate(entry, Spelling::Object)?;
    // PM2 looks for the mode before it translates `execMode`, and for the number before another one is given.
    let is_cluster = entry.contains_key("exec_mode") && is_cluster(&app);
    decide_merged_logs(&mut app, is_cluster);
    apply_start_options(&mut app, options);
    if let Some(io) = app.get_mut("io") {
        *io = io.to_string().into();
    }
    check(app, Form::Object, options, ctx)
}

/// Checks a script (path, command in PATH, or shell command) with options.
///
/// # Errors
/// A validation error ([`AppError::is_validation`]).
pub fn check_script(script: &str, options: &Map, ctx: &CallerContext) -> Result<CheckedApp, AppError> {
    let mut app = validate(options, Spelling::Script)?;
    app.shift_remove("script");
    if !script.is_empty() {
        app.insert("script".to_owned(), script.into());
    }
    if let Some(extensions) = text(options, "ext")
        && !app.contains_key("ignore_watch")
    {
        let folder = absolute(&ctx.cwd, text(&app, "cwd").unwrap_or_default());
        let ignored = watch_extension::files_without(extensions, &folder);
        app.insert("ignore_watch".to_owned(), ignored.into());
    }
    let is_cluster = is_cluster(&app);
    decide_merged_logs(&mut app, is_cluster);
    check(app, Form::Script, &StartOptions::default(), ctx)
}

fn check(
    mut app: Map,
    form: Form,
    options: &StartOptions,
    ctx: &CallerContext,
) -> Result<CheckedApp, AppError> {
    let base_name = text(&app, "name")
        .map_or_else(|| text(&app, "script").map(script::name_of).unwrap_or_default(), str::to_owned);
    let name = full_name(&base_name, &app, options);
    app.insert("name".to_owned(), name.clone().into());
    app.insert("username".to_owned(), ctx.username.clone().into());
    if ctx.variable("ASZ_MODE").is_some_and(|on| !on.is_empty()) && !app.contains_key("time") {
        app.insert("log_date_format".to_owned(), "YYYY-MM-DDTHH:mm:ss".into());
    }
    let run_as = match options.gid {
        Some(_) if !app.contains_key("uid") => user::resolve_group(&mut app, ctx)?,
        _ => user::resolve(&app, ctx)?,
    };
    if let Some(RunAs { uid, gid, .. }) = run_as {
        app.insert("uid".to_owned(), uid.into());
        app.insert("gid".to_owned(), gid.into());
    }
    Ok(CheckedApp {
        base_name,
        name,
        has_namespace: app.contains_key("namespace"),
        chosen_env: chosen_env(&app, options),
        options: with_defaults(app),
        form,
        user_home: run_as.map(|run_as| run_as.home),
    })
}

/// Lays the options beside a configuration file over one of its apps. Specification `options.md` §5.3.
fn apply_start_options(app: &mut Map, options: &StartOptions) {
    let is_falsy = |app: &Map, name: &str| {
        matches!(app.get(name), None | Some(Value::Bool(false)))
            || app.get(name).and_then(Value::as_str) == Some("")
    };
    if let Some(namespace) = &options.namespace
        && is_falsy(app, "namespace")
    {
        app.insert("namespace".to_owned(), namespace.clone().into());
    }
    if options.watch && is_falsy(app, "watch") {
        app.insert("watch".to_owned(), true.into());
    }
    if let Some(ignored) = &options.ignore_watch
        && is_falsy(app, "ignore_watch")
    {
        app.insert("ignore_watch".to_owned(), ignored.clone());
    }
    if let Some(instances) = &options.instances {
        app.insert("instances".to_owned(), instances.clone().into());
    }
    for (name, value) in [("uid", &options.uid), ("gid", &options.gid)] {
        if let Some(value @ (Value::String(_) | Value::Number(_))) = value {
            app.insert(name.to_owned(), value.clone());
        }
    }
    for (name, value) in [("cwd", &options.cwd), ("install_url", &options.install_url)] {
        if let Some(value) = value {
            app.insert(name.to_owned(), value.clone().into());
        }
    }
}

fn full_name(base_name: &str, app: &Map, options: &StartOptions) -> String {
    let mut name = base_name.to_owned();
    if let Some(prefix) = &options.name_prefix
        && !name.contains(prefix.as_str())
    {
        name = format!("{prefix}:{name}");
    }
    if let Some(env) = &options.env
        && app.get("append_env_to_name") == Some(&Value::Bool(true))
    {
        name = format!("{name}-{env}");
    }
    name
}

/// One set of log files for all instances is the default of a plain process and of `instances: "max"`.
fn decide_merged_logs(app: &mut Map, is_cluster: bool) {
    let is_merged = match app.get("merge_logs") {
        Some(Value::Bool(written)) => *written,
        _ => {
            let has_count = app.get("instances").and_then(Value::as_f64).is_some_and(|count| count != 0.0);
            !is_cluster && !has_count
        }
    };
    if is_merged {
        app.insert("merge_logs".to_owned(), true.into());
    } else {
        app.shift_remove("merge_logs");
    }
}

fn is_cluster(app: &Map) -> bool {
    text(app, "exec_mode") == Some("cluster_mode")
}

fn chosen_env(app: &Map, options: &StartOptions) -> Map {
    let mut chosen = Map::new();
    let Some(env) = &options.env else {
        return chosen;
    };
    let deployed = options.deploy.get(env).and_then(|section| section.get("env"));
    let own = app.get(&format!("env_{env}"));
    for variables in [deployed, own].into_iter().flatten() {
        chosen.extend(variables.as_object().cloned().unwrap_or_default());
    }
    chosen
}

/// Puts the options into table order and fills the gaps.
fn with_defaults(mut app: Map) -> Map {
    let mut filled = Map::new();
    for option in OPTIONS {
        // Resolving decides these, so "not given" must stay visible until then; and a restart
        // leaves them as they are.
        let default = match option.name {
            "instances" | "node_args" => None,
            _ => option.default.value(),
        };
        if let Some(value) = app.shift_remove(option.name).or(default) {
            filled.insert(option.name.to_owned(), value);
        }
    }
    filled.extend(app);
    filled
}

/// The option's text, if it is there and not empty.
pub(crate) fn text<'a>(app: &'a Map, name: &str) -> Option<&'a str> {
    app.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::app::testing::map;
    use crate::home::Home;

    fn context() -> CallerContext {
        let home = Home::at("/nowhere/.pm2", &|_| None).unwrap();
        let env = map(json!({"PATH": "/bin", "HOME": "/home/me"}));
        let mut ctx = CallerContext::new("/work".into(), env, "/usr/bin/node".into(), home);
        ctx.username = "me".to_owned();
        ctx
    }

    fn object(entry: Value, options: Value) -> CheckedApp {
        let options = StartOptions::from_map(&map(options));
        check_object(&map(entry), &options, &context()).unwrap()
    }

    #[test]
    fn defaults_in_order() {
        let expected = json!({
            "script": "app.js", "name": "app", "namespace": "default", "env": {},
            "merge_logs": true, "vizion": true, "autostart": true, "autorestart": true,
            "instance_var": "NODE_APP_INSTANCE", "pmx": true, "automation": true, "treekill": true,
            "username": "me", "windowsHide": true, "kill_retry_time": 100,
        });
        let checked = object(json!({"script": "app.js"}), json!({}));
        assert_eq!(serde_json::to_string(&checked.options).unwrap(), expected.to_string());
        let checked = check_script("app.js", &Map::new(), &context()).unwrap();
        assert_eq!(serde_json::to_string(&checked.options).unwrap(), expected.to_string());
    }

    #[test]
    fn names() {
        let check = |entry: Value, options: Value, base: &str, name: &str| {
            let checked = object(entry, options);
            assert_eq!((checked.base_name.as_str(), checked.name.as_str()), (base, name));
        };
        check(json!({"script": "a.js"}), json!({}), "a", "a");
        check(json!({"script": "a.js", "name": "x"}), json!({"env": "p"}), "x", "x");
        check(json!({"name": "x"}), json!({}), "x", "x");
        check(json!({}), json!({}), "", "");
        check(json!({"script": "a.js"}), json!({"name_prefix": "pre"}), "a", "pre:a");
        check(json!({"name": "pre-x"}), json!({"name_prefix": "pre"}), "pre-x", "pre-x");
        check(
            json!({"name": "x", "append_env_to_name": true}),
            json!({"env": "p", "name_prefix": "q"}),
            "x",
            "q:x-p",
        );
    }

    #[test]
    fn merged_logs() {
        let check = |entry: Value, expected: Option<bool>| {
            let checked = object(entry.clone(), json!({}));
            let found = checked.options.get("merge_logs").and_then(Value::as_bool);
            assert_eq!(found, expected, "{entry}");
        };
        check(json!({}), Some(true));
        check(json!({"instances": "max"}), Some(true));
        check(json!({"instances": 1}), None);
        check(json!({"exec_mode": "fork"}), Some(true));
        check(json!({"exec_mode": "cluster"}), None);
        check(json!({"exec_mode": "cluster_mode"}), None);
        check(json!({"exec_mode": "cluster", "instances": 0}), None);
        check(json!({"execMode": "cluster"}), Some(true));
        check(json!({"execMode": "cluster", "instances": 2}), None);
        check(json!({"exec_mode": "cluster", "mergeLogs": true}), Some(true));
        check(json!({"merge_logs": false}), None);
        check(json!({"mergeLogs": false}), None);
    }

    #[test]
    fn options_beside_a_file() {
        let options = json!({
            "namespace": "ns", "watch": true, "ignore_watch": ["x"], "instances": 2, "cwd": "/c",
            "max_memory_restart": "1G",
        });
        let app = object(json!({"script": "a.js", "watch": false}), options.clone()).options;
        assert_eq!(app["namespace"], "ns");
        assert_eq!(app["watch"], true);
        assert_eq!(app["ignore_watch"], json!(["x"]));
        assert_eq!(app["instances"], 2);
        assert_eq!(app["cwd"], "/c");
        assert!(!app.contains_key("max_memory_restart"));
        let own = json!({"namespace": "own", "ignore_watch": "q", "watch": ["w"], "instances": 5});
        let app = object(own, options).options;
        assert_eq!(app["namespace"], "own");
        assert_eq!(app["ignore_watch"], json!(["q"]));
        assert_eq!(app["watch"], json!(["w"]));
        assert_eq!(app["instances"], 2);
    }

    #[test]
    fn chosen_environments() {
        let entry = json!({"env_p": {"A": 2, "O": {"q": 1}}, "env_s": "text"});
        let check = |env: &str, expected: Value| {
            let deploy = map(json!({"p": {"env": {"D": 1, "A": 9}}}));
            let options = StartOptions { deploy, ..StartOptions::from_map(&map(json!({"env": env}))) };
            let checked = check_object(&map(entry.clone()), &options, &context()).unwrap();
            assert_eq!(Value::Object(checked.chosen_env), expected);
        };
        check("p", json!({"D": 1, "A": 2, "O": {"q": 1}}));
        check("s", json!({}));
        check("unknown", json!({}));
    }

    #[test]
    fn users() {
        let check = |is_root: bool, entry: Value, expected: Result<Value, &str>| {
            let ctx = CallerContext { is_root, ..context() };
            let found = check_object(&map(entry.clone()), &StartOptions::default(), &ctx);
            let found = found.map(|checked| json!([checked.options["uid"], checked.options["gid"]]));
            let found = found.map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{entry}");
        };
        check(true, json!({"user": "root"}), Ok(json!([0, 0])));
        check(true, json!({"uid": 0}), Ok(json!([0, 0])));
        check(true, json!({"uid": "0", "gid": "0"}), Ok(json!([0, 0])));
        check(true, json!({"uid": "no such"}), Err("User no such cannot be found"));
        check(true, json!({"gid": 0}), Err("User undefined cannot be found"));
        check(true, json!({"uid": 0, "gid": "no such"}), Err("Group no such cannot be found"));
        check(false, json!({"uid": 0}), Err("To use UID and GID please run PM2 as root"));
    }
}
