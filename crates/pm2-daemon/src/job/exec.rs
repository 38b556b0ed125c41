//! From an app's description to a command line and an environment.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::description::Description;
use super::spec::AppSpec;
use crate::supervisor::identity::instance_variable;

/// Where programs are looked for when the app's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Tells the app runtime in fork mode which descriptor is the IPC channel; it removes the variable.
const CHANNEL: &str = "PM2_RS_CHANNEL_FD";

/// What the environment says about the running process besides the description.
pub(crate) struct RuntimeVariables {
    pub(crate) pm_id: u32,
    pub(crate) pm_uptime: i64,
    pub(crate) created_at: Option<i64>,
    pub(crate) restart_time: u64,
    pub(crate) unstable_restarts: u64,
    pub(crate) prev_restart_delay: Option<u64>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) node_version: Option<String>,
    pub(crate) version: Option<String>,
    /// `NODE_UNIQUE_ID` of a cluster worker.
    pub(crate) worker: Option<u64>,
    /// The daemon's name for the variable with the number of the instance.
    pub(crate) instance_variable: Option<String>,
}

/// A command ready to be started.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) program: CString,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    pub(crate) folder: CString,
}

/// Why no command could be made of an app.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum CommandError {
    #[error("Interpreter {0} is NOT AVAILABLE in PATH of the app. (type 'which {0}' to double check.)")]
    NoInterpreter(String),
    #[error("Working directory {0} does not exist or is not a directory")]
    NoFolder(String),
    #[error("{0} contains a NUL character, which no process can be given")]
    Nul(String),
}

/// Makes the command of an app: interpreter, its arguments, preload, script, arguments.
///
/// Behaviour of PM2 7.0.4, specification `lifecycle.md` §2, except that Node runs the app's own
/// script instead of a container.
///
/// # Errors
/// When the interpreter cannot be found in the app's `PATH`, its folder is missing, or a text cannot
/// be passed to a process.
pub(crate) fn command(
    spec: &AppSpec,
    description: &Description,
    runtime: &RuntimeVariables,
    node_options: &[String],
    preload: Option<&Path>,
) -> Result<Command, CommandError> {
    let app = description.app();
    let variables = environment(&app, runtime, preload.is_some());
    let folder = Path::new(&spec.folder);
    if !folder.is_dir() {
        return Err(CommandError::NoFolder(spec.folder.clone()));
    }

    let mut words: Vec<String> = Vec::new();
    let program = if spec.interpreter == "none" {
        words.push(spec.script.clone());
        PathBuf::from(&spec.script)
    } else {
        let path = variables.get("PATH").and_then(Value::as_str).unwrap_or(DEFAULT_PATH);
        let program = find_program(&spec.interpreter, path, folder)
            .ok_or_else(|| CommandError::NoInterpreter(spec.interpreter.clone()))?;
        words.push(spec.interpreter.clone());
        let node_args = list(app.get("node_args"));
        let inspector =
            runtime.worker.and_then(|_| inspector_port(&node_args, instance_number(&app, runtime)));
        // First of all: what the app preloads may already send messages.
        if let Some(preload) = preload {
            words.push("--require".to_owned());
            words.push(preload.to_string_lossy().into_owned());
        }
        words.extend(node_args);
        words.extend(inspector);
        words.extend(node_options.iter().cloned());
        words.push(spec.script.clone());
        program
    };
    words.extend(list(app.get("args")));

    let text = |text: String, what: &str| CString::new(text).map_err(|_| CommandError::Nul(what.to_owned()));
    Ok(Command {
        program: text(program.to_string_lossy().into_owned(), "the program")?,
        arguments: words.into_iter().map(|word| text(word, "an argument")).collect::<Result<_, _>>()?,
        environment: variables
            .iter()
            .filter(|(key, _)| !key.is_empty() && !key.contains('='))
            .filter_map(|(key, value)| Some((key, scalar(value)?)))
            .map(|(key, value)| text(format!("{key}={value}"), &format!("variable {key}")))
            .collect::<Result<_, _>>()?,
        folder: text(spec.folder.clone(), "the working directory")?,
    })
}

/// The variables of the child, specification `lifecycle.md` §2.1: scalar options, overlaid by the
/// app's environment, overlaid by the facts of this run.
fn environment(app: &Map<String, Value>, runtime: &RuntimeVariables, preloaded: bool) -> Map<String, Value> {
    let mut variables: Map<String, Value> = app
        .iter()
        .filter(|(key, _)| *key != "env")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let Some(Value::Object(env)) = app.get("env") {
        for (key, value) in env {
            if scalar(value).is_some() {
                variables.insert(key.clone(), value.clone());
            }
        }
    }
    let facts = [
        ("status", Some("launching".into())),
        ("pm_uptime", Some(runtime.pm_uptime.into())),
        ("pm_id", Some(runtime.pm_id.into())),
        ("restart_time", Some(runtime.restart_time.into())),
        ("unstable_restarts", Some(runtime.unstable_restarts.into())),
        ("created_at", runtime.created_at.map(Value::from)),
        ("prev_restart_delay", runtime.prev_restart_delay.map(Value::from)),
        ("exit_code", runtime.exit_code.map(Value::from)),
        ("node_version", runtime.node_version.clone().map(Value::from)),
        ("version", runtime.version.clone().map(Value::from)),
    ];
    let declares =
        |key: &str| app.get("env").and_then(|env| env.get(key)).is_some_and(|value| scalar(value).is_some());
    for (key, value) in facts {
        // None of them is inherited: whoever declares one means it.
        if let Some(value) = value.filter(|_| !declares(key)) {
            variables.insert(key.to_owned(), value);
        }
    }
    for name in ["NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", CHANNEL] {
        variables.shift_remove(name);
    }
    let has_opener = preloaded && runtime.worker.is_none();
    if has_opener {
        variables.insert(CHANNEL.to_owned(), 3.into());
    }
    // The app runtime opens the channel when the app first uses it; a cluster worker, and everything
    // that is not Node with the runtime, has it from the start, and what runs before the runtime as well.
    if !has_opener || is_preceded(app, &variables) {
        variables.insert("NODE_CHANNEL_FD".to_owned(), 3.into());
        variables.insert("NODE_CHANNEL_SERIALIZATION_MODE".to_owned(), "json".into());
    }
    // Inherited by accident it would make `cluster` wait for a primary that is not there.
    variables.shift_remove("NODE_UNIQUE_ID");
    if let Some(worker) = runtime.worker {
        variables.insert("NODE_UNIQUE_ID".to_owned(), worker.into());
    }
    variables
}

/// Whether Node runs code before the app runtime: modules that `NODE_OPTIONS` names, and the process that watches
/// files for `--watch` and passes messages on.
fn is_preceded(app: &Map<String, Value>, variables: &Map<String, Value>) -> bool {
    let options = variables.get("NODE_OPTIONS").and_then(Value::as_str).unwrap_or_default();
    let requires = |word: &str| {
        let name = word.trim_matches('"').split('=').next().unwrap_or_default();
        matches!(name, "-r" | "--require")
    };
    options.split_ascii_whitespace().any(requires)
        || list(app.get("node_args")).iter().any(|word| word.starts_with("--watch"))
}

/// The number of this instance among those of its name.
fn instance_number(app: &Map<String, Value>, runtime: &RuntimeVariables) -> u16 {
    let variable = instance_variable(app, runtime.instance_variable.as_deref());
    let number = app.get(&variable).and_then(Value::as_u64).unwrap_or(0);
    u16::try_from(number).unwrap_or(0)
}

/// A debugger port for each worker, as Node's own primary counts them: the first one's, and up from there.
fn inspector_port(node_args: &[String], instance: u16) -> Option<String> {
    const DEFAULT: u16 = 9229;
    let inspects = |arg: &&String| {
        let name = arg.split('=').next().unwrap_or_default();
        matches!(name, "--inspect" | "--inspect-brk" | "--inspect-port" | "--inspect-wait" | "--debug-port")
    };
    let mut given = node_args.iter().filter(inspects);
    let place = given.clone().filter_map(|arg| arg.split_once('=')).next_back().map(|(_, place)| place);
    given.next_back()?;
    let (host, port) = match place {
        None => (None, DEFAULT),
        Some(place) => match place.rsplit_once(':') {
            Some((host, port)) => (Some(host), port.parse().ok()?),
            None => match place.parse() {
                Ok(port) => (None, port),
                Err(_) => (Some(place), DEFAULT),
            },
        },
    };
    // 0 is any free one already.
    let port = port.checked_add(instance).filter(|_| port != 0)?;
    Some(match host {
        Some(host) => format!("--inspect-port={host}:{port}"),
        None => format!("--inspect-port={port}"),
    })
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An option that is a list of words; a plain string is one word.
fn list(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(words)) => words.iter().filter_map(scalar).collect(),
        Some(value) => scalar(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Finds a program as `execvp` would: a word with a slash is a path, others are looked up.
fn find_program(word: &str, path: &str, folder: &Path) -> Option<PathBuf> {
    let runnable = |candidate: PathBuf| is_executable(&candidate).then_some(candidate);
    if word.contains('/') {
        // Not executable is for `exec` to say; missing is for us.
        let candidate = folder.join(word);
        return candidate.exists().then_some(candidate);
    }
    path.split(':').find_map(|entry| runnable(folder.join(entry).join(word)))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn runtime() -> RuntimeVariables {
        RuntimeVariables {
            pm_id: 4,
            pm_uptime: 1000,
            created_at: Some(900),
            restart_time: 1,
            unstable_restarts: 0,
            prev_restart_delay: None,
            exit_code: Some(3),
            node_version: None,
            version: Some("1.0.0".to_owned()),
            worker: None,
            instance_variable: None,
        }
    }

    fn build(app: Value) -> Result<Command, CommandError> {
        let app = app.as_object().unwrap();
        let preload = Path::new("/home/x/runtime.cjs");
        command(
            &AppSpec::read(app),
            &Description::new(app),
            &runtime(),
            &["--trace-gc".to_owned()],
            Some(preload),
        )
    }

    fn words(words: &[CString]) -> Vec<&str> {
        words.iter().map(|word| word.to_str().unwrap()).collect()
    }

    #[test]
    fn the_command_line_is_interpreter_options_preload_script_arguments() {
        let app = json!({
            "exec_interpreter": "sh", "node_args": ["-x"], "pm_exec_path": "/a/app.js", "pm_cwd": "/",
            "args": ["one", 2], "env": {"PATH": "/nowhere:/bin"}
        });
        let command = build(app).unwrap();
        assert_eq!(command.program.to_str().unwrap(), "/bin/sh");
        assert_eq!(
            words(&command.arguments),
            ["sh", "--require", "/home/x/runtime.cjs", "-x", "--trace-gc", "/a/app.js", "one", "2"]
        );
    }

    #[test]
    fn every_worker_has_a_debugger_port_of_its_own() {
        let check = |args: &[&str], expected: Option<&str>| {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(inspector_port(&args, 2).as_deref(), expected, "{args:?}");
        };
        check(&[], None);
        check(&["--inspector"], None);
        check(&["--inspect"], Some("--inspect-port=9231"));
        check(&["--inspect-brk=7000"], Some("--inspect-port=7002"));
        check(&["--inspect=0.0.0.0:7000", "--trace-gc"], Some("--inspect-port=0.0.0.0:7002"));
        check(&["--inspect=[::1]:7000"], Some("--inspect-port=[::1]:7002"));
        check(&["--inspect=localhost"], Some("--inspect-port=localhost:9231"));
        check(&["--inspect", "--inspect-port=80"], Some("--inspect-port=82"));
        check(&["--inspect=0"], None);
        check(&["--inspect=65535"], None);
    }

    #[test]
    fn without_interpreter_the_script_is_the_program() {
        let app =
            json!({"exec_interpreter": "none", "pm_exec_path": "/bin/sleep", "pm_cwd": "/", "args": "1 2"});
        let command = build(app).unwrap();
        assert_eq!(command.program.to_str().unwrap(), "/bin/sleep");
        assert_eq!(words(&command.arguments), ["/bin/sleep", "1 2"]);
    }

    #[test]
    fn the_environment_is_options_then_variables_then_facts() {
        let app = json!({
            "name": "web", "exec_interpreter": "none", "pm_exec_path": "/bin/true", "pm_cwd": "/",
            "autorestart": true, "args": ["x"], "filter_env": [],
            "env": {"A": "1", "N": 1.5, "name": "declared", "pm_id": "77", "o": {"a": 1}, "z": null, "B=C": "x",
                    "NODE_UNIQUE_ID": "9"}
        });
        let command = build(app).unwrap();
        let environment = words(&command.environment);
        for present in [
            "name=declared",
            "pm_id=77",
            "restart_time=1",
            "A=1",
            "N=1.5",
            "autorestart=true",
            "status=launching",
            "exit_code=3",
            "version=1.0.0",
            "PM2_RS_CHANNEL_FD=3",
        ] {
            assert!(environment.contains(&present), "{present} in {environment:?}");
        }
        for absent in ["args=", "filter_env=", "o=", "z=", "env=", "B=C", "NODE_UNIQUE_ID="] {
            assert!(!environment.iter().any(|pair| pair.starts_with(absent)), "{absent} in {environment:?}");
        }
    }

    #[test]
    fn the_channel_is_open_from_the_start_where_something_runs_before_the_runtime() {
        let check = |env: Value, node_args: &[&str], expected: bool| {
            let app = json!({
                "exec_interpreter": "sh", "node_args": node_args, "pm_exec_path": "/a", "pm_cwd": "/", "env": env
            });
            let command = build(app).unwrap();
            let environment = words(&command.environment);
            assert!(environment.contains(&"PM2_RS_CHANNEL_FD=3"));
            assert_eq!(environment.contains(&"NODE_CHANNEL_FD=3"), expected, "{environment:?}");
        };
        check(json!({}), &[], false);
        check(json!({"NODE_CHANNEL_FD": "7"}), &["--require", "/b.js"], false);
        check(json!({"NODE_OPTIONS": "--max-old-space-size=64 --import /b.mjs"}), &[], false);
        check(json!({"NODE_OPTIONS": "--trace-gc --require /b.js"}), &[], true);
        check(json!({"NODE_OPTIONS": "-r /b.js"}), &[], true);
        check(json!({"NODE_OPTIONS": "\"--require=/b c.js\""}), &[], true);
        check(json!({}), &["--watch"], true);
        check(json!({}), &["--watch-path=/b"], true);
    }

    #[test]
    fn what_cannot_be_run_is_said() {
        let app = json!({"exec_interpreter": "no-such", "pm_exec_path": "/a", "pm_cwd": "/", "env": {"PATH": "/bin"}});
        assert_eq!(build(app).unwrap_err(), CommandError::NoInterpreter("no-such".to_owned()));
        let app = json!({"exec_interpreter": "none", "pm_exec_path": "/a", "pm_cwd": "/no/such/folder"});
        assert_eq!(build(app).unwrap_err(), CommandError::NoFolder("/no/such/folder".to_owned()));
        let app =
            json!({"exec_interpreter": "none", "pm_exec_path": "/a", "pm_cwd": "/", "env": {"A": "x\0y"}});
        assert_eq!(build(app).unwrap_err(), CommandError::Nul("variable A".to_owned()));
    }
}
