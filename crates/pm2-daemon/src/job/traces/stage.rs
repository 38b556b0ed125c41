//! A daemon without sockets, with scripted processes, and everything it says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{Local, NaiveDateTime, TimeZone};
use parking_lot::Mutex;
use pm2_core::protocol::{Decoder, Limits, decode_event};
use serde_json::{Map, Value, json};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::bus::Bus;
use crate::clock;
use crate::context::Context;
use crate::host::scripted::{Cast, Script, ScriptedHost, Stillness};
use crate::job::{Command, Farewell, JobHandle, Reply, Update};
use crate::journal::Journal;
use crate::logs::LogWriter;
use crate::settings::Settings;
use crate::supervisor::Supervisor;
use crate::watch::{Input, Watches};

/// When every trace begins, unless it says otherwise.
const BEGIN: &str = "2026-03-04T12:00:00";

/// Plays and compares with the file of that name.
pub(super) fn trace(name: &str, play: impl AsyncFnOnce(&Stage)) {
    trace_with(name, &[], play);
}

/// The same with variables for the daemon.
pub(super) fn trace_with(name: &str, environment: &[(&str, &str)], play: impl AsyncFnOnce(&Stage)) {
    compare(name, environment, BEGIN, play);
}

/// The same from another local date on.
pub(super) fn trace_from(begin: &str, name: &str, play: impl AsyncFnOnce(&Stage)) {
    compare(name, &[], begin, play);
}

fn compare(name: &str, environment: &[(&str, &str)], begin: &str, play: impl AsyncFnOnce(&Stage)) {
    let stillness = Arc::<Stillness>::default();
    let text = stillness.runtime().block_on(async {
        let date: NaiveDateTime = begin.parse().unwrap();
        clock::begin(Local.from_local_datetime(&date).unwrap().timestamp_millis());
        let stage = Stage::new(environment, &stillness).await;
        play(&stage).await;
        // What belongs to this moment.
        tokio::time::sleep(Duration::from_millis(1)).await;
        stage.told()
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/job/traces/{name}.txt"));
    if std::env::var_os("UPDATE_TRACES").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{} differs, UPDATE_TRACES=1 writes it anew:\n{}",
        path.display(),
        difference(&expected, &text)
    );
}

/// The lines around the first that differs.
fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let same = expected.iter().zip(&found).take_while(|(one, other)| one == other).count();
    let around = |lines: &[&str]| {
        lines[same.saturating_sub(5).min(lines.len())..(same + 5).min(lines.len())].join("\n")
    };
    format!("expected\n{}\nfound\n{}", around(&expected), around(&found))
}

/// What was said, and the states that the apps were in when nothing else was to be done at a moment.
#[derive(Default)]
struct Told {
    lines: Vec<(u64, String)>,
    states: BTreeMap<u64, Vec<(u32, String)>>,
}

pub(super) struct Stage {
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) home: PathBuf,
    cast: Arc<Cast>,
    told: Arc<Mutex<Told>>,
    begun: Instant,
    changes: std::sync::mpsc::Receiver<Input>,
    _home: tempfile::TempDir,
}

impl Stage {
    async fn new(environment: &[(&str, &str)], stillness: &Arc<Stillness>) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_owned();
        std::fs::write(home.join("node"), "").unwrap();
        let variables: BTreeMap<&str, &str> = environment.iter().copied().collect();
        let settings = Settings::read(&home, &|key| variables.get(key).map(|value| (*value).to_owned()));
        let bus = Bus::default();
        let journal = Journal::new(bus.clone(), &settings.log_date_format);
        let logs = LogWriter::on(tokio::runtime::Handle::current(), journal.clone());
        let cast = Arc::<Cast>::default();
        let host = ScriptedHost::new(bus.clone(), stillness.clone(), cast.clone());
        let mut context = Context::new(Box::new(host), logs, bus.clone(), journal.clone(), settings);
        let (watches, changes) = Watches::scripted(journal);
        Arc::get_mut(&mut context).unwrap().watches = watches;

        let begun = Instant::now();
        let told = Arc::<Mutex<Told>>::default();
        tokio::spawn(listen(bus.clone(), told.clone(), begun));
        while !bus.is_watched() {
            tokio::task::yield_now().await;
        }
        let supervisor = Arc::new(Supervisor::new(context.clone()));
        stillness.witnessed_by({
            let (supervisor, told) = (supervisor.clone(), told.clone());
            move || {
                let states = supervisor.jobs().iter().map(|job| state(job, begun)).collect();
                told.lock().states.insert(since(begun), states);
            }
        });
        tokio::spawn({
            let stillness = stillness.clone();
            async move { stillness.keep(|| context.cluster.keys_of(u64::MAX)).await }
        });
        Stage { supervisor, home, cast, told, begun, changes, _home: folder }
    }

    /// What the processes of an app do, one after the other; the last one goes on.
    pub(super) fn script(&self, app: &str, scripts: impl IntoIterator<Item = Script>) {
        self.cast.give(app, scripts);
    }

    /// What a client sends for an app with these options.
    pub(super) fn app(&self, name: &str, options: &Value) -> Map<String, Value> {
        let path = |name: String| self.home.join(name).to_str().unwrap().to_owned();
        let mut app = json!({
            "name": name, "namespace": "default", "exec_mode": "fork_mode", "exec_interpreter": "none",
            "pm_exec_path": path(name.to_owned()), "pm_cwd": path(String::new()),
            "pm_pid_path": path(format!("{name}.pid")), "pm_out_log_path": path(format!("{name}-out.log")),
            "pm_err_log_path": path(format!("{name}-error.log")), "merge_logs": true, "instances": 1,
            "env": {},
        });
        let app = app.as_object_mut().unwrap();
        app.extend(options.as_object().unwrap().clone());
        app.clone()
    }

    /// The interpreter of a Node app.
    pub(super) fn node(&self) -> String {
        self.home.join("node").to_str().unwrap().to_owned()
    }

    /// A client prepares an app.
    pub(super) async fn start(&self, name: &str, options: Value) {
        let app = self.app(name, &options);
        self.call(&format!("prepare {name}"), self.supervisor.prepare(app)).await;
    }

    /// A client starts a listed app.
    pub(super) async fn start_again(&self, id: u32) {
        self.command(&format!("start {id}"), id, Command::Start).await;
    }

    pub(super) async fn stop(&self, id: u32) {
        self.call(&format!("stop {id}"), self.job(id).ask_to_end(Command::Stop)).await;
    }

    pub(super) async fn restart(&self, id: u32) {
        self.command(&format!("restart {id}"), id, Command::Restart(Update::default())).await;
    }

    /// With other options.
    pub(super) async fn restart_with(&self, id: u32, options: Value) {
        let update = Update::read(Some(&json!({ "current_conf": options })));
        self.command(&format!("restart {id} with {options}"), id, Command::Restart(update)).await;
    }

    pub(super) async fn reload(&self, id: u32) {
        let command = Command::Reload(Update::default(), Farewell::Usual);
        self.command(&format!("reload {id}"), id, command).await;
    }

    pub(super) async fn soft_reload(&self, id: u32) {
        let command = Command::Reload(Update::default(), Farewell::Message);
        self.command(&format!("soft reload {id}"), id, command).await;
    }

    pub(super) async fn delete(&self, id: u32) {
        let job = self.job(id);
        self.call(&format!("delete {id}"), self.supervisor.delete(&job)).await;
    }

    pub(super) async fn reset(&self, id: u32) {
        self.command(&format!("reset {id}"), id, Command::ResetMeta).await;
    }

    pub(super) async fn duplicate(&self, id: u32) {
        let job = self.job(id);
        self.call(&format!("duplicate {id}"), self.supervisor.duplicate(&job)).await;
    }

    /// Anything else.
    pub(super) async fn command(&self, call: &str, id: u32, command: Command) {
        self.call(call, self.job(id).ask(command)).await;
    }

    async fn call(&self, call: &str, answer: impl Future<Output = Reply>) {
        self.note(&format!("call {call}"));
        let answer = match answer.await {
            Ok(text) if text.is_empty() => "done".to_owned(),
            Ok(text) => shown(&serde_json::from_str(&text).unwrap()),
            Err(error) => format!("error {error}"),
        };
        self.note(&format!("answer to {call}: {answer}"));
    }

    /// Says something in the trace.
    pub(super) fn note(&self, line: &str) {
        self.supervisor.context.bus.publish("trace", || Value::from(line).to_string());
    }

    pub(super) async fn pass(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Until so many ms after the beginning.
    pub(super) async fn until(&self, ms: u64) {
        tokio::time::sleep_until(self.begun + Duration::from_millis(ms)).await;
    }

    fn job(&self, id: u32) -> JobHandle {
        self.supervisor.job(id).unwrap()
    }

    /// Those who look for changes at this moment are told of one.
    pub(super) fn change(&self, watching: &mut Watching, name: &str) {
        for input in self.changes.try_iter() {
            match input {
                Input::Subscribe { id, changes, .. } => drop(watching.0.insert(id, changes)),
                Input::Unsubscribe { id } => drop(watching.0.remove(&id)),
                Input::Event(_) => {}
            }
        }
        self.note(&format!("change of {name} for {} apps", watching.0.len()));
        for changes in watching.0.values() {
            // More than that is one burst already.
            drop(changes.try_send(self.home.join(name)));
        }
    }

    fn told(&self) -> String {
        let mut told = std::mem::take(&mut *self.told.lock());
        if told.lines.iter().any(|(_, line)| line.contains("-cluster mode-")) {
            order_by_strand(&mut told.lines);
        }
        let mut text = String::new();
        let mut lines = told.lines.iter().peekable();
        let mut last = BTreeMap::<u32, &str>::new();
        let mut push = |at: &u64, line: &str| {
            text.push_str(&format!("+{at}ms {}\n", self.tidy(line)));
        };
        let times = told.states.keys().chain(told.lines.iter().map(|(at, _)| at));
        let times: BTreeSet<u64> = times.copied().collect();
        for at in &times {
            while let Some((_, line)) = lines.next_if(|(when, _)| when == at) {
                push(at, line);
            }
            let Some(states) = told.states.get(at) else { continue };
            for (id, state) in states {
                if last.insert(*id, state) != Some(state) {
                    push(at, &format!("state {state}"));
                }
            }
            last.retain(|id, _| {
                let is_there = states.iter().any(|(other, _)| other == id);
                if !is_there {
                    push(at, &format!("state {id} is gone"));
                }
                is_there
            });
        }
        text
    }

    /// Without what differs from one run to the next.
    fn tidy(&self, line: &str) -> String {
        let mut line = line.replace(self.home.to_str().unwrap(), "<home>");
        // A number that is a pid is only taken for one where pids are named.
        for before in ["pid=", "pid ", "process "] {
            let Some((begin, rest)) = line.split_once(before) else { continue };
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            if let Some(name) = rest[..end].parse().ok().and_then(|pid| self.cast.name(pid)) {
                line = format!("{begin}{before}{name}{}", &rest[end..]);
            }
        }
        match line.split_once("current_memory=") {
            Some((before, after)) => {
                format!("{before}current_memory=…{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
            }
            None => line,
        }
    }
}

/// Brings what is said at the same moment into an order that does not depend on how fast the cluster's thread is: what
/// clients ask for, then app by app what happens to it, then what clients hear.
fn order_by_strand(lines: &mut [(u64, String)]) {
    let mut strand = 0;
    let mut of_actor = BTreeMap::new();
    let mut key = |line: &str| {
        if line.starts_with("call ") {
            return 0;
        }
        if line.starts_with("answer ") || line.contains(" by a client ") {
            return u32::MAX;
        }
        let words = line.split(|c: char| !c.is_alphanumeric() && !matches!(c, ':' | '_')).collect::<Vec<_>>();
        let id = words.iter().find_map(|word| {
            let (_, id) = word.split_once(':')?;
            id.trim_start_matches("_old_").parse::<u32>().ok()
        });
        if let Some(id) = id {
            strand = id + 1;
            if line.starts_with("spawn ") {
                of_actor.extend(words.iter().skip(3).map(|actor| ((*actor).to_owned(), strand)));
            }
        } else if let Some(of_actor) = words.iter().find_map(|word| of_actor.get(*word)) {
            strand = *of_actor;
        }
        strand
    };
    let mut keyed: Vec<_> = lines.iter().map(|(at, line)| ((*at, key(line)), line.clone())).collect();
    keyed.sort_by_key(|(key, _)| *key);
    for (line, ((at, _), mut text)) in lines.iter_mut().zip(keyed) {
        // What a client publishes shows the state of that moment.
        if let Some(end) = text.find(" by a client ").and_then(|_| text.rfind(',')) {
            text.truncate(end);
        }
        *line = (at, text);
    }
}

/// Who looks for changes.
#[derive(Default)]
pub(super) struct Watching(BTreeMap<u64, tokio::sync::mpsc::Sender<PathBuf>>);

fn since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap()
}

/// What a list shows of an app, as far as it is not what it mostly is.
fn state(job: &JobHandle, begun: Instant) -> (u32, String) {
    job.peek(|view| {
        let env: Value = serde_json::from_str(&view.event_json()).unwrap();
        let now = clock::epoch_ms();
        let began = now - i64::try_from(begun.elapsed().as_millis()).unwrap();
        let mut text = format!("{}:{} {}", view.spec.name, view.id, facts(&env, view.pid));
        match view.created_at {
            Some(at) => text.push_str(&format!(" created +{}ms", at - began)),
            None => text.push_str(" created never"),
        }
        (view.id, text)
    })
}

fn facts(env: &Value, pid: i32) -> String {
    let mut text = env["status"].as_str().unwrap().to_owned();
    match pid {
        0 => {}
        // Shown by its name later.
        pid => text.push_str(&format!(" pid={pid}")),
    }
    text.push_str(&format!(" restarts {}", env["restart_time"]));
    let fields = [
        ("unstable_restarts", "unstable"),
        ("prev_restart_delay", "delay"),
        ("exit_code", "code"),
        ("exit_signal", "signal"),
        ("spawn_error", "error"),
        ("ready_assumed", "ready assumed"),
    ];
    for (key, name) in fields {
        match &env[key] {
            Value::Null => {}
            value if *value == json!(0) && key != "exit_code" => {}
            Value::Bool(true) => text.push_str(&format!(", {name}")),
            Value::String(value) => text.push_str(&format!(", {name} {value}")),
            value => text.push_str(&format!(", {name} {value}")),
        }
    }
    text
}

/// An answer of processes.
fn shown(answer: &Value) -> String {
    match answer {
        Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join(" + "),
        process => {
            let pid = i32::try_from(process["pid"].as_i64().unwrap()).unwrap();
            let id = process["pm_id"].to_string();
            let name = process["name"].as_str().unwrap();
            format!("{name}:{} {}", id.trim_matches('"'), facts(&process["pm2_env"], pid))
        }
    }
}

/// Notes what is published.
async fn listen(bus: Bus, told: Arc<Mutex<Told>>, begun: Instant) {
    let (near, mut far) = tokio::io::duplex(1 << 20);
    tokio::spawn(async move { bus.serve(near).await });
    let mut decoder = Decoder::new(Limits::default());
    let mut chunk = vec![0; 1 << 16];
    loop {
        let count = far.read(&mut chunk).await.unwrap();
        if count == 0 {
            return;
        }
        decoder.feed(&chunk[..count]);
        while let Some(arguments) = decoder.next().unwrap() {
            let event = decode_event(arguments).unwrap();
            let packet: Value = serde_json::from_str(&event.packet).unwrap();
            let line = line(&event.topic.as_text(), &packet);
            told.lock().lines.push((since(begun), line));
        }
    }
}

fn line(topic: &str, packet: &Value) -> String {
    let process = &packet["process"];
    let who = || {
        format!("{}:{}", process["name"].as_str().unwrap(), process["pm_id"].to_string().trim_matches('"'))
    };
    match topic {
        "trace" => packet.as_str().unwrap().to_owned(),
        "log:PM2" => format!("journal {}", packet["data"].as_str().unwrap().trim_end()),
        "process:event" => {
            let manually = if packet["manually"] == true { " by a client" } else { "" };
            format!(
                "event {}{manually} of {}, {}",
                packet["event"].as_str().unwrap(),
                who(),
                process["status"].as_str().unwrap()
            )
        }
        "log:out" | "log:err" => format!("{topic} of {}: {}", who(), packet["data"]),
        "process:msg" => format!("message of {}: {}", who(), packet["raw"]),
        other => format!("{other} of {}: {}", who(), packet["data"]),
    }
}
