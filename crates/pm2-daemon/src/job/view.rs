//! What everyone may see of a job, and its forms on the wire.

use std::fmt::Write;
use std::sync::{Arc, Weak};

use serde_json::{Value, json};

use super::description::Description;
use super::spec::AppSpec;
use crate::clock::epoch_ms;
use crate::host::Tracking;
use crate::logs::LogFiles;
use crate::sys::Sample;

/// PM2's process statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Launching,
    Online,
    Stopping,
    Stopped,
    Errored,
    WaitingRestart,
}

impl Status {
    /// The text on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Status::Launching => "launching",
            Status::Online => "online",
            Status::Stopping => "stopping",
            Status::Stopped => "stopped",
            Status::Errored => "errored",
            Status::WaitingRestart => "waiting restart",
        }
    }

    /// The status of that text.
    pub(crate) fn by_name(name: &str) -> Option<Status> {
        [
            Status::Launching,
            Status::Online,
            Status::Stopping,
            Status::Stopped,
            Status::Errored,
            Status::WaitingRestart,
        ]
        .into_iter()
        .find(|status| status.as_str() == name)
    }
}

/// The published state of one job. The job's task alone writes it; anyone may read a copy.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) id: u32,
    pub(crate) spec: Arc<AppSpec>,
    pub(crate) description: Arc<Description>,
    pub(crate) status: Status,
    /// Process id; 0 when there is no process.
    pub(crate) pid: i32,
    /// Epoch ms of the last start.
    pub(crate) pm_uptime: Option<i64>,
    /// Epoch ms of the first start or the last manual restart; `None` once given up.
    pub(crate) created_at: Option<i64>,
    pub(crate) restart_time: u64,
    pub(crate) unstable_restarts: u64,
    pub(crate) prev_restart_delay: Option<u64>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) exit_signal: Option<String>,
    /// Why the last start failed.
    pub(crate) spawn_error: Option<String>,
    /// `version` of the nearest package.json; `N/A` without such a file, `None` before the first start
    /// and when the file has none.
    pub(crate) version: Option<String>,
    pub(crate) node_version: Option<String>,
    /// It counts as started although it has not said that it is ready.
    pub(crate) ready_assumed: bool,
    /// How the processes are found that end with the app; `None` without `treekill`.
    pub(crate) process_tree: Option<Tracking>,
    pub(crate) axm_actions: Vec<Value>,
    pub(crate) axm_monitor: serde_json::Map<String, Value>,
    pub(crate) axm_options: serde_json::Map<String, Value>,
    pub(crate) km_monitored: Option<bool>,
    /// The entry must not be listed any more: its very first start was refused.
    pub(crate) forgotten: bool,
    /// The log files of the process; `None` before the first.
    pub(crate) logs: Option<Weak<LogFiles>>,
    /// A worker that a reload replaces; its id is shown as `_old_<id>`.
    pub(crate) replaced: bool,
}

impl View {
    /// A job that has not run yet. What a dump says of a stopped one is taken over.
    pub(crate) fn new(id: u32, app: &serde_json::Map<String, Value>) -> View {
        let number = |key: &str| app.get(key).and_then(Value::as_i64);
        let text = |key: &str| app.get(key).and_then(Value::as_str).map(str::to_owned);
        View {
            id,
            spec: Arc::new(AppSpec::read(app)),
            description: Arc::new(Description::new(app)),
            status: Status::Stopped,
            pid: 0,
            pm_uptime: None,
            created_at: number("created_at"),
            restart_time: 0,
            unstable_restarts: 0,
            prev_restart_delay: None,
            exit_code: number("exit_code"),
            exit_signal: text("exit_signal"),
            spawn_error: None,
            version: None,
            node_version: None,
            ready_assumed: false,
            process_tree: None,
            axm_actions: Vec::new(),
            axm_monitor: serde_json::Map::new(),
            axm_options: serde_json::Map::new(),
            km_monitored: None,
            forgotten: false,
            logs: None,
            replaced: false,
        }
    }

    /// The process is about to be started.
    pub(crate) fn launching(&mut self) {
        let now = epoch_ms();
        self.status = Status::Launching;
        self.pm_uptime = Some(now);
        self.created_at.get_or_insert(now);
        self.spawn_error = None;
        self.ready_assumed = false;
        self.axm_actions.clear();
        self.axm_monitor.clear();
        self.axm_options.clear();
    }

    /// Somebody wants it anew: the counters of its own failures begin again.
    pub(crate) fn restart_asked_for(&mut self) {
        self.created_at = Some(epoch_ms());
        self.unstable_restarts = 0;
        self.prev_restart_delay = Some(0);
    }

    /// Where its logs are.
    pub(crate) fn log_paths(&self) -> Vec<String> {
        let AppSpec { out_log, error_log, combined_log, .. } = &*self.spec;
        [out_log, error_log, combined_log].into_iter().flatten().cloned().collect()
    }

    /// `{pid, name, pm2_env, pm_id}`, with `monit` when a sample is given.
    pub(crate) fn proc_json(&self, monit: Option<&Monit>) -> String {
        let mut text = String::with_capacity(self.description.members().len() + 768);
        self.push_proc_json(&mut text, monit);
        text
    }

    /// Writes what [`View::proc_json`] gives.
    pub(crate) fn push_proc_json(&self, text: &mut String, monit: Option<&Monit>) {
        text.push('{');
        self.push_proc(text, monit);
        text.push('}');
    }

    /// The answer to a start: the members of a process, plus `process.pid` where PM2's raw child
    /// object has it.
    pub(crate) fn spawned_json(&self) -> String {
        let mut text = String::with_capacity(self.description.members().len() + 800);
        text.push('{');
        self.push_proc(&mut text, Some(&Monit::default()));
        let _ = write!(text, r#","process":{{"pid":{}}}}}"#, self.pid);
        text
    }

    fn push_proc(&self, text: &mut String, monit: Option<&Monit>) {
        let name = Value::from(self.spec.name.as_str());
        let _ = write!(text, r#""pid":{},"name":{name},"pm2_env":{{"#, self.pid);
        text.push_str(self.description.members());
        self.push_runtime(text);
        let _ = write!(text, r#"}},"pm_id":{}"#, self.shown_id());
        if let Some(monit) = monit {
            let _ = write!(text, r#","monit":{{"memory":{},"cpu":{}}}"#, monit.memory, monit.cpu);
        }
    }

    /// A packet `process:event`.
    pub(crate) fn process_event(&self, event: Option<&str>, manually: bool) -> String {
        let event = event.map(|event| format!(r#""event":{},"#, Value::from(event))).unwrap_or_default();
        let at = epoch_ms();
        format!(r#"{{{event}"manually":{manually},"process":{},"at":{at}}}"#, self.event_json())
    }

    /// Takes what an app's metrics library reports of itself; `false` when the message is for the bus.
    ///
    /// Behaviour of PM2 7.0.4, specification `wire.md` §8.4. A report that is too large or nested too deep to be
    /// listed is dropped.
    pub(crate) fn take_axm(&mut self, kind: &str, data: &str) -> bool {
        if !matches!(kind, "axm:action" | "axm:monitor" | "axm:option:configuration" | "axm:option:setPID") {
            return false;
        }
        if data.len() > MAX_REPORT_BYTES || nesting(data) > MAX_REPORT_NESTING {
            return true;
        }
        let length = data.len();
        let data = serde_json::from_str::<Value>(data).unwrap_or_default();
        match kind {
            "axm:action" => {
                let known = |action: &Value| action.get("action_name") == data.get("action_name");
                let has_room = self.axm_actions.len() < MAX_REPORT_MEMBERS && length <= MAX_ACTION_BYTES;
                if has_room && !self.axm_actions.iter().any(known) {
                    self.axm_actions.push(data);
                }
            }
            "axm:monitor" => merge(&mut self.axm_monitor, data),
            "axm:option:configuration" => merge(&mut self.axm_options, data),
            _ => {}
        }
        true
    }

    /// An action is about to be carried out: what it said before is forgotten.
    pub(crate) fn begin_action(&mut self, name: &str) {
        for action in &mut self.axm_actions {
            if let Value::Object(action) = action
                && action.get("action_name").and_then(Value::as_str) == Some(name)
            {
                action.insert("output".to_owned(), Value::Array(Vec::new()));
            }
        }
    }

    /// Who a packet is from: `{pm_id, name, [rev,] namespace}`.
    pub(crate) fn identity_json(&self, with_rev: bool) -> String {
        let rev = if with_rev { r#","rev":null"# } else { "" };
        let (name, namespace) =
            (Value::from(self.spec.name.as_str()), Value::from(self.spec.namespace.as_str()));
        format!(r#"{{"pm_id":{},"name":{name}{rev},"namespace":{namespace}}}"#, self.shown_id())
    }

    /// `pm2_env` without `env`, as events carry it.
    pub(crate) fn event_json(&self) -> String {
        let [before, after] = self.description.members_without_env();
        let mut text = String::with_capacity(before.len() + after.len() + 512);
        text.push('{');
        text.push_str(before);
        text.push_str(after);
        self.push_runtime(&mut text);
        text.push('}');
        text
    }

    /// `pm2_env` read back as a value, for a dump; `None` when a client sent what cannot be read back.
    pub(crate) fn pm2_env(&self) -> Option<Value> {
        let mut text = String::from("{");
        text.push_str(self.description.members());
        self.push_runtime(&mut text);
        text.push('}');
        serde_json::from_str(&text).ok()
    }

    /// The id as JSON.
    fn shown_id(&self) -> String {
        match self.replaced {
            true => format!("\"_old_{}\"", self.id),
            false => self.id.to_string(),
        }
    }

    fn push_runtime(&self, text: &mut String) {
        let _ = write!(text, r#""status":"{}""#, self.status.as_str());
        let mut member = |key: &str, value: &dyn std::fmt::Display| {
            let _ = write!(text, r#","{key}":{value}"#);
        };
        if let Some(at) = self.pm_uptime {
            member("pm_uptime", &at);
        }
        let list = |values: &[Value]| serde_json::to_string(values).unwrap_or_else(|_| "[]".to_owned());
        let object = |map: &serde_json::Map<String, Value>| {
            serde_json::to_string(map).unwrap_or_else(|_| "{}".to_owned())
        };
        member("axm_actions", &list(&self.axm_actions));
        member("axm_monitor", &object(&self.axm_monitor));
        member("axm_options", &object(&self.axm_options));
        member("axm_dynamic", &"{}");
        match self.created_at {
            Some(at) => member("created_at", &at),
            None => member("created_at", &"null"),
        }
        member("pm_id", &self.shown_id());
        member("restart_time", &self.restart_time);
        member("unstable_restarts", &self.unstable_restarts);
        if let Some(delay) = self.prev_restart_delay {
            member("prev_restart_delay", &delay);
        }
        if self.spec.cluster {
            member("_pm2_version", &Value::from(pm2_core::PM2_VERSION));
        }
        for (key, value) in [
            ("version", &self.version),
            ("node_version", &self.node_version),
            ("exit_signal", &self.exit_signal),
            ("spawn_error", &self.spawn_error),
        ] {
            if let Some(value) = value {
                member(key, &Value::from(value.as_str()));
            }
        }
        if let Some(code) = self.exit_code {
            member("exit_code", &code);
        }
        if self.ready_assumed {
            member("ready_assumed", &true);
        }
        if let Some(tracking) = self.process_tree {
            member("process_tree", &Value::from(tracking.as_str()));
        }
        let faults = self.logs.as_ref().and_then(Weak::upgrade).map(|logs| logs.faults()).unwrap_or_default();
        if !faults.is_empty() {
            let shown = faults.into_iter().map(|(path, fault)| {
                json!({"path": path.to_string_lossy(), "error": fault.error, "since": fault.since, "lost_bytes": fault.lost})
            });
            member("log_errors", &Value::from_iter(shown));
        }
        if let Some(monitored) = self.km_monitored {
            member("_km_monitored", &monitored);
        }
    }
}

/// Largest report of an app about itself, and largest collection of them.
const MAX_REPORT_BYTES: usize = 256 * 1024;
/// Largest description of an action.
const MAX_ACTION_BYTES: usize = 4 * 1024;
/// Arrays and objects inside each other; a list adds some of its own, and readers stop at 128.
const MAX_REPORT_NESTING: usize = 32;
/// Most actions, metrics or options of one app.
const MAX_REPORT_MEMBERS: usize = 1000;

fn merge(map: &mut serde_json::Map<String, Value>, value: Value) {
    let Value::Object(members) = value else { return };
    let length = |key: &str, value: &Value| key.len() + value.to_string().len() + r#""":,"#.len();
    let mut bytes: usize = map.iter().map(|(key, value)| length(key, value)).sum();
    for (key, value) in members {
        let before = map.get(&key).map(|before| length(&key, before));
        let after = bytes - before.unwrap_or(0) + length(&key, &value);
        // What has room stays, and goes on being up to date.
        if after <= MAX_REPORT_BYTES && (before.is_some() || map.len() < MAX_REPORT_MEMBERS) {
            map.insert(key, value);
            bytes = after;
        }
    }
}

/// How deep arrays and objects are inside each other, at least: brackets in texts count too.
fn nesting(json: &str) -> usize {
    let mut depth = 0_usize;
    let mut deepest = 0;
    for byte in json.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Memory in bytes and CPU in percent of one core, as lists show them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Monit {
    pub(crate) memory: u64,
    pub(crate) cpu: f64,
}

impl Monit {
    /// Percent of one core used between two samples, rounded to one decimal.
    pub(crate) fn between(before: Option<(&Sample, std::time::Duration)>, now: &Sample) -> Monit {
        let cpu = before.map_or(0.0, |(before, elapsed)| {
            let used = now.cpu.saturating_sub(before.cpu).as_secs_f64();
            let elapsed = elapsed.as_secs_f64();
            if elapsed > 0.0 { (used / elapsed * 1000.0).round() / 10.0 } else { 0.0 }
        });
        Monit { memory: now.memory, cpu }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn view() -> View {
        let app = json!({"name": "a\"b", "env": {"K": "v"}, "exit_code": 137});
        let mut view = View::new(3, app.as_object().unwrap());
        view.status = Status::WaitingRestart;
        view.pid = 42;
        view.version = Some("N/A".to_owned());
        view
    }

    #[test]
    fn every_form_is_valid_json_with_the_expected_members() {
        let view = view();
        let proc: Value =
            serde_json::from_str(&view.proc_json(Some(&Monit { memory: 7, cpu: 1.5 }))).unwrap();
        assert_eq!(proc["name"], "a\"b");
        assert_eq!(proc["pm2_env"]["status"], "waiting restart");
        assert_eq!(proc["pm2_env"]["K"], "v");
        assert_eq!(proc["pm2_env"]["created_at"], Value::Null);
        assert_eq!(proc["monit"], json!({"memory": 7, "cpu": 1.5}));
        let spawned: Value = serde_json::from_str(&view.spawned_json()).unwrap();
        assert_eq!(spawned["process"]["pid"], 42);
        let event: Value = serde_json::from_str(&view.event_json()).unwrap();
        assert_eq!(event.get("env"), None);
        assert_eq!(view.pm2_env().unwrap()["pm_id"], 3);
    }

    #[test]
    fn cpu_is_a_share_of_the_time_between_two_samples() {
        let before = Sample { memory: 1, cpu: Duration::from_millis(100) };
        let now = Sample { memory: 9, cpu: Duration::from_millis(350) };
        let elapsed = Duration::from_secs(1);
        assert_eq!(Monit::between(Some((&before, elapsed)), &now), Monit { memory: 9, cpu: 25.0 });
        assert_eq!(Monit::between(None, &now), Monit { memory: 9, cpu: 0.0 });
    }

    #[test]
    fn what_an_app_reports_of_itself_is_bounded() {
        let mut view = view();
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert!(view.take_axm("axm:monitor", &format!(r#"{{"a":{deep}}}"#)));
        assert!(view.axm_monitor.is_empty());
        for number in 0..1000 {
            let text = "x".repeat(1000);
            view.take_axm("axm:monitor", &format!(r#"{{"metric {number}":"{text}"}}"#));
            view.take_axm("axm:action", &format!(r#"{{"action_name":"{number}"}}"#));
        }
        assert!(view.proc_json(None).len() < 2 * MAX_REPORT_BYTES);
        // Those that came first are still there, and still change.
        view.take_axm("axm:monitor", r#"{"metric 0":5}"#);
        assert_eq!(view.axm_monitor["metric 0"], 5);
        assert!(view.axm_monitor.len() > 200);
        assert!(view.pm2_env().is_some());
        assert!(!view.take_axm("process:msg", "{}"));
    }
}
