//! Everything that an app has started ends with it, whatever it did to hide: other sessions, parents that are gone.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::load::pid_of;
use support::{Client, TestHome, eventually, is_alive, send, stat, until};

/// Two steps away from the app, in a session of its own, its parent gone: what daemons do.
const DAEMONISES: &str = "(setsid sh -c 'echo $$ >> survivors; exec sleep 3600' &)";

/// How processes are found; where this machine lets nobody make control groups, there is one way less.
fn ways() -> Vec<&'static str> {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let way = client.start(home.sleeper("probe"))["pm2_env"]["process_tree"].as_str().unwrap().to_owned();
    match way.as_str() {
        "cgroup" => vec!["cgroup", "subreaper"],
        "subreaper" => vec!["subreaper"],
        other => panic!("unknown way {other}"),
    }
}

fn daemon(way: &str) -> (TestHome, Client) {
    let home = TestHome::new();
    let home = if way == "cgroup" { home } else { home.with("PM2_RS_CGROUPS", "0") };
    home.start();
    let client = home.client();
    (home, client)
}

fn survivors(home: &TestHome) -> Vec<i32> {
    let text = fs::read_to_string(home.path("survivors")).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Waits for so many of them, of which the last `n_alive` live.
#[track_caller]
fn assert_survivors(home: &TestHome, count: usize, n_alive: usize) -> Vec<i32> {
    until("so many have been started", || survivors(home).len() >= count);
    let pids = survivors(home);
    let alive: Vec<bool> = pids.iter().map(|pid| is_alive(*pid)).collect();
    let expected: Vec<bool> = (0..pids.len()).map(|at| at >= pids.len() - n_alive).collect();
    assert_eq!(alive, expected, "{pids:?}");
    pids
}

/// A shell lets those in the background ignore SIGINT.
fn impatient(mut app: Value) -> Value {
    app["kill_timeout"] = json!(100);
    app
}

fn ready_when_daemonised(home: &TestHome, then: &str) -> Value {
    let script =
        format!("{DAEMONISES}; while ! [ -s survivors ]; do sleep 0.01; done; echo '\"ready\"' >&3; {then}");
    impatient(home.ready_shell("daemonises", &script))
}

fn children_of(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_daemon_of_an_app_ends_with_it() {
    for way in ways() {
        for end in ["stopProcessId", "deleteProcessId"] {
            let (home, mut client) = daemon(way);
            let shown = client.start(ready_when_daemonised(&home, "exec sleep 3600"));
            assert_eq!(shown["pm2_env"]["process_tree"], way);
            let survivor = assert_survivors(&home, 1, 1)[0];
            // Its parent is gone, and it leads its own session.
            assert_eq!(stat(survivor).unwrap().session, survivor);
            client.call(end, json!(0)).unwrap();
            assert!(!is_alive(survivor), "{way}, {end}");
        }
    }
}

#[test]
fn a_restart_takes_it_along() {
    for way in ways() {
        let (home, mut client) = daemon(way);
        client.start(ready_when_daemonised(&home, "exec sleep 3600"));
        assert_survivors(&home, 1, 1);
        client.call("restartProcessId", json!({"id": 0, "env": {}})).unwrap();
        assert_survivors(&home, 2, 1);
    }
}

#[test]
fn what_a_crash_leaves_is_ended_before_the_restart() {
    for way in ways() {
        let (home, mut client) = daemon(way);
        // Each life sees nobody of the one before.
        let script = format!(
            "for pid in $(cat survivors 2>/dev/null); do kill -0 $pid 2>/dev/null && echo $pid >> seen; done
            n=$(wc -l < survivors 2>/dev/null || echo 0); {DAEMONISES}
            while [ $(wc -l < survivors 2>/dev/null || echo 0) -le $n ]; do sleep 0.01; done
            [ $n -ge 3 ] && exec sleep 3600; exit 1"
        );
        let mut app = impatient(home.shell("crashes", &script));
        app["min_uptime"] = json!(1);
        client.start(app);
        assert_survivors(&home, 4, 1);
        assert!(!home.path("seen").exists(), "{}", fs::read_to_string(home.path("seen")).unwrap());
        client.call("stopProcessId", json!(0)).unwrap();
        assert_survivors(&home, 4, 0);
    }
}

#[test]
fn an_app_that_only_starts_a_daemon_can_be_stopped() {
    for way in ways() {
        for end in ["stopProcessId", "deleteProcessId", "restartProcessId"] {
            let (home, mut client) = daemon(way);
            let mut app = ready_when_daemonised(&home, "exit 0");
            app["autorestart"] = json!(false);
            client.start(app);
            client.until_status(0, "stopped");
            // Nobody has asked for its end.
            let survivor = assert_survivors(&home, 1, 1)[0];
            let argument = if end == "restartProcessId" { json!({"id": 0, "env": {}}) } else { json!(0) };
            client.call(end, argument).unwrap();
            assert!(!is_alive(survivor), "{way}, {end}");
        }
    }
}

#[test]
fn who_shares_nothing_with_the_app_is_found_by_the_control_group() {
    if !ways().contains(&"cgroup") {
        // The other ways are told by `process_tree`, and are tested above.
        return;
    }
    let (home, mut client) = daemon("cgroup");
    let script = "(env -i setsid sh -c 'echo $$ >> survivors; exec sleep 3600' &)
        while ! [ -s survivors ]; do sleep 0.01; done; echo '\"ready\"' >&3; exec sleep 3600";
    client.start(impatient(home.ready_shell("hides", script)));
    let survivor = assert_survivors(&home, 1, 1)[0];
    client.call("stopProcessId", json!(0)).unwrap();
    assert!(!is_alive(survivor));
}

#[test]
fn who_forks_without_end_is_ended() {
    for way in ways() {
        let (home, mut client) = daemon(way);
        // Every member starts the next one and goes; nobody listens to a polite signal.
        let hydra = "trap '' INT TERM; echo $$ > head; sleep 0.02; sh hydra & exit 0";
        fs::write(home.path("hydra"), hydra).unwrap();
        client.start(impatient(home.shell("hydra", "sh hydra & exec sleep 3600")));
        until("it grows", || home.path("head").exists());
        client.call("stopProcessId", json!(0)).unwrap();
        let head = fs::read_to_string(home.path("head")).unwrap();
        eventually("no head follows", || {
            std::thread::sleep(std::time::Duration::from_millis(200));
            (fs::read_to_string(home.path("head")).unwrap() == head).then_some(())
        });
        assert_eq!(children_of(client_daemon(&home)), [0; 0]);
    }
}

fn client_daemon(home: &TestHome) -> i32 {
    fs::read_to_string(home.file("pm2.pid")).unwrap().trim().parse().unwrap()
}

#[test]
fn without_treekill_nobody_is_ended_and_nobody_stays_a_zombie() {
    for way in ways() {
        let (home, mut client) = daemon(way);
        let mut app = ready_when_daemonised(&home, "exec sleep 3600");
        app["treekill"] = json!(false);
        let shown = client.start(app);
        assert_eq!(shown["pm2_env"].get("process_tree"), None);
        client.call("stopProcessId", json!(0)).unwrap();
        let survivor = assert_survivors(&home, 1, 1)[0];
        send(survivor, Signal::SIGKILL).unwrap();
        until("it is reaped", || !Path::new(&format!("/proc/{survivor}")).exists());
    }
}

#[test]
fn orphans_do_not_stay_as_zombies() {
    for way in ways() {
        let (home, mut client) = daemon(way);
        let script = "for n in $(seq 50); do (sh -c 'exit 3' &); done; echo '\"ready\"' >&3; exec sleep 3600";
        let app = pid_of(&client.start(home.ready_shell("orphans", script)));
        until("the app is the only child", || children_of(client_daemon(&home)) == [app]);
    }
}

#[test]
fn it_is_found_after_an_upgrade() {
    for way in ways() {
        let (home, mut client) = daemon(way);
        client.start(ready_when_daemonised(&home, "exec sleep 3600"));
        let mut crashed = ready_when_daemonised(&home, "exit 0");
        crashed["name"] = json!("only starts one");
        crashed["autorestart"] = json!(false);
        client.start(crashed);
        client.until_status(1, "stopped");
        assert_survivors(&home, 2, 2);
        assert!(home.run(&["update"]).status.success());
        let mut client = home.client();
        client.call("stopProcessId", json!(0)).unwrap();
        assert_survivors(&home, 2, 1);
        client.call("stopProcessId", json!(1)).unwrap();
        assert_survivors(&home, 2, 0);
    }
}

#[test]
fn a_reload_ends_what_the_old_worker_has_started_and_nothing_else() {
    for way in ways() {
        let (home, mut client) = daemon(way);
        let text = "
            const { spawn } = require('child_process')
            const fs = require('fs')
            const script = `(setsid sh -c 'echo $$ >> survivors; exec sleep 3600' &)`
            spawn('sh', ['-c', script], { cwd: __dirname, stdio: 'ignore' }).on('exit', () =>
              require('http').createServer((request, response) => response.end()).listen(0, '127.0.0.1'))";
        fs::write(home.path("starts.js"), text).unwrap();
        let mut app = impatient(home.node("starts", text));
        app["exec_mode"] = json!("cluster_mode");
        client.start(app);
        assert_survivors(&home, 1, 1);
        client.call("reloadProcessId", json!({"id": 0, "env": {}})).unwrap();
        until("the old one's is gone", || {
            let pids = survivors(&home);
            pids.len() == 2 && !is_alive(pids[0])
        });
        assert_survivors(&home, 2, 1);
        client.call("stopProcessId", json!(0)).unwrap();
        assert_survivors(&home, 2, 0);
    }
}

/// As in PM2, and Linux shares the processors out by session: an app gets no more by having more workers.
#[test]
fn workers_lead_a_group_in_the_session_of_the_daemon() {
    for way in ways() {
        let (home, mut client) = daemon(way);
        let session = stat(client_daemon(&home)).unwrap().session;
        let text = "require('http').createServer().listen(0, '127.0.0.1', () =>
            require('child_process').exec(`(sh -c 'echo $$ >> survivors; exec env -i sleep 3600' &)`, { cwd: __dirname }))";
        let users = if support::is_root() { vec![None, Some(support::NOBODY)] } else { vec![None] };
        for user in users {
            let mut app = impatient(home.node("worker", text));
            app["exec_mode"] = json!("cluster_mode");
            if let Some(user) = user {
                app["uid"] = json!(user);
                app["pm_cwd"] = json!("/");
                fs::set_permissions(home.path("."), fs::Permissions::from_mode(0o777)).unwrap();
            }
            let pid = pid_of(&client.start(app));
            let found = stat(pid).unwrap();
            assert_eq!((found.group, found.session), (pid, session), "{way}, {user:?}");
            // Whom it starts is found by its group.
            let survivor = *assert_survivors(&home, 1, 1).last().unwrap();
            assert_eq!(stat(survivor).unwrap().group, pid);
            client.call("deleteProcessId", json!(0)).unwrap();
            assert!(!is_alive(survivor), "{way}, {user:?}");
            fs::remove_file(home.path("survivors")).unwrap();
        }
    }
}

#[test]
fn groups_go_with_their_apps() {
    if !ways().contains(&"cgroup") {
        return;
    }
    let (home, mut client) = daemon("cgroup");
    let app = pid_of(&client.start(home.sleeper("grouped")));
    let own = |pid: i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        text.lines().find_map(|line| line.strip_prefix("0::").map(str::to_owned)).unwrap()
    };
    let daemon = client_daemon(&home);
    let name = own(app).rsplit('/').next().unwrap().to_owned();
    assert_eq!((name.as_str(), own(app) != own(daemon)), (format!("pm2-rs.{daemon}.2").as_str(), true));
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let point = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2")).unwrap();
    let point = point.split(' ').nth(1).unwrap().to_owned();
    let folders = || {
        let entries = fs::read_dir(format!("{point}{}", own(daemon))).unwrap();
        let names = entries.flatten().map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(&format!("pm2-rs.{daemon}."))).count()
    };
    assert_eq!(folders(), 1);
    for _ in 0..3 {
        client.call("restartProcessId", json!({"id": 0, "env": {}})).unwrap();
        assert_eq!(folders(), 1);
    }
    send(pid_of(&client.entry(0)), Signal::SIGKILL).unwrap();
    client.until("it is restarted", 0, |entry| entry["pm2_env"]["restart_time"] == 4 && entry["pid"] != 0);
    assert_eq!(folders(), 1);
    client.call("deleteProcessId", json!(0)).unwrap();
    assert_eq!(folders(), 0);
}
