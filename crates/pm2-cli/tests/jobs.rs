//! Apps: how they are started, followed, restarted and ended.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::{
    Client, NOBODY, TestHome, environment, eventually, is_alive, is_root, processes_of, send, stat, until,
    wait_for_end, write_program,
};

fn pid_of(entry: &Value) -> i32 {
    i32::try_from(entry["pid"].as_i64().unwrap_or_else(|| panic!("no pid in {entry}"))).unwrap()
}

/// A daemon in a home of its own, and a client of it.
fn daemon() -> (TestHome, Client) {
    let home = TestHome::new();
    home.start();
    let client = home.client();
    (home, client)
}

/// Waits for a number that a script writes.
#[track_caller]
fn number_in(path: &Path) -> i32 {
    eventually("the script writes its number", || {
        let text = fs::read_to_string(path).ok()?;
        text.ends_with('\n').then(|| text.trim().parse().unwrap())
    })
}

fn env_of<'a>(entry: &'a Value, key: &str) -> &'a Value {
    &entry["pm2_env"][key]
}

// ---- exits and restarts ----

#[test]
fn a_crash_is_followed_by_a_restart() {
    let (home, mut client) = daemon();
    let first = client.start(home.sleeper("a"));
    send(pid_of(&first), Signal::SIGKILL).unwrap();
    let second = client
        .until("restarted", 0, |entry| entry["pid"] != first["pid"] && env_of(entry, "status") == "online");
    assert_eq!(env_of(&second, "restart_time"), 1);
    assert_eq!(
        (env_of(&second, "exit_code"), env_of(&second, "exit_signal")),
        (&json!(137), &json!("SIGKILL"))
    );
    assert_eq!(environment(pid_of(&second))["exit_code"], "137");
    assert_eq!(env_of(&first, "created_at"), env_of(&second, "created_at"));
    assert_eq!(env_of(&first, "unique_id"), env_of(&second, "unique_id"));
}

#[test]
fn crashing_at_once_is_given_up_after_sixteen_deaths() {
    let (home, mut client) = daemon();
    client.start(home.shell("crash", "echo x >> runs; exit 3"));
    let entry = client.until_status(0, "errored");
    assert_eq!((env_of(&entry, "restart_time"), env_of(&entry, "exit_code")), (&json!(15), &json!(3)));
    assert_eq!(
        (env_of(&entry, "unstable_restarts"), env_of(&entry, "created_at")),
        (&json!(0), &Value::Null)
    );
    assert_eq!((&entry["pid"], env_of(&entry, "exit_signal")), (&json!(0), &Value::Null));
    assert_eq!(fs::read_to_string(home.path("runs")).unwrap().lines().count(), 16);
    // It can be started again, and gives up again.
    client.call("restartProcessId", json!({"id": 0, "env": {}})).unwrap();
    until("sixteen more", || fs::read_to_string(home.path("runs")).unwrap().lines().count() == 32);
    let entry = client.until_status(0, "errored");
    assert_eq!(env_of(&entry, "restart_time"), 30);
    assert_eq!(client.call("stopProcessId", json!(0)).unwrap()["pm2_env"]["status"], "stopped");
}

#[test]
fn max_restarts_counts_deaths_before_min_uptime() {
    let (home, mut client) = daemon();
    let mut app = home.shell("crash", "exit 1");
    app["max_restarts"] = json!(3);
    client.start(app);
    assert_eq!(env_of(&client.until_status(0, "errored"), "restart_time"), 2);
}

#[test]
fn a_restart_delay_is_kept_and_can_be_cut_short() {
    let (home, mut client) = daemon();
    let mut app = home.shell("crash", "echo x >> runs; exit 1");
    app["restart_delay"] = json!(120);
    app["max_restarts"] = json!(3);
    let begin = Instant::now();
    client.start(app);
    client.until_status(0, "waiting restart");
    assert_eq!(client.entry(0)["pid"], 0);
    client.until_status(0, "errored");
    assert!(begin.elapsed() >= Duration::from_millis(240), "two delays");

    let mut app = home.shell("later", "exit 1");
    app["restart_delay"] = json!(3_600_000);
    client.start(app);
    client.until_status(1, "waiting restart");
    // A restart does not wait; a stop cancels.
    client.call("restartProcessId", json!({"id": 1, "env": {}})).unwrap();
    client.until_status(1, "waiting restart");
    assert_eq!(client.call("stopProcessId", json!(1)).unwrap()["pm2_env"]["status"], "stopped");
    client.call("startProcessId", json!(1)).unwrap();
    client.until_status(1, "waiting restart");
    client.call("deleteProcessId", json!(1)).unwrap();
    assert_eq!(client.list().len(), 1);
}

#[test]
fn back_off_grows() {
    let (home, mut client) = daemon();
    let mut app = home.shell("crash", "date +%s%N >> runs; exit 1");
    app["exp_backoff_restart_delay"] = json!(20);
    app["max_restarts"] = json!(6);
    client.start(app);
    let entry = client.until_status(0, "errored");
    let delay = env_of(&entry, "prev_restart_delay").as_u64().unwrap();
    let text = fs::read_to_string(home.path("runs")).unwrap();
    let runs: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!((runs.len(), delay), (6, 100), "20, 30, 45, 67, 100");
    for (pair, at_least) in runs.windows(2).zip([20, 30, 45, 67, 100]) {
        assert!(pair[1] - pair[0] >= at_least * 1_000_000, "{runs:?}");
    }
}

#[test]
fn some_exits_are_not_followed_by_a_restart() {
    let (home, mut client) = daemon();
    let mut once = home.shell("once", "exit 7");
    once["autorestart"] = json!(false);
    client.start(once);
    let entry = client.until_status(0, "stopped");
    assert_eq!((env_of(&entry, "exit_code"), env_of(&entry, "restart_time")), (&json!(7), &json!(0)));

    let mut done = home.shell("done", "exit 5");
    done["stop_exit_codes"] = json!([0, "5"]);
    done["restart_delay"] = json!(1);
    client.start(done);
    client.until_status(1, "stopped");

    // A death by signal is not exit code 0.
    let mut killed = home.sleeper("killed");
    killed["stop_exit_codes"] = json!([0]);
    let pid = pid_of(&client.start(killed));
    send(pid, Signal::SIGKILL).unwrap();
    client.until("restarted", 2, |entry| env_of(entry, "restart_time") == 1);
    // But 128+n is its code.
    let mut killed = home.sleeper("terminated");
    killed["stop_exit_codes"] = json!(143);
    let pid = pid_of(&client.start(killed));
    send(pid, Signal::SIGTERM).unwrap();
    let entry = client.until_status(3, "stopped");
    assert_eq!(
        (env_of(&entry, "exit_code"), env_of(&entry, "exit_signal")),
        (&json!(143), &json!("SIGTERM"))
    );
}

// ---- stopping ----

#[test]
fn a_stop_that_was_asked_for_is_no_failure() {
    let (home, mut client) = daemon();
    client.start(home.sleeper("a"));
    let entry = client.call("stopProcessId", json!(0)).unwrap();
    assert_eq!((env_of(&entry, "exit_code"), env_of(&entry, "exit_signal")), (&json!(0), &Value::Null));
    client.start(
        home.ready_shell("b", r#"trap 'exit 9' INT; echo '"ready"' >&3; while :; do sleep 0.01; done"#),
    );
    let entry = client.call("stopProcessId", json!(1)).unwrap();
    assert_eq!(env_of(&entry, "exit_code"), 9);
}

#[test]
fn what_ignores_the_signal_is_killed_after_the_timeout() {
    let (home, mut client) = daemon();
    let mut app = home.ready_shell("deaf", r#"trap '' INT; echo '"ready"' >&3; while :; do sleep 1; done"#);
    app["kill_timeout"] = json!(150);
    let pid = pid_of(&client.start(app));
    let begin = Instant::now();
    let entry = client.call("stopProcessId", json!(0)).unwrap();
    assert_eq!(env_of(&entry, "status"), "stopped");
    assert!(begin.elapsed() >= Duration::from_millis(150), "it had its time");
    assert!(!is_alive(pid));
    assert!(home.log().contains("sending SIGKILL"));
}

#[test]
fn every_descendant_is_ended() {
    let (home, mut client) = daemon();
    // A child, a grandchild, one in a session of its own, and one whose parent has ended.
    let script = r#"
        (sleep 3600 & echo $! > grandchild; wait) &
        setsid sh -c 'echo $$ > own_session; exec sleep 3600' &
        (sh -c 'echo $$ > orphan; exec sleep 3600' &)
        while ! [ -s grandchild ] || ! [ -s own_session ] || ! [ -s orphan ]; do sleep 0.01; done
        echo '"ready"' >&3
        wait
        sleep 3600"#;
    for round in 0..3 {
        for name in ["grandchild", "own_session", "orphan"] {
            let _ = fs::remove_file(home.path(name));
        }
        let root = if round == 0 {
            pid_of(&client.start(home.ready_shell("tree", script)))
        } else {
            pid_of(&client.call("restartProcessId", json!({"id": 0, "env": {}})).unwrap())
        };
        let others = ["grandchild", "own_session", "orphan"].map(|name| number_in(&home.path(name)));
        let [grandchild, own_session, orphan] = others.map(|pid| stat(pid).unwrap());
        assert_eq!((grandchild.session, orphan.group), (root, root));
        assert_ne!((own_session.session, orphan.parent), (root, root));
        client.call("stopProcessId", json!(0)).unwrap();
        for pid in others.iter().chain([&root]) {
            assert!(!is_alive(*pid), "{pid} of {others:?}, {root}");
        }
    }
}

#[test]
fn without_treekill_children_live_on() {
    let (home, mut client) = daemon();
    let mut app = home.ready_shell("tree", r#"sleep 3600 & echo $! > child; echo '"ready"' >&3; wait"#);
    app["treekill"] = json!(false);
    let root = pid_of(&client.start(app));
    let child = number_in(&home.path("child"));
    client.call("stopProcessId", json!(0)).unwrap();
    assert_eq!((is_alive(root), is_alive(child)), (false, true));
    send(child, Signal::SIGKILL).unwrap();
}

#[test]
fn a_shutdown_message_takes_the_place_of_the_signal() {
    let (home, mut client) = daemon();
    let script =
        r#"trap 'echo signal >> how' INT; echo '"ready"' >&3; read -r line <&3; echo "$line" >> how"#;
    let mut app = home.ready_shell("polite", script);
    app["shutdown_with_message"] = json!(true);
    client.start(app);
    client.call("stopProcessId", json!(0)).unwrap();
    assert_eq!(fs::read_to_string(home.path("how")).unwrap(), "\"shutdown\"\n");
}

#[test]
fn the_stop_signal_can_be_chosen() {
    let home = TestHome::new().with("PM2_KILL_SIGNAL", "SIGTERM").with("PM2_KILL_TIMEOUT", "60000");
    home.start();
    let mut client = home.client();
    client.start(home.ready_shell(
        "a",
        r#"trap '' INT; trap 'exit 4' TERM; echo '"ready"' >&3; while :; do sleep 0.01; done"#,
    ));
    assert_eq!(client.call("stopProcessId", json!(0)).unwrap()["pm2_env"]["exit_code"], 4);
}

// ---- what cannot be started ----

#[test]
fn what_cannot_be_started_is_errored_and_says_why() {
    let (home, mut client) = daemon();
    let plain = home.path("plain");
    fs::write(&plain, "not a program").unwrap();
    let text = home.path("text");
    write_program(&text, "echo no first line\n", "755");
    let mut no_cwd = home.sleeper("no-cwd");
    no_cwd["pm_cwd"] = json!("/no/such/folder");
    let cases = [
        (home.app("no-interpreter", "no-such-interpreter", "x", &[]), "no-such-interpreter"),
        (home.app("no-interpreter-path", "/no/such/interpreter", "x", &[]), "/no/such/interpreter"),
        (no_cwd, "/no/such/folder"),
        (home.app("missing", "none", "/no/such/program", &[]), "/no/such/program"),
        (home.app("plain", "none", plain.to_str().unwrap(), &[]), "ermission denied"),
        (home.app("folder", "none", home.root.path().to_str().unwrap(), &[]), "ermission denied"),
        (home.app("text", "none", text.to_str().unwrap(), &[]), "xec format error"),
    ];
    for (id, (app, expected)) in (0..).zip(cases) {
        let error = client.call("prepare", app).unwrap_err();
        assert!(error.contains(expected), "{error}");
        let entry = client.entry(id);
        assert_eq!(
            (env_of(&entry, "status"), env_of(&entry, "spawn_error")),
            (&json!("errored"), &json!(error))
        );
        assert_eq!(entry["pid"], 0);
        assert!(
            client.call("restartProcessId", json!({"id": id, "env": {}})).unwrap_err().contains(expected)
        );
        assert!(client.call("startProcessId", json!(id)).unwrap_err().contains(expected));
    }
    // Once it can be started, nothing is left of the failure.
    write_program(&plain, "#!/bin/sh\nexec sleep 3600\n", "755");
    let entry = client.call("restartProcessId", json!({"id": 4, "env": {}})).unwrap();
    assert_eq!((env_of(&entry, "status"), env_of(&entry, "spawn_error")), (&json!("online"), &Value::Null));
    assert_eq!(client.call("stopProcessId", json!(0)).unwrap()["pm2_env"]["status"], "stopped");
}

#[test]
fn an_app_whose_logs_cannot_be_opened_is_refused() {
    let (home, mut client) = daemon();
    for key in ["pm_out_log_path", "pm_err_log_path", "pm_log_path"] {
        let mut app = home.sleeper("a");
        app[key] = json!("/no/such/folder/x.log");
        let error = client.call("prepare", app).unwrap_err();
        assert!(error.starts_with("ENOENT: no such file or directory, open '/no/such/folder/x"), "{error}");
        assert_eq!(client.list(), [] as [Value; 0], "{key}");
    }
    // An app that ran before stays listed.
    let mut app = home.sleeper("a");
    app["pm_out_log_path"] = json!(home.path("out/a.log"));
    fs::create_dir(home.path("out")).unwrap();
    client.start(app);
    fs::remove_dir_all(home.path("out")).unwrap();
    assert!(client.call("restartProcessId", json!({"id": 0, "env": {}})).unwrap_err().starts_with("ENOENT"));
    assert_eq!(env_of(&client.entry(0), "status"), "errored");
}

// ---- what a process gets ----

#[test]
fn the_environment_is_exactly_what_the_specification_says() {
    let home = TestHome::new().with("DAEMONS_OWN", "secret");
    home.start();
    let mut client = home.client();
    let mut app = home.sleeper("a");
    app["env"]["A"] = json!("1\n2 = ä");
    app["env"]["EMPTY"] = json!("");
    app["env"]["NUMBER"] = json!(1.5);
    app["env"]["OBJECT"] = json!({"x": 1});
    app["env"]["NULL"] = json!(null);
    app["kill_timeout"] = json!(5000);
    app["stop_exit_codes"] = json!([1]);
    let entry = client.start(app.clone());
    let env = &entry["pm2_env"];
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    let mut add = |key: &str, value: &Value| {
        let text = match value {
            Value::Null | Value::Array(_) | Value::Object(_) => return,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        expected.insert(key.to_owned(), text);
    };
    for (key, value) in app.as_object().unwrap() {
        add(key, value);
    }
    for (key, value) in app["env"].as_object().unwrap() {
        add(key, value);
    }
    for key in ["pm_uptime", "created_at", "unique_id", "pm_id", "pm_pid_path", "pm_out_log_path"] {
        add(key, &env[key]);
    }
    for (key, value) in [
        ("NODE_APP_INSTANCE", json!(0)),
        ("vizion_running", json!(false)),
        ("status", json!("launching")),
        ("restart_time", json!(0)),
        ("unstable_restarts", json!(0)),
        ("NODE_CHANNEL_FD", json!(3)),
        ("NODE_CHANNEL_SERIALIZATION_MODE", json!("json")),
    ] {
        add(key, &value);
    }
    let found = environment(pid_of(&entry));
    let keys: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    for key in keys {
        assert_eq!(found.get(key), expected.get(key), "{key}");
    }
}

#[test]
fn a_process_has_four_descriptors_and_a_session_of_its_own() {
    let (home, mut client) = daemon();
    // Others are running and connected, whose descriptors could leak.
    for number in 0..5 {
        client.start(home.sleeper(&format!("other{number}")));
    }
    let _more = [home.client(), Client::unix(&home.file("pub.sock"))];
    let mut apps = vec![home.sleeper("plain")];
    if is_root() {
        let mut app = home.sleeper("other-user");
        app["uid"] = json!(NOBODY);
        app["pm_cwd"] = json!("/");
        apps.push(app);
    }
    for app in apps {
        let pid = pid_of(&client.start(app));
        // The program's loader opens libraries for a moment.
        let numbers = || support::descriptors(pid).into_keys().collect::<Vec<_>>();
        until("it has four descriptors", || numbers() == [0, 1, 2, 3]);
        let found = support::descriptors(pid);
        let kind = |number: i32| found[&number].to_str().unwrap().split(':').next().unwrap().to_owned();
        assert_eq!([0, 1, 2, 3].map(kind), ["pipe", "pipe", "pipe", "socket"]);
        assert_ne!(found[&1], found[&2]);
        let found = stat(pid).unwrap();
        assert_eq!((found.session, found.group), (pid, pid));
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for mask in ["SigIgn", "SigBlk", "SigCgt"] {
            let line = status.lines().find(|line| line.starts_with(mask)).unwrap();
            let bits = u64::from_str_radix(line.split('\t').nth(1).unwrap(), 16).unwrap();
            // The two signals that glibc keeps for itself are ignored in all it spawns.
            assert_eq!(bits & !(0b11 << 31), 0, "{line}");
        }
    }
}

#[test]
fn pid_files_are_written_and_removed() {
    let (home, mut client) = daemon();
    let entry = client.start(home.sleeper("a"));
    let path = home.file("pids/a-0.pid");
    assert_eq!(env_of(&entry, "pm_pid_path"), path.to_str().unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), entry["pid"].to_string());
    let entry = client.call("restartProcessId", json!({"id": 0, "env": {}})).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), entry["pid"].to_string());
    client.call("stopProcessId", json!(0)).unwrap();
    assert!(!path.exists());
    client.call("startProcessId", json!(0)).unwrap();
    client.call("deleteProcessId", json!(0)).unwrap();
    assert!(!path.exists());
}

#[test]
fn an_app_may_run_as_another_user() {
    if !is_root() {
        return;
    }
    let (home, mut client) = daemon();
    let field = |pid: i32, name: &str| -> String {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    };
    let four = |id: u32| [id; 4].map(|id| id.to_string()).join("\t");
    let mut app = home.app("a", "sh", "-c", &["id -u; exec sleep 3600"]);
    app["uid"] = json!(NOBODY);
    app["gid"] = json!(NOBODY - 1);
    app["pm_cwd"] = json!("/");
    let pid = pid_of(&client.start(app.clone()));
    assert_eq!((field(pid, "Uid:"), field(pid, "Gid:")), (four(NOBODY), four(NOBODY - 1)));
    assert_eq!(field(pid, "Groups:"), (NOBODY - 1).to_string());
    until("it has written", || {
        fs::read_to_string(home.file("logs/a-out.log")).is_ok_and(|text| text == "65534\n")
    });
    assert_eq!(home.file("logs/a-out.log").metadata().unwrap().uid(), 0, "the daemon writes the logs");
    // What only root may execute is not executed.
    let program = home.path("program");
    write_program(&program, "#!/bin/sh\n", "700");
    app["exec_interpreter"] = json!("none");
    app["pm_exec_path"] = json!(program);
    let error = client.call("prepare", app).unwrap_err();
    assert!(error.contains("ermission denied"), "{error}");
    assert_eq!(env_of(&client.entry(1), "status"), "errored");
}

// ---- logs ----

#[test]
fn the_output_of_a_process_that_dies_at_once_is_complete() {
    let (home, mut client) = daemon();
    let script = "yes 0123456789abcde | head -c 5000000; yes e | head -c 300000 >&2; printf 'last words'";
    let mut app = home.shell("writer", script);
    app["autorestart"] = json!(false);
    for round in 1..=3_usize {
        if round == 1 {
            client.start(app.clone());
        } else {
            client.call("restartProcessId", json!({"id": 0, "env": {}})).unwrap();
        }
        // Everything is in the files when the end is told.
        client.until_status(0, "stopped");
        let out = fs::read(home.file("logs/writer-out.log")).unwrap();
        assert_eq!(out.len(), round * 5_000_010);
        assert!(out.ends_with(b"last words"));
        assert_eq!(home.file("logs/writer-error.log").metadata().unwrap().len(), round as u64 * 300_000);
    }
}

#[test]
fn a_combined_log_gets_both_streams() {
    let (home, mut client) = daemon();
    let mut app = home.shell("both", "echo out; sleep 0.05; echo err >&2");
    app["autorestart"] = json!(false);
    app["pm_log_path"] = json!(home.file("logs/both.log"));
    client.start(app);
    client.until_status(0, "stopped");
    let read = |name: &str| fs::read_to_string(home.file(name)).unwrap();
    assert_eq!(
        (read("logs/both-out.log").as_str(), read("logs/both-error.log").as_str()),
        ("out\n", "err\n")
    );
    let both = read("logs/both.log");
    assert_eq!(both.lines().collect::<BTreeSet<_>>(), BTreeSet::from(["out", "err"]));
    assert_eq!(home.file("logs/both-out.log").metadata().unwrap().mode() & 0o777, 0o600);
}

// ---- readiness, messages, input, signals ----

#[test]
fn wait_ready_waits_for_the_word() {
    let (home, mut client) = daemon();
    let script = r#"while ! [ -e go ]; do sleep 0.01; done; echo '"ready"' >&3; exec sleep 3600"#;
    let id = client.post("prepare", &json!([home.ready_shell("a", script)]));
    let mut other = home.client();
    until("it is listed", || !other.list().is_empty());
    assert_eq!(env_of(&other.entry(0), "status"), "launching");
    fs::write(home.path("go"), "").unwrap();
    assert_eq!(client.reply().0, id);
    assert_eq!(env_of(&other.entry(0), "status"), "online");
}

#[test]
fn a_wait_for_readiness_ends() {
    let (home, mut client) = daemon();
    let mut app = home.sleeper("silent");
    app["wait_ready"] = json!(true);
    app["listen_timeout"] = json!(120);
    let begin = Instant::now();
    assert_eq!(env_of(&client.start(app.clone()), "status"), "online");
    assert!(begin.elapsed() >= Duration::from_millis(120));
    // A stop, and a death, end it too.
    app["listen_timeout"] = json!(3_600_000);
    client.post("prepare", &json!([app]));
    let mut other = home.client();
    until("it is listed", || other.list().len() == 2);
    assert_eq!(other.call("stopProcessId", json!(1)).unwrap()["pm2_env"]["status"], "stopped");
    client.reply();
    let mut dying = home.shell("dying", "exit 1");
    dying["wait_ready"] = json!(true);
    dying["listen_timeout"] = json!(3_600_000);
    dying["autorestart"] = json!(false);
    client.start(dying);
    client.until_status(2, "stopped");
}

#[test]
fn a_line_reaches_standard_input() {
    let (home, mut client) = daemon();
    client.start(home.shell("cat", "exec cat"));
    client.call("sendLineToStdin", json!({"pm_id": 0, "line": "one\n"})).unwrap();
    client.call("sendLineToStdin", json!({"pm_id": "0", "line": "zwei ä\n"})).unwrap();
    let log = home.file("logs/cat-out.log");
    until("it comes back", || fs::read_to_string(&log).is_ok_and(|text| text == "one\nzwei ä\n"));
    // An app that does not read must not hold up the daemon.
    client.start(home.sleeper("deaf"));
    let line = "x".repeat(1 << 20);
    assert!(client.call("sendLineToStdin", json!({"pm_id": 1, "line": line})).is_err());
}

#[test]
fn a_packet_reaches_the_channel() {
    let (home, mut client) = daemon();
    client
        .start(home.ready_shell("a", r#"echo '"ready"' >&3; while read -r line; do echo "$line"; done <&3"#));
    let packet = json!({"id": 0, "topic": "t", "data": {"x": ["ä", null]}, "type": "process:msg"});
    client.call("sendDataToProcessId", packet.clone()).unwrap();
    let log = home.file("logs/a-out.log");
    until("it arrives", || {
        fs::read_to_string(&log)
            .is_ok_and(|text| text.ends_with('\n') && serde_json::from_str::<Value>(&text).unwrap() == packet)
    });
}

#[test]
fn signals_reach_the_process() {
    let (home, mut client) = daemon();
    let script =
        r#"trap 'echo usr1' USR1; trap 'echo usr2' USR2; echo '"ready"' >&3; while :; do sleep 0.01; done"#;
    let mut app = home.ready_shell("a", script);
    app["instances"] = json!(2);
    client.start_all(app);
    client.call("sendSignalToProcessId", json!({"process_id": 1, "signal": "SIGUSR1"})).unwrap();
    let read = || fs::read_to_string(home.file("logs/a-out.log")).unwrap_or_default();
    until("one heard it", || read() == "usr1\n");
    client.call("sendSignalToProcessName", json!({"process_name": "a", "signal": "SIGUSR2"})).unwrap();
    until("both heard it", || read() == "usr1\nusr2\nusr2\n");
}

// ---- identity ----

#[test]
fn instances_have_numbers_and_gaps_are_filled() {
    let (home, mut client) = daemon();
    let mut app = home.sleeper("a");
    app["instances"] = json!(3);
    app["merge_logs"] = json!(false);
    let started = client.start_all(app);
    let numbers = |entries: &[Value]| -> Vec<u64> {
        entries.iter().map(|entry| entry["pm2_env"]["NODE_APP_INSTANCE"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&started), [0, 1, 2]);
    for (id, entry) in started.iter().enumerate() {
        assert_eq!(
            env_of(entry, "pm_out_log_path"),
            home.file(&format!("logs/a-out-{id}.log")).to_str().unwrap()
        );
        assert_eq!(environment(pid_of(entry))["NODE_APP_INSTANCE"], id.to_string());
    }
    let ids: BTreeSet<&str> =
        started.iter().map(|entry| env_of(entry, "unique_id").as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3);
    client.call("deleteProcessId", json!(1)).unwrap();
    let number = |entry: &Value| (entry["pm_id"].as_u64(), env_of(entry, "NODE_APP_INSTANCE").as_u64());
    assert_eq!(number(&client.call("duplicateProcessId", json!(0)).unwrap()), (Some(3), Some(1)));
    assert_eq!(number(&client.call("duplicateProcessId", json!(0)).unwrap()), (Some(4), Some(3)));
    // Another name counts for itself.
    assert_eq!(number(&client.start(home.sleeper("b"))), (Some(5), Some(0)));
}

#[test]
fn the_instance_variable_has_the_wanted_name() {
    let home = TestHome::new().with("PM2_PROCESS_INSTANCE_VAR", "NR");
    home.start();
    let mut app = home.sleeper("a");
    app["instances"] = json!(2);
    app["increment_var"] = json!("PORT");
    app["env"]["PORT"] = json!("8000");
    let started = home.client().start_all(app);
    for (number, entry) in started.iter().enumerate() {
        let variables = environment(pid_of(entry));
        assert_eq!(
            (&variables["NR"], &variables["PORT"]),
            (&number.to_string(), &(8000 + number).to_string())
        );
        assert!(!variables.contains_key("NODE_APP_INSTANCE"));
    }
}

#[test]
fn counters_can_be_reset() {
    let (home, mut client) = daemon();
    let before = client.start(home.sleeper("a"));
    for _ in 0..3 {
        client.call("restartProcessId", json!({"id": 0, "env": {}})).unwrap();
    }
    assert_eq!(env_of(&client.entry(0), "restart_time"), 3);
    client.call("resetMetaProcessId", json!(0)).unwrap();
    let after = client.entry(0);
    assert_eq!((env_of(&after, "restart_time"), env_of(&after, "unstable_restarts")), (&json!(0), &json!(0)));
    assert!(env_of(&after, "created_at").as_i64() > env_of(&before, "created_at").as_i64());
    // A stopped app is started, not restarted.
    client.call("stopProcessId", json!(0)).unwrap();
    let started = client.call("restartProcessId", json!({"id": 0, "env": {}})).unwrap();
    assert_eq!(env_of(&started, "restart_time"), 0);
}

#[test]
fn an_app_may_be_listed_without_being_started() {
    let (home, mut client) = daemon();
    let mut app = home.sleeper("a");
    app["autostart"] = json!(false);
    let entry = client.start(app);
    assert_eq!((env_of(&entry, "status"), &entry["pid"]), (&json!("stopped"), &json!(0)));
    let entry = client.call("restartProcessId", json!({"id": 0, "env": {}})).unwrap();
    assert_eq!(env_of(&entry, "status"), "online");
}

#[test]
fn a_dump_brings_everything_back() {
    let home = TestHome::new();
    let pid = home.start();
    let mut client = home.client();
    let mut web = home.sleeper("web");
    web["instances"] = json!(2);
    web["merge_logs"] = json!(false);
    web["kill_timeout"] = json!(1234);
    web["env"]["COLOUR"] = json!("green");
    client.start_all(web);
    client.start(home.sleeper("off"));
    client.call("restartProcessId", json!({"id": 2, "env": {}})).unwrap();
    client.call("stopProcessId", json!(2)).unwrap();
    let before = client.list();
    send(pid, Signal::SIGTERM).unwrap();
    assert_eq!(home.exit_code(pid), Some(0));

    home.start();
    let dump: Vec<Value> = serde_json::from_str(&fs::read_to_string(home.file("dump.pm2")).unwrap()).unwrap();
    let mut client = home.client();
    for app in dump {
        client.start(app);
    }
    let after = client.list();
    assert_eq!((before.len(), after.len()), (3, 3));
    for (before, after) in before.iter().zip(&after) {
        for key in [
            "name",
            "status",
            "kill_timeout",
            "created_at",
            "NODE_APP_INSTANCE",
            "pm_exec_path",
            "args",
            "COLOUR",
            "pm_out_log_path",
            "pm_err_log_path",
            "pm_pid_path",
            "merge_logs",
            "username",
        ] {
            assert_eq!(env_of(before, key), env_of(after, key), "{key}");
        }
        let env = |entry: &Value| {
            let mut env = env_of(entry, "env").as_object().unwrap().clone();
            env.remove("unique_id");
            env
        };
        assert_eq!(env(before), env(after));
    }
    let counters = |entry: &Value| (env_of(entry, "restart_time").clone(), entry["pid"] != 0);
    assert_eq!(
        after.iter().map(counters).collect::<Vec<_>>(),
        [(json!(0), true), (json!(0), true), (json!(1), false)]
    );
    assert_eq!(environment(pid_of(&after[0]))["COLOUR"], "green");
    // The stopped one can be started.
    let started = client.call("restartProcessId", json!({"id": 2, "env": {}})).unwrap();
    assert_eq!(env_of(&started, "status"), "online");
}

// ---- many at once ----

/// Pids of the living direct children of a process.
fn children(parent: i32) -> BTreeSet<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| is_alive(*pid) && stat(*pid).is_some_and(|stat| stat.parent == parent))
        .collect()
}

#[test]
fn a_hundred_apps_at_once() {
    let home = TestHome::new();
    let daemon = home.start();
    let mut client = home.client();
    let mut app = home.sleeper("many");
    app["instances"] = json!(100);
    let started = client.start_all(app);
    let pids: BTreeSet<i32> = started.iter().map(pid_of).collect();
    assert_eq!(pids.len(), 100);
    assert_eq!(children(daemon), pids);
    let waiting: Vec<_> = (0..100).map(|id| client.post("deleteProcessId", &json!([id]))).collect();
    for _ in waiting {
        client.reply();
    }
    assert_eq!(client.list(), [] as [Value; 0]);
    assert_eq!(children(daemon), BTreeSet::new());
}

#[test]
fn clients_that_contradict_each_other_leave_a_true_table() {
    let home = TestHome::new();
    let daemon = home.start();
    let end = Instant::now() + Duration::from_secs(3);
    std::thread::scope(|scope| {
        for seed in 1..=4_u64 {
            let home = &home;
            scope.spawn(move || {
                let mut client = home.client();
                let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let mut random = move |below: u64| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 33) % below
                };
                while Instant::now() < end {
                    let id = random(12);
                    // Errors are expected: others stop and delete the same ids.
                    let _ = match random(8) {
                        0 | 1 if client.list().len() < 12 => client.call("prepare", home.sleeper("a")),
                        0 | 1 => client.call("deleteProcessId", json!(id)),
                        2 => client.call("stopProcessId", json!(id)),
                        3 => client.call("restartProcessId", json!({"id": id, "env": {}})),
                        4 => client.call("startProcessId", json!(id)),
                        5 => client.call("deleteProcessId", json!(id)),
                        6 if client.list().len() < 12 => client.call("duplicateProcessId", json!(id)),
                        _ => client
                            .call("sendSignalToProcessId", json!({"process_id": id, "signal": "SIGKILL"})),
                    };
                }
            });
        }
    });
    let mut client = home.client();
    let table = |client: &mut Client| -> BTreeSet<i32> {
        client.list().iter().map(pid_of).filter(|pid| *pid != 0).collect()
    };
    // The last crash restarts may still be on their way.
    until("the table equals the processes", || table(&mut client) == children(daemon));
    for entry in client.list() {
        let (status, pid) = (env_of(&entry, "status").as_str().unwrap(), pid_of(&entry));
        assert_eq!(status == "online", pid != 0, "{status} {pid}");
        client.call("deleteProcessId", entry["pm_id"].clone()).unwrap();
    }
    assert_eq!(children(daemon), BTreeSet::new());
    assert_eq!(processes_of(&home.dir), [daemon]);
    let left: Vec<_> = fs::read_dir(home.file("pids")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_killed_daemon_leaves_no_zombies_and_its_apps_go_on() {
    let home = TestHome::new();
    let daemon = home.start();
    let app = pid_of(&home.client().start(home.sleeper("a")));
    send(daemon, Signal::SIGKILL).unwrap();
    home.exit_code(daemon);
    assert!(is_alive(app));
    home.start();
    assert_eq!(home.client().list(), [] as [Value; 0], "nothing is adopted or resurrected");
    send(app, Signal::SIGKILL).unwrap();
    wait_for_end(app);
}
