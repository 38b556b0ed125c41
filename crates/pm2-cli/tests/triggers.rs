//! What apps are restarted for without anybody asking: patterns of times, too much memory.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Client, TestHome, eventually, subscribe, until};

fn daemon() -> (TestHome, Client) {
    let home = TestHome::new();
    home.start();
    let client = home.client();
    (home, client)
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

/// Long enough for a pattern of every second to have been due.
const TWO_TIMES: Duration = Duration::from_millis(2200);

#[test]
fn a_pattern_restarts_an_app_until_it_is_removed() {
    let (home, mut client) = daemon();
    let mut app = home.sleeper("a");
    app["cron_restart"] = json!("* * * * * *");
    let mut bus = Client::unix(&home.file("pub.sock"));
    client.start(app);
    subscribe(&mut client, &mut bus);
    client
        .until("restarted twice", 0, |entry| restarts(entry) >= 2 && entry["pm2_env"]["status"] == "online");
    hears(&mut bus, "App [a:0] restarted by its cron pattern");
    client.call("restartProcessId", json!({"id": 0, "env": {"current_conf": {"cron_restart": 0}}})).unwrap();
    let before = restarts(&client.entry(0));
    std::thread::sleep(TWO_TIMES);
    assert_eq!(restarts(&client.entry(0)), before);
}

#[test]
fn a_pattern_leaves_alone_what_somebody_has_stopped() {
    let (home, mut client) = daemon();
    for (name, starts) in [("stays", false), ("starts", true)] {
        let mut app = home.sleeper(name);
        app["cron_restart"] = json!("* * * * * *");
        app["cron_starts_stopped"] = json!(starts);
        client.start(app);
    }
    for id in [0, 1] {
        client.call("stopProcessId", json!(id)).unwrap();
    }
    client.until_status(1, "online");
    std::thread::sleep(TWO_TIMES);
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

/// Writes a file again and again until a restart follows: the folder is looked at from some moment on.
#[track_caller]
fn touch_until_restarted(home: &TestHome, client: &mut Client, n: u64) {
    eventually("restarted for the file", || {
        std::fs::write(home.path("app/file.js"), n.to_string()).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let entry = client.entry(0);
        (restarts(&entry) >= n && entry["pm2_env"]["status"] == "online").then_some(())
    });
}

#[test]
fn a_changed_file_restarts_an_app() {
    let (home, mut client) = daemon();
    let mut bus = Client::unix(&home.file("pub.sock"));
    client.start(watched(&home, json!(true)));
    subscribe(&mut client, &mut bus);
    touch_until_restarted(&home, &mut client, 1);
    hears(&mut bus, "Change detected on path file.js for app a - restarting");
    // Until it is switched off, which every stop of the command line does.
    client.call_with("stopWatch", &json!(["stopProcessId", 0])).unwrap();
    assert_eq!(client.entry(0)["pm2_env"]["watch"], false);
    let before = restarts(&client.entry(0));
    std::fs::write(home.path("app/file.js"), "unseen").unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(restarts(&client.entry(0)), before);
    let again = client.call_with("startWatch", &json!(["restartProcessId", {"id": 0}])).unwrap();
    assert_eq!(again[0], json!({"success": true}));
    let again = client.call_with("startWatch", &json!(["restartProcessId", {"id": 0}])).unwrap();
    assert_eq!(again[0], json!({"success": true, "notrestarted": true}));
    touch_until_restarted(&home, &mut client, before + 1);
    // A stop over the wire leaves it on, and a change starts the app.
    client.call("stopProcessId", json!(0)).unwrap();
    eventually("started for the file", || {
        std::fs::write(home.path("app/file.js"), "start").unwrap();
        std::thread::sleep(Duration::from_millis(100));
        (client.entry(0)["pm2_env"]["status"] == "online").then_some(())
    });
    client.call_with("toggleWatch", &json!(["restartProcessId", {"id": 0}])).unwrap();
    assert_eq!(client.entry(0)["pm2_env"]["watch"], false);
}

#[test]
fn many_changes_are_one_restart() {
    let (home, mut client) = daemon();
    client.start(watched(&home, json!(["."])));
    touch_until_restarted(&home, &mut client, 1);
    std::thread::sleep(Duration::from_millis(500));
    let before = restarts(&client.entry(0));
    for n in 0..100 {
        std::fs::write(home.path(&format!("app/{n}.js")), "x").unwrap();
    }
    client.until("restarted", 0, |entry| restarts(entry) > before);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(restarts(&client.entry(0)), before + 1);
}

#[test]
fn an_app_that_logs_into_its_own_folder_is_not_restarted_for_that() {
    let (home, mut client) = daemon();
    let folder = home.path("app");
    let mut app = watched(&home, json!(true));
    let script = home.path("chatty.sh");
    std::fs::write(&script, "while :; do echo hello; sleep 0.05; done").unwrap();
    app["exec_interpreter"] = json!("sh");
    app["pm_exec_path"] = json!(script);
    app["args"] = json!([]);
    app["pm_out_log_path"] = json!(folder.join("out.log"));
    client.start(app);
    touch_until_restarted(&home, &mut client, 1);
    std::thread::sleep(Duration::from_millis(300));
    let before = restarts(&client.entry(0));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(restarts(&client.entry(0)), before);
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
