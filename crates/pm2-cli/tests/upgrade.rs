//! The daemon goes over to another program in its own place, and nobody notices.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::load::{Dealing, Load, SERVER, Style, free_port, pid_of, pids};
use support::upgrade::{assert_listed, facts, hear, outcome, try_post, until_exists};
use support::{
    Client, EXECUTABLE, TestHome, copy_executable, descriptors, eventually, is_alive, processes_of, send,
    subscribe, until,
};

fn daemon() -> (TestHome, Client) {
    let home = TestHome::new();
    home.start();
    let client = home.client();
    (home, client)
}

fn restarts(entry: &Value) -> u64 {
    entry["pm2_env"]["restart_time"].as_u64().unwrap()
}

// ---- the daemon itself ----

#[test]
fn the_daemon_stays_the_same_process_with_the_same_sockets() {
    let home = TestHome::new();
    let pid = home.start();
    let inode = |name: &str| fs::metadata(home.file(name)).unwrap().ino();
    let inodes = ["rpc.sock", "pub.sock", "pm2.lock"].map(inode);
    let report = home.client().call("getReport", json!({})).unwrap();
    for round in 1..=3 {
        home.upgrade(None).unwrap();
        assert_eq!(home.n_upgrades(), round);
    }
    assert_eq!(["rpc.sock", "pub.sock", "pm2.lock"].map(inode), inodes);
    assert_eq!(fs::read_to_string(home.file("pm2.pid")).unwrap(), pid.to_string());
    let after = home.client().call("getReport", json!({})).unwrap();
    assert_eq!(after["started_at"], report["started_at"]);
    assert_eq!(after["env"], report["env"], "nothing is left in the environment");
    assert!(home.client().methods().contains_key("upgrade"));
    // The lock is held.
    let second = home.run(&["daemon"]);
    assert!(
        String::from_utf8_lossy(&second.stderr).contains(&format!("a daemon (pid {pid}) already serves"))
    );
    // A home is left as always.
    send(pid, Signal::SIGTERM).unwrap();
    assert_eq!(home.exit_code(pid), Some(0));
    for name in ["rpc.sock", "pub.sock", "pm2.pid"] {
        assert!(!home.file(name).exists(), "{name}");
    }
}

#[test]
fn sockets_of_tcp_stay_as_well() {
    let free = || -> SocketAddr { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let (rpc, bus) = (free(), free());
    let home = TestHome::new()
        .with("PM2_DAEMON_RPC_PORT", format!("tcp://{rpc}"))
        .with("PM2_DAEMON_PUB_PORT", format!("tcp://{bus}"));
    home.start();
    let mut client = Client::tcp(rpc);
    client.start(home.sleeper("a"));
    client.post("upgrade", &json!([]));
    assert_eq!(outcome(&mut client), Ok(()));
    let (mut client, mut subscriber) = (Client::tcp(rpc), Client::tcp(bus));
    assert_eq!(client.entry(0)["pm2_env"]["status"], "online");
    subscribe(&mut client, &mut subscriber);
}

#[test]
fn a_replaced_file_is_what_the_daemon_goes_over_to() {
    let home = TestHome::new();
    let own = home.path("own");
    copy_executable(&own);
    let pid = home
        .command("/bin/sh")
        .args(["-c", r#""$0" daemon >/dev/null 2>&1 & echo $!"#, own.to_str().unwrap()])
        .output()
        .unwrap();
    let pid: i32 = String::from_utf8(pid.stdout).unwrap().trim().parse().unwrap();
    until_exists(&home.file("rpc.sock"));
    let app = pid_of(&home.client().start(home.sleeper("a")));
    let running = || fs::metadata(format!("/proc/{pid}/exe")).unwrap().ino();
    let before = running();
    copy_executable(&home.path("new"));
    fs::rename(home.path("new"), &own).unwrap();
    assert_ne!(fs::metadata(&own).unwrap().ino(), before);
    home.upgrade(None).unwrap();
    assert_eq!(running(), fs::metadata(&own).unwrap().ino());
    // Another one, by name; from then on that one is its own.
    home.upgrade(Some(Path::new(EXECUTABLE))).unwrap();
    home.upgrade(None).unwrap();
    assert_eq!(running(), fs::metadata(EXECUTABLE).unwrap().ino());
    assert_eq!(pid_of(&home.client().entry(0)), app);
}

#[test]
fn an_attached_daemon_still_ends_with_its_owner() {
    let home = TestHome::new();
    let started = home.launch(&["daemon", "--attached"]);
    let app = pid_of(&home.client().start(home.sleeper("a")));
    home.upgrade(None).unwrap();
    assert_eq!(pid_of(&home.client().entry(0)), app);
    drop(started.stdin);
    assert_eq!(home.exit_code(started.pid), Some(0));
    assert!(!is_alive(app));
    home.wait_until_empty();
}

#[test]
fn the_file_that_apps_were_started_with_stays() {
    let (home, mut client) = daemon();
    let start = |client: &mut Client, name: &str, id: u64| {
        client.start(home.node(name, "setInterval(() => {}, 1000)"));
        // The first thing that the file tells; its path is in the command line.
        let entry = client.until("loaded", id, |entry| entry["pm2_env"]["node_version"].is_string());
        let words = fs::read_to_string(format!("/proc/{}/cmdline", pid_of(&entry))).unwrap();
        PathBuf::from(words.split('\0').skip_while(|word| *word != "--require").nth(1).unwrap())
    };
    let before = start(&mut client, "before", 0);
    home.upgrade(None).unwrap();
    assert!(before.exists());
    assert_eq!(start(&mut home.client(), "after", 1), before);
}

#[test]
fn kill_ends_everything_after_an_upgrade() {
    let (home, mut client) = daemon();
    client.start(home.shell("tree", "sleep 3600 & sleep 3601 & wait"));
    client.start(home.node("node", "setInterval(() => {}, 1000)"));
    home.upgrade(None).unwrap();
    let n_before = processes_of(&home.dir).len();
    let mut client = home.client();
    client.call("stopProcessId", json!(0)).unwrap();
    assert_eq!(processes_of(&home.dir).len(), n_before - 3, "the shell and what it has started");
    client.call("startProcessId", json!(0)).unwrap();
    home.upgrade(None).unwrap();
    assert!(home.run(&["kill"]).status.success());
    home.wait_until_empty();
    assert!(!home.file("rpc.sock").exists());
}

/// In the middle of going over there is nobody who could be told.
#[test]
fn a_signal_during_an_upgrade_is_not_lost() {
    for delay in [0, 2, 4, 6, 8, 10, 12, 15] {
        let home = TestHome::new();
        let pid = home.start();
        let mut client = home.client();
        client.start(home.sleeper("a"));
        client.post("upgrade", &json!([]));
        std::thread::sleep(Duration::from_millis(delay));
        send(pid, Signal::SIGHUP).unwrap();
        send(pid, Signal::SIGTERM).unwrap();
        assert_eq!(home.exit_code(pid), Some(0), "after {delay} ms");
        home.wait_until_empty();
        assert!(home.file("dump.pm2").exists(), "as after any signal");
    }
}

/// A signal that another thread takes while the program is replaced would be lost.
#[test]
fn signals_are_for_one_thread() {
    let home = TestHome::new();
    let pid = home.start();
    let threads = || -> Vec<(String, bool)> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let read = |name: &str, task: &Path| fs::read_to_string(task.join(name)).unwrap_or_default();
        tasks
            .map(|task| {
                let status = read("status", &task.path());
                let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t"));
                let blocked = u64::from_str_radix(blocked.unwrap_or("0"), 16).unwrap();
                let takes =
                    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGUSR2, Signal::SIGHUP]
                        .iter()
                        .any(|signal| blocked & 1 << (*signal as i32 - 1) == 0);
                (read("comm", &task.path()).trim().to_owned(), takes)
            })
            .collect()
    };
    for _ in 0..2 {
        let mut client = home.client();
        let mut watching = home.sleeper("watching");
        watching["watch"] = json!(true);
        client.start(watching);
        client.start_all(home.cluster("web", SERVER, free_port(), 2));
        let threads = threads();
        for name in ["logs", "cluster", "watch"] {
            assert!(threads.iter().any(|(thread, _)| thread == name), "{threads:?}");
        }
        assert_eq!(threads.iter().filter(|(_, takes)| *takes).count(), 1, "{threads:?}");
        client.call("deleteProcessId", json!(0)).unwrap();
        client.call("deleteProcessId", json!(1)).unwrap();
        client.call("deleteProcessId", json!(2)).unwrap();
        home.upgrade(None).unwrap();
    }
}

#[test]
fn two_upgrades_at_once_are_one_or_two() {
    let (home, mut client) = daemon();
    let app = pid_of(&client.start(home.sleeper("a")));
    let mut clients: Vec<Client> = (0..4).map(|_| home.client()).collect();
    for client in &mut clients {
        // The first may be through with it.
        try_post(client, "upgrade", &json!([]));
    }
    let outcomes: Vec<Result<(), String>> = clients.iter_mut().map(outcome).collect();
    assert!(outcomes.contains(&Ok(())), "{outcomes:?}");
    for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert!(refused.contains("another upgrade is under way"), "{refused}");
    }
    let mut client = home.client();
    assert_eq!(pid_of(&client.entry(0)), app);
    assert!((1..=4).contains(&home.n_upgrades()), "{}", home.log());
}

#[test]
fn descriptors_do_not_become_more() {
    let home = TestHome::new();
    let pid = home.start();
    let mut client = home.client();
    client.start(home.sleeper("native"));
    client.start(home.node("node", "process.send('ready'); process.stdin.resume()"));
    client.start_all(home.cluster("web", SERVER, free_port(), 2));
    client.call("sendLineToStdin", json!({"pm_id": 1, "line": "hello\n"})).unwrap();
    drop(client);
    let count = || {
        // Connections of this test have ended, and what was measured for it is closed.
        let mut kinds = BTreeMap::new();
        for path in descriptors(pid).into_values() {
            let kind = path.to_str().unwrap().split(':').next().unwrap().to_owned();
            *kinds.entry(kind).or_insert(0) += 1;
        }
        kinds
    };
    home.upgrade(None).unwrap();
    let first = eventually("it is quiet", || {
        let now = count();
        std::thread::sleep(Duration::from_millis(50));
        (now == count()).then_some(now)
    });
    for _ in 0..9 {
        home.upgrade(None).unwrap();
    }
    until("there are as many as after the first one", || count() == first);
    assert_eq!(home.n_upgrades(), 10);
    // And none of them is an app's.
    let app = pid_of(&home.client().start(home.sleeper("new")));
    until("it has what it was given", || descriptors(app).into_keys().eq(0..=3));
}

// ---- the command ----

fn said(output: &std::process::Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn the_command_says_what_has_become_of_it() {
    let home = TestHome::new();
    assert_eq!(said(&home.run(&["update"])), (Some(0), "[PM2] No daemon is running\n".to_owned()));
    assert!(!home.file("rpc.sock").exists(), "none is launched for it");
    home.start();
    let app = pid_of(&home.client().start(home.sleeper("a")));
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!("[PM2] Daemon updated in place: pm2-rs {version} -> {version}\n");
    assert_eq!(said(&home.run(&["update"])), (Some(0), expected));
    assert_eq!((pid_of(&home.client().entry(0)), home.n_upgrades()), (app, 1));
}

/// What npm pm2 answers to the question for its methods.
#[test]
fn a_daemon_that_cannot_is_left_alone() {
    use pm2_core::protocol::{Decoder, Limits, Reply, decode_request, encode_reply};
    use std::io::Read;

    let home = TestHome::new();
    fs::create_dir(&home.dir).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(home.file("rpc.sock")).unwrap();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut decoder = Decoder::new(Limits::default());
        let mut n_requests = 0;
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            decoder.feed(&chunk[..count]);
            while let Some(arguments) = decoder.next().unwrap() {
                n_requests += 1;
                let id = decode_request(arguments).unwrap().id;
                let methods = r#"{"ping":{"name":"ping","params":["env","cb"]}}"#;
                let methods = serde_json::value::RawValue::from_string(methods.to_owned()).unwrap();
                stream.write_all(&encode_reply(&id, &Reply::Methods(methods))).unwrap();
            }
        }
        n_requests
    });
    let (code, text) = said(&home.run(&["update"]));
    assert_eq!(code, Some(1));
    assert!(text.contains("cannot be updated in place, it is npm pm2"), "{text}");
    assert_eq!(daemon.join().unwrap(), 1, "nothing else was asked of it");
}

// ---- states of apps ----

#[test]
fn every_app_is_listed_as_before() {
    let (home, mut client) = daemon();
    let ids = |client: &mut Client, app: Value| client.start_all(app)[0]["pm_id"].as_u64().unwrap();
    let mut native = home.sleeper("native");
    native["env"]["deep"] = json!({"a": [1.5, "\u{fc}", null, {"b": "\u{2028}"}]});
    ids(&mut client, native);
    let node = ids(
        &mut client,
        home.node(
            "node",
            "process.send({type: 'axm:monitor', data: {a: {value: 1}}})\nsetInterval(() => {}, 1000)",
        ),
    );
    client.until("it has told of itself", node, |entry| {
        entry["pm2_env"]["axm_monitor"]["a"]["value"] == 1 && !entry["pm2_env"]["node_version"].is_null()
    });
    ids(&mut client, home.cluster("web", SERVER, free_port(), 2));
    let stopped = ids(&mut client, home.sleeper("stopped"));
    client.call("stopProcessId", json!(stopped)).unwrap();
    let mut failing = home.shell("errored", "exit 3");
    failing["max_restarts"] = json!(0);
    let errored = ids(&mut client, failing);
    client.until_status(errored, "errored");
    let mut waiting = home.shell("waiting", "exit 1");
    waiting["restart_delay"] = json!(600_000);
    let waiting = ids(&mut client, waiting);
    client.until_status(waiting, "waiting restart");
    let mut killed = home.sleeper("killed");
    killed["autorestart"] = json!(false);
    let killed = client.start(killed);
    send(pid_of(&killed), Signal::SIGKILL).unwrap();
    client.until_status(killed["pm_id"].as_u64().unwrap(), "stopped");
    // Not ready, and it was not asked to be: it is being restarted by itself.
    let mut launching = home.shell("launching", "[ -e again ] && exec sleep 3600; touch again; exit 1");
    launching["wait_ready"] = json!(true);
    launching["listen_timeout"] = json!(600_000);
    let launching = ids(&mut client, launching);
    client.until("it is launched anew", launching, |entry| {
        entry["pm2_env"]["status"] == "launching" && restarts(entry) == 1 && entry["pid"] != 0
    });

    let before = facts(&client.list());
    for _ in 0..2 {
        home.upgrade(None).unwrap();
        assert_listed(&home.client().list(), &before);
    }
    // The next entry gets the next number.
    let mut client = home.client();
    let next = ids(&mut client, home.sleeper("next"));
    assert_eq!(next + 1, client.list().len() as u64);
}

#[test]
fn an_app_that_dies_while_the_daemon_goes_over_is_restarted_once() {
    let (home, mut client) = daemon();
    let mut app = home.sleeper("a");
    app["max_restarts"] = json!(1000);
    let mut pid = pid_of(&client.start(app));
    for round in 1..=20 {
        let mut client = home.client();
        client.post("upgrade", &json!([]));
        std::thread::sleep(Duration::from_millis(round % 15));
        send(pid, Signal::SIGKILL).unwrap();
        outcome(&mut client).unwrap();
        let entry = home.client().until("restarted", 0, |entry| {
            restarts(entry) >= round && entry["pm2_env"]["status"] == "online"
        });
        assert_eq!(restarts(&entry), round);
        assert_eq!(entry["pm2_env"]["exit_signal"], "SIGKILL");
        pid = pid_of(&entry);
    }
}

#[test]
fn a_restart_that_is_due_later_comes_in_time() {
    let (home, mut client) = daemon();
    let delay = Duration::from_millis(1500);
    let mut app = home.shell("a", "[ -e again ] && exec sleep 3600; touch again; exit 1");
    app["restart_delay"] = json!(1500);
    client.start(app);
    client.until_status(0, "waiting restart");
    let since = Instant::now();
    while since.elapsed() < delay / 2 {
        home.upgrade(None).unwrap();
        assert_eq!(home.client().entry(0)["pm2_env"]["status"], "waiting restart");
        std::thread::sleep(Duration::from_millis(100));
    }
    home.client().until_status(0, "online");
    let waited = since.elapsed();
    assert!(waited > delay - Duration::from_millis(200) && waited < delay * 2, "{waited:?}");
    assert_eq!(restarts(&home.client().entry(0)), 1);
}

#[test]
fn a_start_that_is_waited_for_is_answered_first() {
    let (home, mut client) = daemon();
    let app = home
        .ready_shell("slow", "until [ -e go ]; do sleep 0.01; done; echo '\"ready\"' >&3; exec sleep 3600");
    let id = client.post("prepare", &json!([app]));
    home.client().until_status(0, "launching");
    let mut asking = home.client();
    asking.post("upgrade", &json!([]));
    // Meanwhile everybody is served.
    let mut other = home.client();
    for _ in 0..20 {
        assert_eq!(other.entry(0)["pm2_env"]["status"], "launching");
    }
    fs::write(home.path("go"), "").unwrap();
    let (answered, _) = client.reply();
    assert_eq!(answered, id);
    outcome(&mut asking).unwrap();
    assert_eq!(home.client().entry(0)["pm2_env"]["status"], "online");
    assert_eq!(home.n_upgrades(), 1);
}

#[test]
fn a_process_that_is_not_ready_yet_becomes_it_later() {
    let (home, mut client) = daemon();
    let text = "[ -e again ] || { touch again; exit 1; }
        until [ -e go ]; do sleep 0.01; done; echo '\"ready\"' >&3; exec sleep 3600";
    let mut app = home.shell("a", text);
    app["wait_ready"] = json!(true);
    app["listen_timeout"] = json!(600_000);
    client.start(app);
    client.until("it is launched anew", 0, |entry| {
        entry["pm2_env"]["status"] == "launching" && restarts(entry) == 1 && entry["pid"] != 0
    });
    home.upgrade(None).unwrap();
    assert_eq!(home.client().entry(0)["pm2_env"]["status"], "launching");
    fs::write(home.path("go"), "").unwrap();
    home.client().until_status(0, "online");
}

#[test]
fn patterns_and_files_are_followed_on() {
    let (home, mut client) = daemon();
    let mut timed = home.sleeper("timed");
    timed["cron_restart"] = json!("* * * * * *");
    client.start(timed);
    let folder = home.path("src");
    fs::create_dir(&folder).unwrap();
    let mut watching = home.sleeper("watching");
    watching["pm_cwd"] = json!(folder);
    watching["watch"] = json!(true);
    client.start(watching);
    home.upgrade(None).unwrap();
    let mut client = home.client();
    let before = restarts(&client.entry(0));
    client.until("the pattern is due", 0, |entry| restarts(entry) > before);
    fs::write(folder.join("a.js"), "").unwrap();
    client.until("the change is seen", 1, |entry| restarts(entry) == 1);
}

// ---- what apps write ----

/// Checks that a file has the lines 1 to n, in order, each once; what is before the number does not matter.
#[track_caller]
fn assert_numbered(path: &Path, number_of: impl Fn(&str) -> Option<u64>, at_least: u64) {
    let text = fs::read_to_string(path).unwrap();
    let numbers: Vec<u64> = text
        .lines()
        .map(|line| number_of(line).unwrap_or_else(|| panic!("{} has {line:?}", path.display())))
        .collect();
    let n = numbers.len() as u64;
    assert!(n >= at_least, "{n} lines in {}", path.display());
    let wrong = (1..=n).zip(&numbers).find(|(expected, number)| expected != *number);
    assert_eq!(wrong, None, "{}", path.display());
}

/// Writes numbered lines to both streams, each line in two halves, as fast as they are taken, until it is told to end.
const WRITER: &str = "const fs = require('fs');
    const write = (text) => [1, 2].forEach((stream) => fs.writeSync(stream, text));
    let n = 1;
    write('line ');
    while (!fs.existsSync('end')) for (let i = 0; i < 20; i++) write(`${n++}\nline `);
    write(`${n}\n`);";

#[test]
fn every_line_of_the_logs_is_there_once() {
    let (home, mut client) = daemon();
    let writer = |name: &str| {
        let mut app = home.node(name, WRITER);
        app["autorestart"] = json!(false);
        app
    };
    client.start(writer("plain"));
    let mut dated = writer("dated");
    dated["log_date_format"] = json!("YYYY-MM-DD");
    client.start(dated);
    let mut json = writer("json");
    json["log_type"] = json!("json");
    client.start(json);
    let log = |name: &str, kind: &str| home.file(&format!("logs/{name}-{kind}.log"));
    let size = |name: &str| fs::metadata(log(name, "out")).unwrap().len();
    for _ in 0..10 {
        let before = ["plain", "dated", "json"].map(size);
        home.upgrade(None).unwrap();
        until("all go on writing", || {
            ["plain", "dated", "json"].map(size).iter().zip(before).all(|(now, before)| *now > before + 1000)
        });
    }
    fs::write(home.path("end"), "").unwrap();
    let mut client = home.client();
    for id in 0..3 {
        let entry = client.until_status(id, "stopped");
        assert_eq!((restarts(&entry), &entry["pm2_env"]["exit_code"]), (0, &json!(0)));
    }
    for kind in ["out", "error"] {
        let number = |line: &str| line.strip_prefix("line ")?.parse().ok();
        assert_numbered(&log("plain", kind), number, 1000);
        let number = |line: &str| line.split_once(": line ")?.1.parse().ok();
        assert_numbered(&log("dated", kind), number, 1000);
        let number = |line: &str| {
            let record: Value = serde_json::from_str(line).ok()?;
            let type_of_kind = if kind == "out" { "out" } else { "err" };
            let message = record["message"].as_str().filter(|_| record["type"] == type_of_kind)?;
            message.trim_end().strip_prefix("line ")?.parse().ok()
        };
        assert_numbered(&log("json", kind), number, 1000);
    }
}

#[test]
fn a_renamed_log_file_is_written_on_until_logs_are_reloaded() {
    let (home, mut client) = daemon();
    let text = "while read line; do echo \"$line\"; done";
    client.start(home.shell("echo", text));
    let path = home.file("logs/echo-out.log");
    let moved = home.file("logs/moved.log");
    fs::rename(&path, &moved).unwrap();
    home.upgrade(None).unwrap();
    let mut client = home.client();
    let say = |client: &mut Client, line: &str| {
        client.call("sendLineToStdin", json!({"pm_id": 0, "line": format!("{line}\n")})).unwrap()
    };
    say(&mut client, "one");
    until("it is in the old file", || fs::read_to_string(&moved).unwrap() == "one\n");
    client.call("reloadLogs", json!({})).unwrap();
    until_exists(&path);
    say(&mut client, "two");
    until("it is in the new file", || fs::read_to_string(&path).unwrap() == "two\n");
}

// ---- what apps are told and tell ----

/// Keeps the ids of all messages, and writes them down when it is told to.
const RECEIVER: &str = "const ids = [];
    process.on('message', (packet) => {
        if (packet.data === 'report') require('fs').writeFileSync('ids', JSON.stringify(ids));
        else { ids.push(packet.data); process.send({ type: 'echo', data: { id: packet.data } }); }
    });
    process.send('ready')";

#[test]
fn no_message_to_an_app_is_lost_or_doubled() {
    let (home, mut client) = daemon();
    let mut app = home.node("echo", RECEIVER);
    app["wait_ready"] = json!(true);
    client.start(app);
    let packet = |data: Value| json!({"id": 0, "data": data, "topic": "t"});
    let over = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            // A message whose answer did not come may have arrived or not.
            let mut sent: Vec<(u64, bool)> = Vec::new();
            let mut client = home.client();
            for id in 1.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let is_posted = try_post(&mut client, "sendDataToProcessId", &json!([packet(json!(id))]));
                let is_answered = is_posted && client.arguments().is_some();
                if !is_answered {
                    client = home.client();
                }
                sent.push((id, is_answered));
            }
            sent
        });
        for _ in 0..10 {
            home.upgrade(None).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        over.store(true, Ordering::Relaxed);
        sending.join().unwrap()
    });
    let mut client = home.client();
    client.call("sendDataToProcessId", packet(json!("report"))).unwrap();
    until_exists(&home.path("ids"));
    let ids: Vec<u64> = eventually("it is written", || {
        serde_json::from_str(&fs::read_to_string(home.path("ids")).unwrap()).ok()
    });
    let n_answered = sent.iter().filter(|(_, is_answered)| *is_answered).count();
    assert!(n_answered > 50, "{sent:?}");
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    for (id, is_answered) in sent {
        assert!(!is_answered || ids.contains(&id), "{id} is lost");
    }
    // And it goes on telling.
    let mut bus = Client::unix(&home.file("pub.sock"));
    subscribe(&mut client, &mut bus);
    client.call("sendDataToProcessId", packet(json!(0))).unwrap();
    let heard = hear(&mut bus, "echo");
    assert_eq!(heard["data"]["id"], 0);
}

#[test]
fn a_message_that_was_half_sent_arrives_whole() {
    let (home, mut client) = daemon();
    let half = "head -c 150000 /dev/zero | tr '\\0'";
    let text = format!(
        "{{ printf '{{\"type\":\"big\",\"data\":\"'; {half} x; }} >&3; touch half
        until [ -e go ]; do sleep 0.01; done
        {{ {half} y; printf '\"}}\\n'; }} >&3; exec sleep 3600"
    );
    client.start(home.shell("big", &text));
    until_exists(&home.path("half"));
    for _ in 0..3 {
        home.upgrade(None).unwrap();
    }
    let (mut client, mut bus) = (home.client(), Client::unix(&home.file("pub.sock")));
    subscribe(&mut client, &mut bus);
    fs::write(home.path("go"), "").unwrap();
    let heard = hear(&mut bus, "big");
    assert_eq!(heard["data"], format!("{}{}", "x".repeat(150_000), "y".repeat(150_000)));
}

#[test]
fn messages_that_an_app_has_not_read_arrive_whole_and_in_order() {
    let (home, mut client) = daemon();
    client.start(home.shell(
        "late",
        "until [ -e go ]; do sleep 0.01; done; head -n 3 <&3 > got; mv got all; exec sleep 3600",
    ));
    // More than the system keeps for it.
    for letter in ["a", "b", "c"] {
        let data = letter.repeat(300_000);
        // Answered when it is written, which the upgrade does not wait for.
        client.post("sendDataToProcessId", &json!([{"id": 0, "topic": "t", "data": data}]));
    }
    client.call("ping", json!({})).unwrap();
    home.upgrade(None).unwrap();
    home.upgrade(None).unwrap();
    fs::write(home.path("go"), "").unwrap();
    until_exists(&home.path("all"));
    let text = fs::read_to_string(home.path("all")).unwrap();
    let data: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["data"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(data, ["a", "b", "c"].map(|letter| letter.repeat(300_000)));
}

#[test]
fn lines_that_an_app_has_not_read_arrive_whole_and_in_order() {
    let (home, mut client) = daemon();
    client.start(
        home.shell(
            "late",
            "until [ -e go ]; do sleep 0.01; done; head -n 3 > got; mv got all; exec sleep 3600",
        ),
    );
    let lines = ["a", "b", "c"].map(|letter| format!("{}\n", letter.repeat(100_000)));
    for line in &lines {
        // The second one does not fit into the pipe; it is kept.
        let _ = client.call("sendLineToStdin", json!({"pm_id": 0, "line": line}));
    }
    home.upgrade(None).unwrap();
    home.upgrade(None).unwrap();
    fs::write(home.path("go"), "").unwrap();
    until_exists(&home.path("all"));
    assert_eq!(fs::read_to_string(home.path("all")).unwrap(), lines.concat());
}

// ---- cluster mode ----

/// Goes over again and again while clients ask; no request may fail, and the workers stay. Then they are reloaded.
fn upgrades_under_load(dealing: Dealing, style: Style, n_rounds: usize) {
    let case = format!("{dealing:?}, {style:?}");
    let home = dealing.home();
    home.start();
    let mut client = home.client();
    let port = free_port();
    let mut app = home.cluster("web", SERVER, port, 2);
    app["scheduling_policy"] = dealing.policy();
    client.start_all(app);
    let workers = pids(&mut client);
    let load = Load::start(port, style, 16);
    load.wait_for_round();
    for _ in 0..n_rounds {
        home.upgrade(None).unwrap();
        load.wait_for_round();
    }
    let mut client = home.client();
    assert_eq!(pids(&mut client), workers, "{case}");
    assert_eq!(load.seen().failures, [], "{case}");
    for id in [0, 1] {
        client.call("reloadProcessId", json!({"id": id, "env": {}})).unwrap();
        home.upgrade(None).unwrap();
        client = home.client();
    }
    let successors = pids(&mut client);
    assert!(successors.is_disjoint(&workers), "{case}");
    until("the successors serve", || {
        load.wait_for_progress(1, 1);
        let seen = load.seen();
        successors.iter().all(|pid| seen.served.contains_key(pid))
    });
    load.wait_for_round();
    let seen = load.end();
    assert_eq!(seen.failures, [], "{case}");
    // Who accepts from a shared socket is whoever is awake.
    if dealing != Dealing::Shared {
        for pid in &workers {
            assert!(seen.served[pid] > 0, "{case}: {:?}", seen.served);
        }
    }
}

#[test]
fn ten_upgrades_under_load_lose_no_request_of_hybrid() {
    upgrades_under_load(Dealing::Hybrid, Style::Close, 10);
    upgrades_under_load(Dealing::Hybrid, Style::KeepAlive, 10);
}

#[test]
fn ten_upgrades_under_load_lose_no_request_that_goes_straight_to_workers() {
    upgrades_under_load(Dealing::Direct, Style::Close, 10);
    upgrades_under_load(Dealing::Direct, Style::KeepAlive, 10);
}

#[test]
fn ten_upgrades_under_load_lose_no_request_of_round_robin() {
    upgrades_under_load(Dealing::RoundRobin, Style::Close, 10);
    upgrades_under_load(Dealing::RoundRobin, Style::KeepAlive, 10);
}

#[test]
fn ten_upgrades_under_load_lose_no_request_of_a_shared_socket() {
    upgrades_under_load(Dealing::Shared, Style::Close, 10);
    upgrades_under_load(Dealing::Shared, Style::KeepAlive, 10);
}

#[test]
fn an_upgrade_during_reloads_waits_for_them() {
    let (home, mut client) = daemon();
    let port = free_port();
    client.start_all(home.cluster("web", SERVER, port, 2));
    let workers = pids(&mut client);
    let load = Load::start(port, Style::Close, 8);
    load.wait_for_round();
    let mut second = home.client();
    client.post("reloadProcessId", &json!([{"id": 0, "env": {}}]));
    second.post("reloadProcessId", &json!([{"id": 1, "env": {}}]));
    home.upgrade(None).unwrap();
    client.reply();
    second.reply();
    let mut client = home.client();
    assert!(pids(&mut client).is_disjoint(&workers));
    load.wait_for_round();
    assert_eq!(load.end().failures, []);
    assert_eq!(processes_of(&home.dir).len(), 3, "the daemon and two workers");
}

#[test]
fn a_socket_file_stays_until_its_app_goes() {
    let (home, mut client) = daemon();
    let text =
        "require('http').createServer((q, r) => r.end('x')).listen('web.sock', () => process.send('ready'))";
    client.start_all(home.cluster("web", text, 1, 2));
    let path: PathBuf = home.path("web.sock");
    assert!(path.exists());
    home.upgrade(None).unwrap();
    let ask = || {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
        text
    };
    for _ in 0..4 {
        assert!(ask().ends_with("\r\n\r\nx"));
    }
    let mut client = home.client();
    for id in [0, 1] {
        client.call("deleteProcessId", json!(id)).unwrap();
    }
    until("the file goes with it", || !path.exists());
}
