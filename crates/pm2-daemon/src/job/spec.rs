//! The options of an app that supervision reads, typed, with PM2's defaults.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::cluster::Policy;
use crate::logs::OwnSettings;
use crate::watch::WatchPlan;

/// What the daemon needs to know of an app's description to run it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AppSpec {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) script: String,
    pub(crate) folder: String,
    pub(crate) interpreter: String,
    pub(crate) cluster: bool,
    /// How connections are given to the workers; `None` = as the daemon does it.
    pub(crate) scheduling_policy: Option<Policy>,
    /// A client's address decides which worker serves it.
    pub(crate) sticky: bool,
    pub(crate) out_log: Option<String>,
    pub(crate) error_log: Option<String>,
    pub(crate) combined_log: Option<String>,
    pub(crate) pid_file: Option<String>,
    pub(crate) disable_logs: bool,
    /// day.js format of the date before each line of the logs.
    pub(crate) log_date_format: Option<String>,
    /// One JSON record per line (`log_type: "json"`).
    pub(crate) log_json: bool,
    /// How the logs are rotated.
    pub(crate) log_rotation: OwnSettings,
    pub(crate) autostart: bool,
    pub(crate) autorestart: bool,
    pub(crate) stop_exit_codes: Vec<i64>,
    pub(crate) min_uptime: Duration,
    pub(crate) max_restarts: u64,
    pub(crate) restart_delay_ms: u64,
    pub(crate) exp_backoff_restart_delay_ms: Option<u64>,
    /// Time between the stop signal and SIGKILL; `None` = the daemon's default.
    pub(crate) kill_timeout: Option<Duration>,
    pub(crate) treekill: bool,
    pub(crate) shutdown_with_message: bool,
    pub(crate) wait_ready: bool,
    /// Longest wait for readiness; `None` = the daemon's default.
    pub(crate) listen_timeout: Option<Duration>,
    /// What it is restarted for when it changes.
    pub(crate) watch: Option<Arc<WatchPlan>>,
    /// Pattern of the times at which to restart.
    pub(crate) cron_restart: Option<String>,
    /// The pattern also starts an app that was stopped.
    pub(crate) cron_starts_stopped: bool,
    /// Resident bytes of the main process above which it is restarted.
    pub(crate) max_memory_restart: Option<u64>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    /// Whether the app runtime is loaded into Node apps.
    pub(crate) pmx: bool,
    pub(crate) is_module: bool,
}

impl Default for AppSpec {
    fn default() -> Self {
        AppSpec::read(&Map::new())
    }
}

impl AppSpec {
    /// Whether the daemon can work with a description at all.
    ///
    /// # Errors
    /// Which key is missing or of the wrong type.
    pub(crate) fn check(app: &Map<String, Value>) -> Result<(), String> {
        let text =
            |key: &str| app.get(key).is_some_and(|value| value.as_str().is_some_and(|text| !text.is_empty()));
        if !app.get("env").is_some_and(Value::is_object) {
            return Err("an app needs env, an object".to_owned());
        }
        if let Some(missing) = ["name", "pm_exec_path", "pm_pid_path"].into_iter().find(|key| !text(key)) {
            return Err(format!("an app needs {missing}, a text"));
        }
        // A name that nobody has looked up must not end as the daemon's own user.
        let is_strange = |key: &&&str| match app.get(**key) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(value) => number(value).is_none_or(|id| id < 0.0) && value.as_str() != Some(""),
        };
        match ["uid", "gid"].iter().find(is_strange).copied() {
            Some(key) => Err(format!("{key} must be a number, not {}", app[key])),
            None => Ok(()),
        }
    }

    /// Reads the keys the daemon acts on; wrong types count as absent, because the client has
    /// validated them and the daemon must not die of what it is sent.
    pub(crate) fn read(app: &Map<String, Value>) -> AppSpec {
        let text = |key: &str| app.get(key).and_then(Value::as_str).map(str::to_owned);
        let path = |key: &str| text(key).filter(|path| !path.is_empty() && path != "/dev/null");
        let flag = |key: &str, absent: bool| match app.get(key) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) if text == "false" => false,
            Some(Value::String(text)) if text == "true" => true,
            _ => absent,
        };
        let count = |key: &str| app.get(key).and_then(number).filter(|value| *value >= 0.0);
        let whole = |key: &str| count(key).map(|value| value as u64);
        let identifier = |key: &str| whole(key).and_then(|value| u32::try_from(value).ok());
        // 0 is root, whom the daemon only can be already; the group of another user may be 0.
        let uid = identifier("uid").filter(|id| *id != 0);
        let gid = identifier("gid").filter(|id| *id != 0 || uid.is_some());
        // 0 means "default" for the time limits of a stop and of readiness.
        let limit = |key: &str| whole(key).filter(|ms| *ms > 0).map(Duration::from_millis);
        AppSpec {
            name: match app.get("name") {
                Some(Value::String(name)) => name.clone(),
                Some(Value::Number(name)) => name.to_string(),
                _ => String::new(),
            },
            namespace: text("namespace").unwrap_or_else(|| "default".to_owned()),
            script: text("pm_exec_path").unwrap_or_default(),
            folder: text("pm_cwd").unwrap_or_else(|| "/".to_owned()),
            interpreter: text("exec_interpreter").unwrap_or_else(|| "node".to_owned()),
            cluster: text("exec_mode").as_deref() == Some("cluster_mode"),
            scheduling_policy: text("scheduling_policy").and_then(|name| Policy::by_name(&name)),
            sticky: flag("sticky", false),
            out_log: path("pm_out_log_path"),
            error_log: path("pm_err_log_path"),
            combined_log: path("pm_log_path"),
            pid_file: path("pm_pid_path"),
            disable_logs: flag("disable_logs", false),
            log_date_format: text("log_date_format").filter(|format| !format.is_empty()),
            log_json: text("log_type").as_deref() == Some("json"),
            log_rotation: OwnSettings {
                own: app.get("log_rotate").and_then(rotation),
                is_module: flag("pmx_module", false),
            },
            autostart: flag("autostart", true),
            autorestart: flag("autorestart", true),
            stop_exit_codes: exit_codes(app.get("stop_exit_codes")),
            min_uptime: Duration::from_millis(whole("min_uptime").unwrap_or(1000)),
            max_restarts: whole("max_restarts").unwrap_or(16),
            restart_delay_ms: whole("restart_delay").unwrap_or(0),
            exp_backoff_restart_delay_ms: whole("exp_backoff_restart_delay").filter(|ms| *ms > 0),
            kill_timeout: limit("kill_timeout"),
            treekill: flag("treekill", true),
            shutdown_with_message: flag("shutdown_with_message", false),
            wait_ready: flag("wait_ready", false),
            listen_timeout: limit("listen_timeout"),
            watch: WatchPlan::read(
                app,
                Path::new(app.get("pm_cwd").and_then(Value::as_str).unwrap_or("/")),
                ["pm_out_log_path", "pm_err_log_path", "pm_log_path", "pm_pid_path"]
                    .into_iter()
                    .filter_map(path)
                    .map(Into::into)
                    .collect(),
            )
            .map(Arc::new),
            // 0, as a number or as text, is off.
            cron_restart: text("cron_restart").filter(|pattern| !matches!(pattern.trim(), "" | "0")),
            cron_starts_stopped: flag("cron_starts_stopped", false),
            max_memory_restart: whole("max_memory_restart").filter(|limit| *limit > 0),
            uid,
            gid,
            pmx: flag("pmx", true),
            is_module: flag("pmx_module", false),
        }
    }

    /// Whether the interpreter is Node, so that the app runtime can be preloaded.
    pub(crate) fn runs_node(&self) -> bool {
        self.interpreter.rsplit('/').next().is_some_and(|name| name.ends_with("node"))
    }
}

/// `true`, `false` or an object, of which only plain values are of use.
fn rotation(value: &Value) -> Option<Value> {
    let is_plain = |value: &Value| !value.is_array() && !value.is_object();
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::String(text) if text == "true" || text == "false" => Some(Value::Bool(text == "true")),
        Value::Object(settings) => {
            let plain = settings.iter().filter(|(_, value)| is_plain(value));
            Some(Value::Object(plain.map(|(key, value)| (key.clone(), value.clone())).collect()))
        }
        _ => None,
    }
}

/// A JSON number, or a string that holds one.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|value| value.is_finite())
}

fn exit_codes(value: Option<&Value>) -> Vec<i64> {
    match value {
        Some(Value::Array(codes)) => codes.iter().filter_map(number).map(|code| code as i64).collect(),
        Some(code) => number(code).map(|code| code as i64).into_iter().collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(app: Value) -> AppSpec {
        AppSpec::read(app.as_object().unwrap())
    }

    #[test]
    fn an_empty_description_has_the_documented_defaults() {
        let spec = AppSpec::default();
        assert_eq!((spec.max_restarts, spec.min_uptime), (16, Duration::from_secs(1)));
        assert!(spec.autorestart && spec.autostart && spec.treekill && spec.pmx && !spec.cluster);
        assert_eq!(spec.namespace, "default");
    }

    #[test]
    fn exit_codes_are_read_in_every_spelling() {
        assert_eq!(read(json!({"stop_exit_codes": 7})).stop_exit_codes, [7]);
        assert_eq!(read(json!({"stop_exit_codes": [0, "3"]})).stop_exit_codes, [0, 3]);
        assert_eq!(read(json!({"stop_exit_codes": {}})).stop_exit_codes, [0_i64; 0]);
    }

    #[test]
    fn unknown_users_are_refused() {
        let check = |uid: Value, expected: bool| {
            let app = json!({"name": "a", "pm_exec_path": "/a", "pm_pid_path": "/p", "env": {}, "uid": uid});
            assert_eq!(AppSpec::check(app.as_object().unwrap()).is_ok(), expected, "{uid}");
        };
        for (uid, expected) in [
            (json!(null), true),
            (json!(0), true),
            (json!("1000"), true),
            (json!("root"), false),
            (json!(-1), false),
            (json!([]), false),
        ] {
            check(uid, expected);
        }
    }

    #[test]
    fn wrong_types_are_not_fatal() {
        let spec = read(json!({"kill_timeout": [], "max_restarts": -3, "uid": "x", "autorestart": "false"}));
        assert_eq!(
            (spec.kill_timeout, spec.max_restarts, spec.uid, spec.autorestart),
            (None, 16, None, false)
        );
    }

    #[test]
    fn the_interpreter_decides_about_the_runtime() {
        assert!(read(json!({"exec_interpreter": "/usr/bin/node"})).runs_node());
        assert!(!read(json!({"exec_interpreter": "none"})).runs_node());
        assert!(!read(json!({"exec_interpreter": "bash"})).runs_node());
    }
}
