//! The second step: the argument of the daemon's `prepare`.

use serde_json::Value;

use super::check::{CheckedApp, Form, check_object, check_script, text};
use super::instances::{self, Mode};
use super::interpreter::{self, Interpreter};
use super::layers::DECLARED_ENV;
use super::script::{self, Located};
use super::{AppError, CallerContext, Map, StartOptions, absolute, environment, file_server, paths};

/// Checks and resolves an app object.
///
/// # Errors
/// Everything [`check_object`] and [`resolve`] refuse.
pub fn prepare_object(entry: &Map, options: &StartOptions, ctx: &CallerContext) -> Result<Map, AppError> {
    resolve(&check_object(entry, options, ctx)?, ctx)
}

/// Checks and resolves a script with options.
///
/// # Errors
/// Everything [`check_script`] and [`resolve`] refuse.
pub fn prepare_script(script: &str, options: &Map, ctx: &CallerContext) -> Result<Map, AppError> {
    resolve(&check_script(script, options, ctx)?, ctx)
}

/// Finds script, interpreter and folders, builds the environment, and gives the argument of the
/// daemon's `prepare` method (specification `wire.md` §6.1). Missing folders for log and pid files
/// are made.
///
/// # Errors
/// [`AppError`] of the kinds that are no validation errors.
pub fn resolve(checked: &CheckedApp, ctx: &CallerContext) -> Result<Map, AppError> {
    let mut app = checked.options.clone();
    let script = match app.shift_remove("script") {
        Some(Value::String(script)) if !script.is_empty() => script,
        _ => return Err(AppError::NoScript),
    };
    let cwd = absolute(&ctx.cwd, text(&app, "cwd").unwrap_or_default());
    let located = match checked.form {
        Form::Object if script == file_server::SCRIPT => Located::File(file_server::path(ctx)?),
        _ => script::locate(&script, &cwd, ctx)?,
    };
    let (path, interpreter) = match located {
        Located::File(path) => {
            let interpreter = interpreter::choose(text(&app, "exec_interpreter"), &path, ctx)?;
            (path, interpreter)
        }
        Located::Shell(path) => {
            app.insert("args".to_owned(), vec!["-c".to_owned(), script].into());
            app.insert("exec_mode".to_owned(), Mode::Fork.name().into());
            let program = "none".to_owned();
            (path, Interpreter { program, args: &[] })
        }
    };
    let layers = environment::build(checked, &interpreter.program, ctx);
    app.insert("env".to_owned(), layers.env().into());
    if !layers.declared.is_empty() {
        app.insert(DECLARED_ENV.to_owned(), layers.declared_env().into());
    }
    let node_args = app.entry("node_args").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(node_args) = node_args {
        let extra = interpreter.args.iter().filter(|arg| !node_args.iter().any(|given| given == *arg));
        let extra: Vec<Value> = extra.map(|arg| (*arg).into()).collect();
        node_args.extend(extra);
    }
    app.insert("pm_exec_path".to_owned(), path.to_string_lossy().into_owned().into());
    app.insert("pm_cwd".to_owned(), cwd.to_string_lossy().into_owned().into());
    let written_count = app.get("instances").and_then(Value::as_f64);
    let mode = instances::default_mode(written_count, &interpreter.program);
    app.insert("exec_interpreter".to_owned(), interpreter.program.into());
    app.entry("exec_mode").or_insert_with(|| mode.name().into());
    app.insert("instances".to_owned(), instances::count(written_count, ctx.cpus).into());
    paths::resolve_files(&mut app, &checked.name, &cwd, ctx)?;
    app.insert("km_link".to_owned(), false.into());
    Ok(app)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::home::Home;

    /// A machine in a folder: `bin` is the PATH, `work` the working directory, `home` the PM2 home.
    struct Machine {
        dir: TempDir,
        ctx: CallerContext,
    }

    impl Machine {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
            for folder in ["bin", "work/sub", "home"] {
                fs::create_dir_all(dir.path().join(folder)).unwrap();
            }
            for program in ["bash", "node", "python3", "tool"] {
                let program = dir.path().join("bin").join(program);
                fs::write(&program, "\0").unwrap();
                fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            }
            for script in ["app.js", "a.py", "a.rb", "foo.mjs", "sp ace.js", "x.ts"] {
                fs::write(dir.path().join("work").join(script), "text").unwrap();
            }
            let env = json!({"PATH": path("bin"), "HOME": path("me"), "status": "q", "SECRET_KEY": "1",
                "LOST": "[object Object]"});
            let Value::Object(env) = env else { unreachable!() };
            let home = Home::at(path("home"), &|_| None).unwrap();
            let mut ctx = CallerContext::new(path("work").into(), env, "/the/node".into(), home);
            ctx.cpus = 4;
            Self { dir, ctx }
        }

        fn path(&self, name: &str) -> String {
            self.dir.path().join(name).to_string_lossy().into_owned()
        }

        fn object(&self, entry: Value) -> Result<Map, String> {
            let Value::Object(entry) = entry else { panic!("not an object: {entry}") };
            prepare_object(&entry, &StartOptions::default(), &self.ctx).map_err(|error| error.to_string())
        }

        fn script(&self, script: &str, options: Value) -> Map {
            let Value::Object(options) = options else { panic!("not an object: {options}") };
            prepare_script(script, &options, &self.ctx).unwrap()
        }
    }

    #[test]
    fn a_plain_script() {
        let machine = Machine::new();
        let expected = json!({
            "name": "app", "namespace": "default", "node_args": [],
            "env": {
                "PATH": machine.path("bin"), "HOME": machine.path("me"), "SECRET_KEY": "1",
                "PM2_HOME": machine.path("home"), "app": {},
            },
            "merge_logs": true, "vizion": true, "autostart": true, "autorestart": true,
            "instance_var": "NODE_APP_INSTANCE", "pmx": true, "automation": true, "treekill": true,
            "username": machine.ctx.username, "windowsHide": true, "kill_retry_time": 100,
            "pm_exec_path": machine.path("work/app.js"), "pm_cwd": machine.path("work"),
            "exec_interpreter": "node", "exec_mode": "fork_mode", "instances": 1,
            "pm_out_log_path": machine.path("home/logs/app-out.log"),
            "pm_err_log_path": machine.path("home/logs/app-error.log"),
            "pm_pid_path": machine.path("home/pids/app.pid"), "km_link": false,
        });
        assert_eq!(Value::Object(machine.script("app.js", json!({}))), expected);
    }

    #[test]
    fn scripts() {
        let machine = Machine::new();
        let check = |entry: Value, expected: Result<[&str; 2], String>| {
            let found = machine.object(entry.clone());
            let found = found.map(|app| json!([app["pm_exec_path"], app["exec_interpreter"]]));
            let expected = expected.map(|[path, program]| json!([machine.path(path), program]));
            assert_eq!(found, expected, "{entry}");
        };
        check(json!({"script": "app.js"}), Ok(["work/app.js", "node"]));
        check(json!({"script": "../app.js", "cwd": "sub"}), Ok(["work/app.js", "node"]));
        check(json!({"script": "a.py"}), Ok(["work/a.py", "python3"]));
        check(json!({"script": "foo.mjs"}), Ok(["work/foo.mjs", "/the/node"]));
        check(json!({"script": "sub"}), Ok(["work/sub", "/the/node"]));
        check(json!({"script": "tool"}), Ok(["bin/tool", "none"]));
        check(json!({"script": "sp ace.js"}), Ok(["work/sp ace.js", "node"]));
        check(json!({"script": "echo hi"}), Ok(["bin/bash", "none"]));
        check(json!({"script": "echo hi", "interpreter": "node"}), Ok(["bin/bash", "none"]));
        check(json!({"script": "app.js", "interpreter": "none"}), Ok(["work/app.js", "none"]));
        check(json!({"script": "app.js", "interpreter": "../bin/tool"}), Ok(["work/app.js", "../bin/tool"]));
        let not_available = |name: &str| {
            Err(format!(
                "Interpreter {name} is NOT AVAILABLE in PATH. (type 'which {name}' to double check.)"
            ))
        };
        check(json!({"script": "a.rb"}), not_available("ruby"));
        check(json!({"script": "app.js", "interpreter": "./app.js"}), not_available("./app.js"));
        check(json!({"script": "app.js", "interpreter": "node@12"}), not_available("node@12"));
        check(json!({"script": "x.ts"}), Err(AppError::TypeScript.to_string()));
        check(json!({"name": "x"}), Err("No script path - aborting".to_owned()));
        check(
            json!({"script": "nope.js"}),
            Err(format!("Script not found: {}", machine.path("work/nope.js"))),
        );
        check(
            json!({"script": "bin/tool"}),
            Err(format!("Script not found: {}", machine.path("work/bin/tool"))),
        );
    }

    #[test]
    fn typescript() {
        let machine = Machine::new();
        let program = |name: &str, text: &str| {
            // A file just written may still be open in a process that another test is forking.
            let unfinished = machine.path(name);
            fs::write(&unfinished, text).unwrap();
            fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755)).unwrap();
            fs::rename(unfinished, machine.path(&format!("bin/{name}"))).unwrap();
        };
        fs::write(machine.path("work/x.tsx"), "text").unwrap();
        let check = |script: &str, expected: Result<Value, &str>| {
            let found = machine.object(json!({"script": script}));
            let found = found.map(|app| json!([app["exec_interpreter"], app["node_args"]]));
            assert_eq!(found, expected.map_err(str::to_owned), "{script}");
        };
        let refused = AppError::TypeScript.to_string();
        program("node", "#!/bin/sh\necho v20.1.0\n");
        check("x.ts", Err(&refused));
        program("tsx", "\0");
        check("x.ts", Ok(json!(["tsx", []])));
        check("x.tsx", Ok(json!(["tsx", []])));
        program("node", "#!/bin/sh\necho v22.7.0\n");
        check("x.ts", Ok(json!(["node", ["--experimental-strip-types"]])));
        program("node", "#!/bin/sh\necho v22.18.0\n");
        check("x.ts", Ok(json!(["node", []])));
        program("bun", "\0");
        check("x.ts", Ok(json!(["bun", []])));
        check("x.tsx", Ok(json!(["bun", []])));
    }

    #[test]
    fn shell_commands() {
        let machine = Machine::new();
        let entry = json!({"script": "echo hi", "args": "1 2", "exec_mode": "cluster", "instances": 2});
        let app = machine.object(entry).unwrap();
        assert_eq!(app["args"], json!(["-c", "echo hi"]));
        assert_eq!(app["name"], "echo hi");
        assert_eq!(app["exec_mode"], "fork_mode");
        assert_eq!(app["pm_out_log_path"], machine.path("home/logs/echo-hi-out.log"));
    }

    #[test]
    fn modes_and_counts() {
        let machine = Machine::new();
        let check = |entry: Value, mode: &str, count: u64| {
            let app = machine.object(entry.clone()).unwrap();
            assert_eq!(json!([app["exec_mode"], app["instances"]]), json!([mode, count]), "{entry}");
        };
        check(json!({"script": "app.js", "instances": 1}), "cluster_mode", 1);
        check(json!({"script": "app.js", "instances": "max"}), "cluster_mode", 4);
        check(json!({"script": "app.js", "instances": -1}), "cluster_mode", 3);
        check(json!({"script": "app.js", "exec_mode": "fork", "instances": "2"}), "fork_mode", 2);
        check(json!({"script": "app.js", "exec_mode": "cluster"}), "cluster_mode", 1);
        check(json!({"script": "a.py", "instances": 2}), "fork_mode", 2);
    }

    #[test]
    fn environments() {
        let machine = Machine::new();
        let check = |entry: Value, name: &str, expected: Value| {
            let app = machine.object(entry.clone()).unwrap();
            assert_eq!(app["env"].get(name).cloned().unwrap_or_default(), expected, "{entry} {name}");
        };
        let env = json!({"A": null, "B": true, "C": 5, "D": [1], "E": {"x": 1}, "PORT": 9, "name": "z"});
        let app = json!({"script": "app.js", "port": 80, "env": env, "io": {"a": 1}, "cwd": "."});
        for (name, expected) in [
            ("A", json!("null")),
            ("B", json!(true)),
            ("C", json!(5)),
            ("D", json!("[1]")),
            ("E", json!("{\"x\":1}")),
            ("PORT", json!(80)),
            ("name", json!("z")),
            ("io", json!("{\"a\":1}")),
            ("app", json!("{}")),
            ("PWD", json!(".")),
            ("status", Value::Null),
            ("LOST", Value::Null),
        ] {
            check(app.clone(), name, expected);
        }
        let path = json!(machine.path("bin"));
        check(json!({"script": "app.js", "name": "PATH"}), "PATH", path.clone());
        check(json!({"script": "a.py"}), "PYTHONUNBUFFERED", json!("1"));
        for filter in [json!(["SECRET"]), json!("SECRET_KEY"), json!(true)] {
            let entry = json!({"script": "app.js", "filter_env": filter});
            check(entry.clone(), "SECRET_KEY", Value::Null);
            check(entry, "PATH", path.clone());
        }
        for filter in [json!([]), json!(false), json!("SECRET")] {
            check(json!({"script": "app.js", "filter_env": filter}), "SECRET_KEY", json!("1"));
        }
        let app = machine.script("app.js", json!({"env": {"A": null, "E": {"x": 1}}}));
        assert_eq!(json!([app["env"]["A"], app["env"]["E"]]), json!([null, {"x": 1}]));
    }

    #[test]
    fn module_settings_become_variables() {
        let machine = Machine::new();
        fs::write(machine.path("home/module_conf.json"), r#"{"mod": {"k": "v"}}"#).unwrap();
        let env = &machine.object(json!({"script": "app.js", "name": "mod"})).unwrap()["env"];
        assert_eq!(json!([env["k"], env["mod"]]), json!(["v", "{\"k\":\"v\"}"]));
    }

    #[test]
    fn files() {
        let machine = Machine::new();
        let entry = json!({
            "script": "app.js", "out": "~/o/x.log", "error": "l/e.log", "log": true, "pid": "NULL",
        });
        let app = machine.object(entry).unwrap();
        assert_eq!(app["pm_out_log_path"], machine.path("me/o/x.log"));
        assert_eq!(app["pm_err_log_path"], machine.path("work/l/e.log"));
        assert_eq!(app["pm_log_path"], machine.path("home/logs/app.log"));
        assert_eq!(app["pm_pid_path"], "/dev/null");
        let mode = fs::metadata(machine.path("me/o")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        for option in ["out_file", "error_file", "log_file", "pid_file", "script"] {
            assert!(!app.contains_key(option), "{option}");
        }
        let app = machine.object(json!({"script": "app.js", "log": "NULL", "out": "/dev/null"})).unwrap();
        assert_eq!(json!([app["pm_log_path"], app["pm_out_log_path"]]), json!(["/dev/null", "/dev/null"]));
        let app = machine.object(json!({"script": "app.js", "log_file": false})).unwrap();
        assert!(!app.contains_key("pm_log_path"));
        let error = machine.object(json!({"script": "app.js", "out": "app.js/x.log"})).unwrap_err();
        assert!(error.starts_with("cannot create the folder "), "{error}");
        assert!(Path::new(&machine.path("home/pids")).is_dir());
    }
}
