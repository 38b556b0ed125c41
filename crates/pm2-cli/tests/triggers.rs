//! What apps are restarted for without anybody asking: patterns of times, too much memory.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::{Client, TestHome, eventually, send, subscribe, until};

fn daemon() -> (TestHome, Client) {
    let (home, client, _) = daemon_with_pid();
    (home, client)
}

fn daemon_with_pid() -> (TestHome, Client, i32) {
    let home = TestHome::new();
    let pid = home.start();
    let client = home.client();
    (home, client, pid)
}

/// Waits for a packet with that text.
#[track_caller]
fn hears(bus: &mut Client, text: &str) {
    eventually(text, || bus.event().packet.contains(text).then_some(()));
}

/// Resident bytes of a process that may have ended.
fn memory(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * 4096)
}

fn pid_of(entry: &Value) -> i32 {
    i32::try_from(entry["pid"].as_i64().unwrap()).unwrap()
}

fn restarts(entry: &Value) -> u64 {
    entry["pm2_env"]["restart_time"].as_u64().unwrap()
}

/// An app that is restarted every second.
fn every_second(home: &TestHome, name: &str) -> Value {
    let mut app = home.sleeper(name);
    app["cron_restart"] = json!("* * * * * *");
    app
}

#[test]
fn a_pattern_restarts_an_app_until_it_is_removed() {
    let (home, mut client) = daemon();
    let mut bus = Client::unix(&home.file("pub.sock"));
    client.start(every_second(&home, "a"));
    client.start(every_second(&home, "clock"));
    subscribe(&mut client, &mut bus);
    client
        .until("restarted twice", 0, |entry| restarts(entry) >= 2 && entry["pm2_env"]["status"] == "online");
    hears(&mut bus, "App [a:0] restarted by its cron pattern");
    client.call("restartProcessId", json!({"id": 0, "env": {"current_conf": {"cron_restart": 0}}})).unwrap();
    let before = restarts(&client.entry(0));
    let ticks = restarts(&client.entry(1));
    client.until("two more times were due", 1, |entry| restarts(entry) >= ticks + 2);
    assert_eq!(restarts(&client.entry(0)), before);
}

#[test]
fn a_pattern_leaves_alone_what_somebody_has_stopped() {
    let (home, mut client) = daemon();
    client.start(every_second(&home, "stays"));
    let mut starts = every_second(&home, "starts");
    starts["cron_starts_stopped"] = json!(true);
    client.start(starts);
    for id in [0, 1] {
        client.call("stopProcessId", json!(id)).unwrap();
    }
    let ticks = restarts(&client.until_status(1, "online"));
    client.until("another time was due", 1, |entry| restarts(entry) > ticks);
    assert_eq!(client.entry(0)["pm2_env"]["status"], "stopped");
    // Whoever starts it again has its pattern again.
    client.call("startProcessId", json!(0)).unwrap();
    let before = restarts(&client.entry(0));
    client.until("by pattern", 0, |entry| restarts(entry) > before);
}

#[test]
fn a_pattern_runs_a_job_that_ends_by_itself() {
    let (home, mut client) = daemon();
    let runs = home.path("runs");
    let mut app = home.shell("job", &format!("echo run >> {}", runs.display()));
    app["autorestart"] = json!(false);
    app["cron_restart"] = json!("* * * * * *");
    client.start(app);
    until("three runs", || std::fs::read_to_string(&runs).unwrap_or_default().lines().count() >= 3);
}

/// An app in a folder of its own that is watched.
fn watched(home: &TestHome, watch: Value) -> Value {
    let folder = home.path("app");
    std::fs::create_dir_all(&folder).unwrap();
    let mut app = home.sleeper("a");
    app["pm_cwd"] = json!(folder);
    app["watch"] = watch;
    app
}

/// Whether a process is told of what changes in a folder, as the system has it.
fn is_watching(pid: i32, folder: &Path) -> bool {
    let inode = format!(" ino:{:x} ", folder.metadata().unwrap().ino());
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return false };
    descriptors.flatten().any(|descriptor| {
        // One that has just been closed cannot be read.
        let text = std::fs::read_to_string(descriptor.path()).unwrap_or_default();
        text.lines().any(|line| line.starts_with("inotify ") && line.contains(&inode))
    })
}

/// Waits for the one restart that a change is followed by.
#[track_caller]
fn until_restarted(client: &mut Client, n: u64) {
    let entry = client.until("restarted for the file", 0, |entry| {
        restarts(entry) >= n && entry["pm2_env"]["status"] == "online"
    });
    assert_eq!(restarts(&entry), n);
}

#[test]
fn a_changed_file_restarts_an_app() {
    let (home, mut client, daemon) = daemon_with_pid();
    let mut bus = Client::unix(&home.file("pub.sock"));
    client.start(watched(&home, json!(true)));
    subscribe(&mut client, &mut bus);
    let folder = home.path("app");
    let write = |text: &str| std::fs::write(folder.join("file.js"), text).unwrap();
    until("it is watched", || is_watching(daemon, &folder));
    write("first");
    until_restarted(&mut client, 1);
    hears(&mut bus, "Change detected on path file.js for app a - restarting");
    // Until it is switched off, which every stop of the command line does.
    client.call_with("stopWatch", &json!(["stopProcessId", 0])).unwrap();
    assert_eq!(client.entry(0)["pm2_env"]["watch"], false);
    until("it is watched no more", || !is_watching(daemon, &folder));
    write("unseen");
    let again = client.call_with("startWatch", &json!(["restartProcessId", {"id": 0}])).unwrap();
    assert_eq!(again[0], json!({"success": true}));
    let again = client.call_with("startWatch", &json!(["restartProcessId", {"id": 0}])).unwrap();
    assert_eq!(again[0], json!({"success": true, "notrestarted": true}));
    until("it is watched again", || is_watching(daemon, &folder));
    write("second");
    until_restarted(&mut client, 2);
    // A stop over the wire leaves it on, and a change starts the app.
    client.call("stopProcessId", json!(0)).unwrap();
    write("start");
    client.until_status(0, "online");
    client.call_with("toggleWatch", &json!(["restartProcessId", {"id": 0}])).unwrap();
    assert_eq!(client.entry(0)["pm2_env"]["watch"], false);
    until("it is watched no more", || !is_watching(daemon, &folder));
}

/// How changes are put together in time is told by the traces of `pm2-daemon`; here the system says it.
#[test]
fn many_changes_are_one_restart() {
    let (home, mut client, daemon) = daemon_with_pid();
    client.start(watched(&home, json!(["."])));
    let folder = home.path("app");
    until("it is watched", || is_watching(daemon, &folder));
    // It hears of all at once, however slowly this test gets on.
    send(daemon, Signal::SIGSTOP).unwrap();
    for n in 0..100 {
        std::fs::write(folder.join(format!("{n}.js")), "x").unwrap();
    }
    send(daemon, Signal::SIGCONT).unwrap();
    until_restarted(&mut client, 1);
    // What comes later is the next restart, and all before it was that one.
    std::fs::write(folder.join("later.js"), "x").unwrap();
    until_restarted(&mut client, 2);
}

#[test]
fn an_app_that_logs_into_its_own_folder_is_not_restarted_for_that() {
    let (home, mut client, daemon) = daemon_with_pid();
    let folder = home.path("app");
    let mut app = watched(&home, json!(true));
    let script = home.path("chatty.sh");
    std::fs::write(&script, "while :; do echo hello; sleep 0.05; done").unwrap();
    app["exec_interpreter"] = json!("sh");
    app["pm_exec_path"] = json!(script);
    app["args"] = json!([]);
    let log = folder.join("out.log");
    app["pm_out_log_path"] = json!(log);
    client.start(app);
    until("it is watched", || is_watching(daemon, &folder));
    let length = || log.metadata().unwrap().len();
    let before = length();
    until("it has logged more", || length() > before + 100);
    std::fs::write(folder.join("file.js"), "x").unwrap();
    until_restarted(&mut client, 1);
}

const HOG: &str = "const kept = [];
    setInterval(() => kept.push(Buffer.alloc(5 * 1024 * 1024, 1)), 50);";

#[test]
fn a_memory_hog_is_restarted_in_time() {
    let (home, mut client) = daemon();
    let mut app = home.node("hog", HOG);
    app["max_memory_restart"] = json!(100 * 1024 * 1024);
    let mut bus = Client::unix(&home.file("pub.sock"));
    let first = client.start(app);
    subscribe(&mut client, &mut bus);
    let pid = pid_of(&first);
    let mut peak = 0;
    let start = Instant::now();
    while client.entry(0)["pid"] == pid {
        peak = peak.max(memory(pid).unwrap_or(0));
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(peak > 100 * 1024 * 1024 && peak < 350 * 1024 * 1024, "{peak}");
    let entry = client.entry(0);
    assert_eq!(restarts(&entry), 1);
    hears(&mut bus, "Process 0 restarted because it exceeds --max-memory-restart value (current_memory=");
    hears(&mut bus, "\"event\":\"memory limit\"");
}
