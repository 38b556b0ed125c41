//! Clients that act at random on the same apps: afterwards the table and the kernel say the same, every request has had
//! one answer, and the daemon keeps nothing of what is gone.
//!
//! Every run has another seed, which a failure prints; `PM2_RS_SEED` sets it. The order in which the daemon hears the
//! clients is not part of it. More actions: `cargo test -p pm2-cli --test random_actions -- --ignored`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use pm2_core::protocol::{Argument, Reply};
use serde_json::{Value, json};
use support::{
    Client, DEADLINE, Random, TestHome, descriptors, environment, is_alive, memory, processes_of, send, stat,
    until,
};

const N_CLIENTS: usize = 4;
const N_APPS: usize = 20;

/// A worker that serves, so that a reload has something to wait for.
const SERVER: &str = "require('net').createServer().listen(0, () => process.send('ready'))";

fn seed() -> u64 {
    let now = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    std::env::var("PM2_RS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(now)
}

/// The apps by number: mostly such as cost nothing, some that resist, die or have children, a few workers.
fn app(home: &TestHome, number: usize) -> Value {
    let name = format!("app{number}");
    let mut app = match number {
        0..=2 => {
            let mut app = home.node(&name, SERVER);
            app["exec_mode"] = json!("cluster_mode");
            app["wait_ready"] = json!(true);
            app["listen_timeout"] = json!(2_000);
            app
        }
        3 | 4 => home.shell(&name, "trap '' INT; while :; do sleep 0.05; done"),
        // The children end soon after it: a daemon leaves those of a killed app alone.
        5 | 6 => {
            let follower = "while kill -0 $0 2>/dev/null; do sleep 0.3; done";
            home.shell(&name, &format!("for n in 1 2; do sh -c '{follower}' $$ & done; wait"))
        }
        7 => home.shell(&name, "exit 3"),
        8 => {
            let mut app = home.shell(&name, "sleep 0.05; exit 3");
            app["restart_delay"] = json!(30);
            app["max_restarts"] = json!(4);
            app
        }
        9 => {
            let mut app = home.shell(&name, "sleep 0.02");
            app["autorestart"] = json!(false);
            app
        }
        10 => {
            let mut app = home.ready_shell(&name, r#"sleep 0.1; echo '"ready"' >&3; exec sleep 3600"#);
            app["exp_backoff_restart_delay"] = json!(20);
            app
        }
        _ => home.sleeper(&name),
    };
    app["kill_timeout"] = json!(150);
    app["merge_logs"] = json!(false);
    app["env"]["ROLE"] = json!(name);
    app
}

/// An action as the request it is.
fn action(home: &TestHome, random: &mut Random, list: &[Value]) -> (&'static str, Value) {
    if list.len() < N_APPS / 2 || (list.len() < N_APPS && random.below(6) == 0) {
        return ("prepare", app(home, random.below(N_APPS)));
    }
    let chosen = &list[random.below(list.len())];
    let id = &chosen["pm_id"];
    let signal = |name: &str| ("sendSignalToProcessId", json!({"process_id": id, "signal": name}));
    let with_env = json!({"id": id, "env": {}});
    match random.below(100) {
        0..=9 => ("startProcessId", id.clone()),
        10..=24 => ("restartProcessId", with_env),
        25..=36 => ("reloadProcessId", with_env),
        37..=50 => ("stopProcessId", id.clone()),
        51..=58 if list.len() < N_APPS => ("duplicateProcessId", id.clone()),
        51..=66 => ("deleteProcessId", id.clone()),
        67..=76 => signal("SIGKILL"),
        77..=80 => signal("SIGTERM"),
        81..=83 => signal("SIGCONT"),
        84..=88 => ("resetMetaProcessId", id.clone()),
        89..=91 => ("getMonitorData", json!({})),
        92 => ("stopProcessId", json!(1_000_000 + random.below(9))),
        _ => {
            // As from outside: the daemon learns of it from the kernel. Pids are used again, so the process is looked at.
            let pid = pid_of(chosen);
            if pid > 0 && is_of(pid, &home.dir) {
                let _ = send(pid, Signal::SIGKILL);
            }
            ("ping", json!({}))
        }
    }
}

/// What an action may be refused with. Others act on the same apps, so they are gone, busy or started already.
fn is_expected(message: &str) -> bool {
    let known = [
        "unknown",
        "already online",
        "already started",
        "already exists",
        "already in progress",
        "signal unknown",
        "reload aborted",
        "no such process",
    ];
    known.iter().any(|part| message.to_lowercase().contains(part))
}

/// One client: sends requests, one or several at a time, and reads exactly one answer to each.
fn act(home: &TestHome, random: &mut Random, n_actions: usize) -> BTreeMap<String, usize> {
    let mut client = home.client();
    let mut refusals = BTreeMap::new();
    let mut done = 0;
    while done < n_actions {
        let list = client.list();
        let mut waiting: Vec<(Argument, &str)> = (0..=random.below(4))
            .map(|_| action(home, random, &list))
            .map(|(method, argument)| (client.post(method, &json!([argument])), method))
            .collect();
        done += waiting.len();
        while !waiting.is_empty() {
            let (id, reply) = client.reply();
            let place = waiting.iter().position(|(waits, _)| *waits == id);
            let (_, method) =
                waiting.swap_remove(place.unwrap_or_else(|| panic!("a second answer: {id:?} {reply:?}")));
            if let Reply::Error { message, .. } = reply {
                assert!(is_expected(&message), "{method}: {message}");
                *refusals.entry(format!("{method} refused")).or_default() += 1;
            }
        }
    }
    assert_eq!(client.arguments_within(Duration::from_millis(50)), None, "more answers than requests");
    refusals
}

fn pid_of(entry: &Value) -> i32 {
    i32::try_from(entry["pid"].as_i64().unwrap_or_else(|| panic!("no pid in {entry}"))).unwrap()
}

fn is_of(pid: i32, home: &Path) -> bool {
    processes_of(home).contains(&pid)
}

/// Living direct children of a process.
fn children(parent: i32) -> BTreeSet<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| is_alive(*pid) && stat(*pid).is_some_and(|stat| stat.parent == parent))
        .collect()
}

/// Whether a process descends from one of these.
fn descends(pid: i32, from: &BTreeSet<i32>) -> bool {
    let mut now = pid;
    while now > 1 {
        if from.contains(&now) {
            return true;
        }
        let Some(stat) = stat(now) else { return true };
        now = stat.parent;
    }
    false
}

/// Holds the table against `/proc`.
fn check_table(home: &TestHome, daemon: i32, client: &mut Client) {
    let pids =
        |list: &[Value]| -> BTreeSet<i32> { list.iter().map(pid_of).filter(|pid| *pid != 0).collect() };
    // The last crash may still be followed by a restart.
    until("the table has come to rest and equals the processes", || {
        let list = client.list();
        let moving =
            |entry: &Value| ["launching", "stopping"].map(Value::from).contains(&entry["pm2_env"]["status"]);
        !list.iter().any(moving) && pids(&list) == children(daemon)
    });
    let list = client.list();
    let ids: BTreeSet<u64> = list.iter().map(|entry| entry["pm_id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), list.len(), "an id is there twice");
    let mut seen = BTreeSet::new();
    for entry in &list {
        let (env, pid) = (&entry["pm2_env"], pid_of(entry));
        if env["status"] != "online" {
            assert_eq!(pid, 0, "{env}");
            continue;
        }
        // Those that die all the time may do so now.
        if ["app7", "app8", "app9"].map(Value::from).contains(&entry["name"]) {
            continue;
        }
        assert!(seen.insert(pid), "{pid} is there twice");
        let variables = environment(pid);
        assert_eq!(variables["pm_id"], entry["pm_id"].to_string());
        assert_eq!(Some(variables["name"].as_str()), entry["name"].as_str());
        assert_eq!(variables["ROLE"], variables["name"]);
        assert_eq!(Path::new(&variables["PM2_HOME"]), home.dir);
        assert_eq!(Value::from(variables["unique_id"].as_str()), env["unique_id"]);
        assert_eq!(stat(pid).unwrap().parent, daemon);
    }
    until("every process of the home is one of the table or below one", || {
        let roots = pids(&client.list());
        processes_of(&home.dir)
            .into_iter()
            .all(|pid| pid == daemon || !is_alive(pid) || descends(pid, &roots))
    });
}

/// Waits until nothing lives in the home beside the daemon.
#[track_caller]
fn wait_until_alone(home: &TestHome, daemon: i32) {
    let mut others = Vec::new();
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        others = processes_of(&home.dir);
        others.retain(|pid| *pid != daemon && is_alive(*pid));
        if others.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let told = |pid: &i32| {
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        format!("{pid} {:?} {command:?}", stat(*pid))
    };
    panic!("still there: {:#?}", others.iter().map(told).collect::<Vec<_>>());
}

fn n_threads(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count()
}

fn delete_all(client: &mut Client) {
    for entry in client.list() {
        client.call("deleteProcessId", entry["pm_id"].clone()).unwrap();
    }
    assert_eq!(client.list(), [] as [Value; 0]);
}

fn check(n_actions: usize) {
    let seed = seed();
    eprintln!("PM2_RS_SEED={seed}");
    let home = TestHome::new();
    let daemon = home.start();
    let mut client = home.client();
    let act_all = |round: u64, n_actions: usize| {
        std::thread::scope(|scope| {
            let act_one = |number: usize| {
                let home = &home;
                scope.spawn(move || {
                    let mut random = Random::of(seed, round * 100 + number as u64);
                    act(home, &mut random, n_actions / N_CLIENTS)
                })
            };
            let clients: Vec<_> = (0..N_CLIENTS).map(act_one).collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
        })
    };

    // The level to come back to: what is made once, on first use, belongs to it.
    for number in 0..N_APPS {
        client.start(app(&home, number));
    }
    act_all(0, 100);
    delete_all(&mut client);
    wait_until_alone(&home, daemon);
    let (files, threads, bytes) = (descriptors(daemon), n_threads(daemon), memory(daemon));

    eprintln!("{:?}", act_all(1, n_actions));
    check_table(&home, daemon, &mut client);
    delete_all(&mut client);
    wait_until_alone(&home, daemon);
    let left: Vec<_> =
        std::fs::read_dir(home.file("pids")).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
    until("the descriptors are closed", || descriptors(daemon).len() <= files.len());
    until("the threads have ended", || n_threads(daemon) <= threads);
    eprintln!(
        "{} bytes, {} files, {} threads; {bytes}, {}, {threads} before",
        memory(daemon),
        descriptors(daemon).len(),
        n_threads(daemon),
        files.len()
    );
    let limit = bytes + bytes / 4 + (2 << 20);
    assert!(memory(daemon) <= limit, "{} bytes, {bytes} before", memory(daemon));
    assert_eq!(client.call("ping", json!({})).unwrap(), json!({"msg": "pong"}));
}

#[test]
fn random_actions_leave_a_true_table() {
    check(500);
}

#[test]
#[ignore = "takes minutes"]
fn many_random_actions_leave_a_true_table() {
    check(10_000);
}
