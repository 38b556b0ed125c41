//! A daemon that does not go over to another program goes on as if nothing had been.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::json;
use support::load::{Load, SERVER, Style, free_port, pids};
use support::upgrade::{assert_listed, facts, hear, until_exists};
use support::{Client, EXECUTABLE, TestHome, descriptors, send, subscribe, until};

/// A daemon with apps of several kinds.
fn daemon() -> (TestHome, i32) {
    let home = TestHome::new();
    let pid = home.start();
    let mut client = home.client();
    client.start_all(home.cluster("web", SERVER, free_port(), 2));
    client.start(home.shell("echo", "while read line; do echo \"$line\"; done"));
    let mut app = home.node("node", "process.on('message', (p) => process.send({type: 'echo', data: {a: p.data}})); process.send('ready')");
    app["wait_ready"] = json!(true);
    client.start(app);
    (home, pid)
}

/// Checks that everything works that did before, on connections that were there before.
#[track_caller]
fn assert_works(home: &TestHome, client: &mut Client, bus: &mut Client, token: &str) {
    client.call("sendLineToStdin", json!({"pm_id": 2, "line": format!("{token}\n")})).unwrap();
    until("the line is in the log", || {
        fs::read_to_string(home.file("logs/echo-out.log")).unwrap().ends_with(&format!("{token}\n"))
    });
    client.call("sendDataToProcessId", json!({"id": 3, "topic": "t", "data": token})).unwrap();
    let heard = hear(bus, "echo");
    assert_eq!(heard["data"]["a"], token);
}

#[test]
fn programs_that_cannot_go_on_are_refused() {
    let (home, daemon) = daemon();
    let (mut client, mut bus) = (home.client(), Client::unix(&home.file("pub.sock")));
    subscribe(&mut client, &mut bus);
    let before = facts(&client.list());
    let text = home.path("text");
    fs::write(&text, "no program\n").unwrap();
    let executable_text = home.program("executable-text", "no program\n");
    let older = home
        .program("older", "#!/bin/sh\necho 'pm2-rs 0.0.1 cannot read the state of version 1' >&2; exit 1\n");
    let other = home.program("other", "#!/bin/sh\necho 'pm2-rs 9.0.0 reads state 99'\n");
    let liar = home.program("liar", "#!/bin/sh\necho 'pm2-rs 9.0.0 reads state 1'; exit 1\n");
    let check = |client: &mut Client, program: &Path, expected: &str| {
        let error = client.call("upgrade", json!(program)).unwrap_err();
        assert!(error.starts_with("cannot upgrade: "), "{error}");
        assert!(error.contains(expected), "{}: {error}", program.display());
        assert!(error.ends_with("everything goes on as before"), "{error}");
    };
    check(&mut client, Path::new("/bin/true"), "/bin/true does not go on with what this daemon leaves");
    check(&mut client, Path::new("/bin/cat"), "unrecognized option");
    check(&mut client, Path::new("/no/such/file"), "/no/such/file cannot be run: No such file or directory");
    check(&mut client, Path::new("/tmp"), "/tmp cannot be run: Permission denied");
    check(&mut client, Path::new("pm2-rs"), "pm2-rs is not absolute");
    check(&mut client, &text, "cannot be run: Permission denied");
    check(&mut client, &executable_text, "executable-text");
    check(&mut client, &older, "pm2-rs 0.0.1 cannot read the state of version 1");
    check(&mut client, &other, "does not go on with what this daemon leaves: pm2-rs 9.0.0 reads state 99");
    check(&mut client, &liar, "does not go on with what this daemon leaves");
    check(&mut client, Path::new(""), "is not absolute");
    check(&mut client, Path::new("/\0"), "cannot be run: ");
    for wrong in [json!(7), json!(true), json!([]), json!(["/bin/true"]), json!({"path": "/bin/true"})] {
        let error = client.call("upgrade", wrong).unwrap_err();
        assert!(error.contains("upgrade needs the path of an executable"), "{error}");
    }
    assert_listed(&client.list(), &before);
    assert_works(&home, &mut client, &mut bus, "one");
    assert_eq!(home.n_upgrades(), 0);
    assert_eq!(fs::read_to_string(home.file("pm2.pid")).unwrap(), daemon.to_string());
    // Afterwards a good one is taken.
    home.upgrade(None).unwrap();
    assert_listed(&home.client().list(), &before);
}

#[test]
fn a_program_that_says_nothing_is_not_waited_for_without_end() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    client.start(home.sleeper("a"));
    let mute = home.program("mute", "#!/bin/sh\necho $$ > mute.pid; exec sleep 3600\n");
    let error = client.call("upgrade", json!(mute)).unwrap_err();
    assert!(error.contains("says nothing within 10 s"), "{error}");
    assert_eq!(client.entry(0)["pm2_env"]["status"], "online");
    drop(client);
    // It has been ended: nothing but the daemon and the app runs in this home.
    until("it has ended", || support::processes_of(&home.dir).len() == 2);
}

/// Everything is frozen before this program cannot be run.
#[test]
fn a_daemon_that_was_frozen_thaws() {
    let (home, pid) = daemon();
    let (mut client, mut bus) = (home.client(), Client::unix(&home.file("pub.sock")));
    subscribe(&mut client, &mut bus);
    let crashes =
        "[ -e again ] && exec sleep 3600; until [ -e crash ]; do sleep 0.01; done; touch again; exit 1";
    let mut waiting = home.shell("waiting", crashes);
    // Not during what follows, even on a slow machine.
    waiting["restart_delay"] = json!(4000);
    client.start(waiting);
    let half = home.shell("half", "printf '{\"type\":\"half\",' >&3; touch half; until [ -e go ]; do sleep 0.01; done; printf '\"data\":1}\\n' >&3; exec sleep 3600");
    client.start(half);
    until_exists(&home.path("half"));
    // A list opens something for each app that is online.
    client.until_status(4, "online");
    let n_descriptors = descriptors(pid).len();
    fs::write(home.path("crash"), "").unwrap();
    client.until_status(4, "waiting restart");
    let before = facts(&client.list());
    for round in 0..3 {
        let deceiver = home.deceiver();
        let error = client.call("upgrade", json!(deceiver)).unwrap_err();
        assert!(error.contains("deceiver cannot be run: Permission denied"), "{error}");
        assert_listed(&client.list(), &before);
        assert_works(&home, &mut client, &mut bus, &format!("round {round}"));
    }
    assert_eq!(home.n_upgrades(), 0);
    // What was to come comes.
    client.until_status(4, "online");
    until("no descriptor is left over", || descriptors(pid).len() == n_descriptors);
    fs::write(home.path("go"), "").unwrap();
    hear(&mut bus, "half");
    // Ends are found.
    let id = 2;
    let entry = client.entry(id);
    send(support::load::pid_of(&entry), Signal::SIGKILL).unwrap();
    client.until("restarted", id, |entry| entry["pm2_env"]["restart_time"] == 1);
    client.until_status(id, "online");
    // And then it works.
    home.upgrade(Some(Path::new(EXECUTABLE))).unwrap();
    assert_eq!(home.n_upgrades(), 1);
    for id in 0..6 {
        home.client().call("stopProcessId", json!(id)).unwrap();
    }
    until("only the daemon is left", || support::processes_of(&home.dir) == [pid]);
}

#[test]
fn a_daemon_that_thaws_loses_no_request_and_no_line() {
    for style in [Style::Close, Style::KeepAlive] {
        let home = TestHome::new();
        home.start();
        let mut client = home.client();
        let port = free_port();
        client.start_all(home.cluster("web", SERVER, port, 2));
        let text = "let n = 0; const write = () => { process.stdout.write(`${++n}\\n`); setImmediate(write) }; write()";
        client.start(home.node("writer", text));
        let workers = pids(&mut client);
        let load = Load::start(port, style, 16);
        load.wait_for_round();
        for _ in 0..10 {
            client.call("upgrade", json!(home.deceiver())).unwrap_err();
            load.wait_for_round();
        }
        assert_eq!(pids(&mut client), workers);
        for id in [0, 1] {
            client.call("reloadProcessId", json!({"id": id, "env": {}})).unwrap();
        }
        load.wait_for_round();
        assert_eq!(load.end().failures, [], "{style:?}");
        client.call("stopProcessId", json!(2)).unwrap();
        let text = fs::read_to_string(home.file("logs/writer-out.log")).unwrap();
        let wrong = (1_u64..).zip(text.lines()).find(|(n, line)| n.to_string() != *line);
        assert_eq!(wrong, None);
        assert!(text.lines().count() > 1000);
    }
}
