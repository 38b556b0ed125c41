//! Cluster mode when things go wrong: workers that are killed, blocked or stopped under load, several apps at once, and
//! users with fewer rights.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::load::{
    Connection, Dealing, Failure, Load, SERVER, Seen, Style, ask_once, burst, free_port, is_free, is_refused,
    pid_of, pids,
};
use support::{Client, DEADLINE, NOBODY, TestHome, copy_executable, is_root, send, until};

const N_CLIENTS: usize = 16;

fn web(home: &TestHome, text: &str, port: u16, instances: usize, dealing: Dealing) -> Value {
    let mut app = home.cluster("web", text, port, instances);
    app["scheduling_policy"] = dealing.policy();
    app
}

/// Waits until an app's worker with this pid has a successor.
fn until_replaced(client: &mut Client, id: u64, pid: i32) -> i32 {
    pid_of(&client.until("its successor is there", id, |entry| {
        entry["pm2_env"]["status"] == "online" && pid_of(entry) != pid
    }))
}

/// Every request of `Seen` was answered, or was inside one of these processes when it was killed.
fn assert_only_cut(seen: &Seen, killed: &BTreeSet<i32>, case: &str) {
    for failure in &seen.failures {
        let Failure::Cut { by, .. } = failure else { panic!("{case}: {failure:?}") };
        assert!(by.is_none_or(|pid| killed.contains(&pid)), "{case}: {failure:?}, killed {killed:?}");
    }
}

// ---- dead workers ----

/// Kills one worker after the other while clients ask. Nobody is refused, nobody hangs, and only those fail whose
/// request is inside the killed one.
fn kills_under_load(dealing: Dealing, style: Style, n_kills: usize) {
    let case = format!("{dealing:?}, {style:?}");
    let home = dealing.home();
    home.start();
    let mut client = home.client();
    let port = free_port();
    let mut app = web(&home, SERVER, port, 4, dealing);
    app["max_restarts"] = json!(1000);
    let ids: Vec<u64> = client.start_all(app).iter().map(|entry| entry["pm_id"].as_u64().unwrap()).collect();
    let load = Load::start(port, style, N_CLIENTS);
    load.wait_for_round();
    let mut killed = BTreeSet::new();
    let mut n_failures = 0;
    for id in ids.iter().cycle().take(n_kills) {
        let pid = pid_of(&client.entry(*id));
        killed.insert(pid);
        send(pid, Signal::SIGKILL).unwrap();
        until_replaced(&mut client, *id, pid);
        // Whatever this kill costs has been paid when everybody is one request further.
        load.wait_for_round();
        let seen = load.seen();
        assert_only_cut(&seen, &killed, &case);
        let n_new = seen.failures.len() - n_failures;
        n_failures = seen.failures.len();
        assert!(n_new <= N_CLIENTS, "{case}: {n_new} requests of {N_CLIENTS} clients");
    }
    let seen = load.end();
    assert_only_cut(&seen, &killed, &case);
    eprintln!("{case}: {n_kills} kills, {} answers, {} failures", seen.n_served(), seen.failures.len());
    let living = pids(&mut client);
    assert_eq!(living.len(), 4, "{case}");
    let mut served = BTreeSet::new();
    until("every successor serves", || {
        served.insert(ask_once(port).unwrap());
        served == living
    });
}

#[test]
fn killed_workers_cost_only_what_was_inside_them() {
    for dealing in Dealing::ALL {
        kills_under_load(dealing, Style::Close, 10);
    }
}

#[test]
fn killed_workers_cost_only_the_connections_that_they_keep() {
    for (dealing, style) in [
        (Dealing::Hybrid, Style::KeepAlive),
        (Dealing::Direct, Style::Reconnect(20)),
        (Dealing::RoundRobin, Style::Reconnect(20)),
    ] {
        kills_under_load(dealing, style, 10);
    }
}

#[test]
#[ignore = "takes minutes"]
fn fifty_killed_workers_cost_only_what_was_inside_them() {
    for dealing in Dealing::ALL {
        for style in [Style::Close, Style::KeepAlive, Style::Reconnect(20)] {
            kills_under_load(dealing, style, 50);
        }
    }
}

/// There is always somebody who will take a connection.
#[test]
fn when_all_workers_are_killed_at_once_clients_wait_for_the_next_ones() {
    for dealing in Dealing::ALL {
        let home = dealing.home();
        home.start();
        let mut client = home.client();
        let port = free_port();
        client.start_all(web(&home, SERVER, port, 4, dealing));
        let load = Load::start(port, Style::Close, N_CLIENTS);
        let mut all_killed = BTreeSet::new();
        for _ in 0..3 {
            load.wait_for_round();
            let killed = pids(&mut client);
            for pid in &killed {
                send(*pid, Signal::SIGKILL).unwrap();
            }
            until("all have successors", || {
                let now = client.list();
                now.iter()
                    .all(|entry| entry["pm2_env"]["status"] == "online" && !killed.contains(&pid_of(entry)))
            });
            all_killed.extend(killed);
        }
        load.wait_for_round();
        let seen = load.end();
        assert_only_cut(&seen, &all_killed, &format!("{dealing:?}"));
        assert!(seen.failures.len() <= 3 * N_CLIENTS, "{dealing:?}: {:?}", seen.failures);
    }
}

// ---- more and fewer workers ----

/// Ends in order: no new connections, and the answers that are still owed.
const ENDS_IN_ORDER: &str = "const http = require('http');
    const server = http.createServer((request, response) =>
        response.end(`${process.pid} ${process.env.PORT} ${request.url}`)
    ).listen(Number(process.env.PORT), '127.0.0.1', () => process.send('ready'));
    process.on('SIGINT', () => server.close(() => process.exit(0)));";

/// 2-4-2-3-1-4-2 workers while clients ask.
fn scale_under_load(text: &str, dealing: Dealing, style: Style) -> Seen {
    let home = dealing.home();
    home.start();
    let mut client = home.client();
    let port = free_port();
    client.start_all(web(&home, text, port, 2, dealing));
    let load = Load::start(port, style, N_CLIENTS);
    load.wait_for_round();
    let mut deleted = BTreeSet::new();
    for wanted in [4, 2, 3, 1, 4, 2] {
        let list = client.list();
        for _ in list.len()..wanted {
            client.call("duplicateProcessId", list[0]["pm_id"].clone()).unwrap();
        }
        // As npm pm2's client does: the lowest ids first.
        for entry in list.iter().take(list.len().saturating_sub(wanted)) {
            client.call("deleteProcessId", entry["pm_id"].clone()).unwrap();
            deleted.insert(pid_of(entry));
        }
        assert_eq!(client.list().len(), wanted);
        load.wait_for_round();
    }
    let seen = load.end();
    let case = format!("{dealing:?}, {style:?}");
    assert_only_cut(&seen, &deleted, &case);
    let living = pids(&mut client);
    let mut served = BTreeSet::new();
    until("the workers that are left serve", || {
        served.insert(ask_once(port).unwrap());
        served == living
    });
    eprintln!("{case}: {} answers, {} failures", seen.n_served(), seen.failures.len());
    seen
}

#[test]
fn scaling_loses_nothing() {
    for dealing in Dealing::ALL {
        for style in [Style::Close, Style::KeepAlive] {
            for text in [SERVER, ENDS_IN_ORDER] {
                let seen = scale_under_load(text, dealing, style);
                assert_eq!(seen.failures, [], "{dealing:?}, {style:?}");
            }
        }
    }
}

// ---- workers that do not answer ----

/// How many un-acknowledged connections a worker may hold; `PM2_RS_CLUSTER_WINDOW`.
const WINDOW: usize = 4;

/// Blocks its process from `/block` on for as long as the file is there that says who is blocked.
const BLOCKS: &str = "const fs = require('fs');
    require('http').createServer((request, response) => {
        if (request.url === '/block') {
            fs.writeFileSync('blocked.new', `${process.pid}`);
            fs.renameSync('blocked.new', 'blocked');
            while (fs.existsSync('blocked'));
        }
        response.end(`${process.pid} ${process.env.PORT} ${request.url}`);
    }).listen(Number(process.env.PORT), '127.0.0.1', () => process.send('ready'));";

/// How a worker comes to a standstill.
#[derive(Debug, Clone, Copy)]
enum Standstill {
    Busy,
    Stopped,
}

fn one_worker_stands_still(dealing: Dealing, style: Style, how: Standstill) {
    let case = format!("{dealing:?}, {style:?}, {how:?}");
    let home = dealing.home();
    home.start();
    let mut client = home.client();
    let port = free_port();
    client.start_all(web(&home, BLOCKS, port, 4, dealing));
    let mut blocking = None;
    let pid = match how {
        Standstill::Busy => {
            blocking = Some(std::thread::spawn(move || {
                Connection::open(port).unwrap().ask("/block", false, 2 * DEADLINE).unwrap();
            }));
            until("it is blocked", || home.path("blocked").exists());
            std::fs::read_to_string(home.path("blocked")).unwrap().parse().unwrap()
        }
        Standstill::Stopped => {
            let pid = pid_of(&client.entry(2));
            send(pid, Signal::SIGSTOP).unwrap();
            pid
        }
    };
    let go_on = || match how {
        Standstill::Busy => std::fs::remove_file(home.path("blocked")).unwrap(),
        Standstill::Stopped => send(pid, Signal::SIGCONT).unwrap(),
    };

    // Of many at once, all but a window's worth have their answers.
    let burst_size = 24;
    let answers = burst(port, burst_size);
    let in_time: Vec<_> = (0..burst_size - WINDOW).map(|_| answers.recv_timeout(DEADLINE / 3)).collect();
    assert!(in_time.iter().all(|answer| matches!(answer, Ok(Ok(by)) if *by != pid)), "{case}: {in_time:?}");
    // Whoever has not been caught goes on and on.
    let load = Load::patient(port, style, N_CLIENTS, 2 * DEADLINE);
    load.wait_for_progress(N_CLIENTS - WINDOW, 100);
    assert!(!load.seen().served.contains_key(&pid), "{case}");
    go_on();
    load.wait_for_round();
    assert_eq!(load.end().failures, [], "{case}");
    for answer in answers {
        answer.unwrap();
    }
    if let Some(blocking) = blocking {
        blocking.join().unwrap();
    }
    until("it serves again", || ask_once(port) == Ok(pid));
}

#[test]
fn a_blocked_worker_holds_up_nobody_else() {
    for dealing in Dealing::ALL {
        for style in [Style::Close, Style::KeepAlive] {
            one_worker_stands_still(dealing, style, Standstill::Busy);
        }
    }
}

#[test]
fn a_stopped_worker_holds_up_nobody_else() {
    for dealing in Dealing::ALL {
        for style in [Style::Close, Style::KeepAlive] {
            one_worker_stands_still(dealing, style, Standstill::Stopped);
        }
    }
}

// ---- several apps ----

#[test]
fn apps_that_are_reloaded_at_the_same_time_stay_apart() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let mut apps = Vec::new();
    for (name, dealing) in
        [("a", Dealing::Hybrid), ("b", Dealing::RoundRobin), ("c", Dealing::Shared), ("d", Dealing::Hybrid)]
    {
        let port = free_port();
        let mut app = home.cluster(name, SERVER, port, 2);
        app["scheduling_policy"] = dealing.policy();
        let ids: Vec<u64> =
            client.start_all(app).iter().map(|entry| entry["pm_id"].as_u64().unwrap()).collect();
        let loads = [Style::Close, Style::KeepAlive].map(|style| Load::start(port, style, 4));
        apps.push((name, port, ids, loads));
    }
    for round in 1..=3 {
        // Each asked by a client of its own, so that none waits for another one.
        let mut reloads = Vec::new();
        for (_, _, ids, _) in &apps {
            for id in ids {
                let mut client = home.client();
                client.post("reloadProcessId", &json!([{"id": id, "env": {}}]));
                reloads.push(client);
            }
        }
        for mut client in reloads {
            client.reply();
        }
        for entry in client.list() {
            let state = (&entry["pm2_env"]["restart_time"], &entry["pm2_env"]["status"]);
            assert_eq!(state, (&json!(round), &json!("online")), "{}", entry["name"]);
        }
    }
    for (name, port, ids, loads) in apps {
        for load in loads {
            load.wait_for_round();
            // A client takes no answer but that of its own app's port.
            assert_eq!(load.end().failures, [], "{name}");
        }
        for id in ids {
            client.call("deleteProcessId", json!(id)).unwrap();
        }
        assert!(is_refused(port) && is_free(port), "{name}");
    }
}

// ---- users ----

/// A daemon of a user who owns nothing but its home.
struct UnprivilegedDaemon(Child);

impl UnprivilegedDaemon {
    fn start(home: &TestHome) -> UnprivilegedDaemon {
        chown(home.root.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        // The folder that cargo builds in may be closed to others.
        let executable = home.path("pm2-rs");
        copy_executable(&executable);
        let log =
            || std::fs::File::options().create(true).append(true).open(home.path("daemon.log")).unwrap();
        let mut command = home.command(executable.to_str().unwrap());
        command.arg("daemon").uid(NOBODY).gid(NOBODY).stdin(Stdio::null()).stdout(log()).stderr(log());
        let daemon = UnprivilegedDaemon(command.spawn().unwrap());
        until("it listens", || UnixStream::connect(home.file("rpc.sock")).is_ok());
        daemon
    }
}

impl Drop for UnprivilegedDaemon {
    fn drop(&mut self) {
        // What it leaves running is ended with the home.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The user that a process runs as.
fn user_of(pid: i32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A port that only root may listen on, where the system knows such.
fn privileged_port() -> u16 {
    let first = 600 + u16::try_from(std::process::id() % 400).unwrap();
    (first..1024).find(|port| is_free(*port)).expect("one of them is free")
}

fn root_alone_may_listen_there(port: u16) -> bool {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    port < first.trim().parse().unwrap()
}

fn reload_all(client: &mut Client) {
    for entry in client.list() {
        client.call("reloadProcessId", json!({"id": entry["pm_id"], "env": {}})).unwrap();
    }
}

#[test]
fn a_daemon_without_privileges_serves_and_reloads() {
    if !is_root() {
        eprintln!("only root can start a daemon of another user");
        return;
    }
    for dealing in Dealing::ALL {
        let home = dealing.home();
        let daemon = UnprivilegedDaemon::start(&home);
        assert_eq!(user_of(i32::try_from(daemon.0.id()).unwrap()), NOBODY);
        let mut client = home.client();
        let port = free_port();
        client.start_all(web(&home, SERVER, port, 2, dealing));
        assert!(pids(&mut client).into_iter().all(|pid| user_of(pid) == NOBODY));
        for style in [Style::Close, Style::KeepAlive] {
            let load = Load::start(port, style, N_CLIENTS);
            load.wait_for_answers(1000);
            reload_all(&mut client);
            reload_all(&mut client);
            load.wait_for_round();
            assert_eq!(load.end().failures, [], "{dealing:?}, {style:?}");
        }

        // A port that this user may not have is the app's error.
        let port = privileged_port();
        if root_alone_may_listen_there(port) {
            let text = "require('http').createServer().on('error', (error) => {
                require('fs').writeFileSync('code.new', error.code);
                require('fs').renameSync('code.new', 'code');
                setInterval(() => {}, 1000);
            }).listen(Number(process.env.PORT), '127.0.0.1')";
            let mut app = home.cluster("refused", text, port, 1);
            app["wait_ready"] = json!(false);
            client.start(app);
            until("it is refused", || home.path("code").exists());
            assert_eq!(std::fs::read_to_string(home.path("code")).unwrap(), "EACCES");
        }
    }
}

#[test]
fn workers_of_another_user_listen_with_the_rights_of_the_daemon() {
    if !is_root() {
        eprintln!("only root can start workers of another user");
        return;
    }
    for dealing in Dealing::ALL {
        let home = dealing.home();
        std::fs::set_permissions(home.root.path(), Permissions::from_mode(0o755)).unwrap();
        home.start();
        let mut client = home.client();
        let port = privileged_port();
        let mut app = web(&home, SERVER, port, 2, dealing);
        app["uid"] = json!(NOBODY);
        app["gid"] = json!(NOBODY - 1);
        app["pm_cwd"] = json!("/");
        client.start_all(app);
        let load = Load::start(port, Style::Close, 4);
        for _ in 0..2 {
            load.wait_for_answers(100);
            assert!(pids(&mut client).into_iter().all(|pid| user_of(pid) == NOBODY), "{dealing:?}");
            reload_all(&mut client);
        }
        load.wait_for_round();
        assert_eq!(load.end().failures, [], "{dealing:?}");
        let pid = pid_of(&client.entry(0));
        send(pid, Signal::SIGKILL).unwrap();
        until_replaced(&mut client, 0, pid);
        until("both serve", || {
            let by: BTreeSet<i32> = (0..50).map(|_| ask_once(port).unwrap()).collect();
            by == pids(&mut client)
        });
        for id in [0, 1] {
            client.call("stopProcessId", json!(id)).unwrap();
        }
        assert!(is_free(port));
    }
}
