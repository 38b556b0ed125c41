//! Reloads of Node apps in cluster mode: no request is lost, and a bad version never takes the service down.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pm2_core::protocol::Reply;
use serde_json::{Value, json};
use support::load::{
    Connection, Dealing, Failure, Load, SERVER, Style, ask_once, free_port, is_free, is_refused, pid_of, pids,
};
use support::{
    Client, DEADLINE, TestHome, eventually, is_alive, processes_of, send, subscribe, until, wait_for_end,
};

fn reload(client: &mut Client, id: u64) -> Result<Value, String> {
    client.call("reloadProcessId", json!({"id": id, "env": {}}))
}

/// Asks for a reload of process 0 and waits until its successor is online, not for the end of the old worker.
fn post_reload(home: &TestHome, client: &mut Client) -> i32 {
    let before = client.entry(0);
    let n_before = before["pm2_env"]["restart_time"].as_u64().unwrap();
    client.post("reloadProcessId", &json!([{"id": 0, "env": {}}]));
    let replaced =
        home.client().until("replaced", 0, |entry| entry["pm2_env"]["restart_time"] == n_before + 1);
    pid_of(&replaced)
}

// ---- under load ----

/// Ends at once when it is told to.
const EXITS_AT_ONCE: &str = "process.on('SIGINT', () => process.exit(0));";

/// Reloads both workers again and again while clients ask; no request may fail.
fn reload_under_load(text: &str, dealing: Dealing, n_rounds: u64, n_clients: usize, n_requests: usize) {
    let home = dealing.home();
    home.start();
    let mut client = home.client();
    for (style, delay) in
        [(Style::Close, ""), (Style::Close, "30"), (Style::KeepAlive, ""), (Style::KeepAlive, "30")]
    {
        let case = format!("{dealing:?}, {style:?}, delay {delay:?}");
        let port = free_port();
        let mut app = home.cluster("web", text, port, 2);
        app["env"]["DELAY"] = json!(delay);
        app["scheduling_policy"] = dealing.policy();
        let started = client.start_all(app);
        let load = Load::start(port, style, n_clients);
        for round in 1..=n_rounds {
            for entry in &started {
                let id = entry["pm_id"].as_u64().unwrap();
                let before = pid_of(&client.entry(id));
                let old = reload(&mut client, id).unwrap();
                assert_eq!(old["pm2_env"]["pm_id"], format!("_old_{id}"));
                assert_eq!((&old["pm2_env"]["status"], &old["pid"]), (&json!("stopped"), &json!(0)));
                let now = client.entry(id);
                let state = (&now["pm2_env"]["restart_time"], &now["pm2_env"]["status"]);
                assert_eq!(state, (&json!(round), &json!("online")), "{case}");
                assert_ne!(pid_of(&now), before);
                assert!(!is_alive(before), "the old worker has gone");
            }
        }
        load.wait_for_answers(n_requests);
        let seen = load.end();
        assert_eq!(seen.failures, [], "{case}");
        let last = pids(&mut client);
        assert!(last.iter().any(|pid| seen.served.contains_key(pid)), "{case}: {last:?}, {:?}", seen.served);
        for entry in &started {
            client.call("deleteProcessId", entry["pm_id"].clone()).unwrap();
        }
        assert!(is_free(port));
    }
}

#[test]
fn reloads_under_load_lose_no_request() {
    for dealing in [Dealing::Hybrid, Dealing::RoundRobin] {
        reload_under_load(SERVER, dealing, 2, 16, 2000);
    }
}

#[test]
fn reloads_of_an_app_that_exits_at_once_lose_no_request() {
    for dealing in [Dealing::Direct, Dealing::Shared] {
        reload_under_load(&format!("{SERVER}\n{EXITS_AT_ONCE}"), dealing, 2, 16, 2000);
    }
}

#[test]
#[ignore = "takes minutes"]
fn twenty_reloads_under_load_lose_no_request() {
    reload_under_load(SERVER, Dealing::Hybrid, 20, 16, 20_000);
}

#[test]
#[ignore = "takes minutes"]
fn twenty_reloads_of_an_app_that_exits_at_once_lose_no_request() {
    reload_under_load(&format!("{SERVER}\n{EXITS_AT_ONCE}"), Dealing::Hybrid, 20, 16, 20_000);
}

#[test]
#[ignore = "takes minutes"]
fn ten_reloads_under_load_lose_no_request_however_connections_are_dealt() {
    for dealing in [Dealing::Direct, Dealing::RoundRobin, Dealing::Shared] {
        reload_under_load(SERVER, dealing, 10, 16, 10_000);
    }
}

/// A version that listens at once, and is ready when the test says so.
struct Gate {
    listens: PathBuf,
    go: PathBuf,
}

impl Gate {
    /// Puts it in place of the app's script.
    fn install(home: &TestHome, app: &Value) -> Gate {
        let gate = Gate { listens: home.path("listens"), go: home.path("go") };
        let Gate { listens, go } = &gate;
        let text = format!(
            "const fs = require('fs');
            require('http').createServer((request, response) =>
                response.end(`${{process.pid}} ${{process.env.PORT}} ${{request.url}}`)
            ).listen(Number(process.env.PORT), '127.0.0.1', () => {{
                fs.writeFileSync({listens:?}, `${{process.pid}}`);
                const timer = setInterval(() => {{
                    if (!fs.existsSync({go:?})) return;
                    clearInterval(timer);
                    process.send('ready');
                }}, 10);
            }});"
        );
        std::fs::write(app["pm_exec_path"].as_str().unwrap(), text).unwrap();
        gate
    }

    /// Waits until somebody listens; who.
    fn wait(&self) -> i32 {
        eventually("it listens", || std::fs::read_to_string(&self.listens).ok()?.parse().ok())
    }

    fn open(&self) {
        std::fs::write(&self.go, "").unwrap();
    }
}

/// A reload of process 0 that has come to its gate: the pids of old and new worker, and who waits for the reply.
fn reload_to_a_gate(home: &TestHome, port: u16) -> (Gate, i32, i32, Client) {
    let mut client = home.client();
    let app = home.cluster("web", SERVER, port, 1);
    let old = pid_of(&client.start(app.clone()));
    let gate = Gate::install(home, &app);
    client.post("reloadProcessId", &json!([{"id": 0, "env": {}}]));
    let new = gate.wait();
    (gate, old, new, client)
}

#[test]
fn the_successor_is_waited_for_until_it_says_ready() {
    let home = TestHome::new();
    home.start();
    let port = free_port();
    let (gate, old, new, mut asked) = reload_to_a_gate(&home, port);
    let load = Load::start(port, Style::Close, 4);
    load.wait_for_round();
    let mut client = home.client();
    assert_eq!(pid_of(&client.entry(0)), old);
    assert!(is_alive(old));
    gate.open();
    asked.reply();
    assert_eq!(pid_of(&client.entry(0)), new);
    assert!(!is_alive(old));
    load.wait_for_round();
    assert_eq!(load.end().failures, []);
    assert_eq!(ask_once(port), Ok(new));
}

// ---- deaths on the way ----

#[test]
fn the_old_worker_may_die_while_its_successor_starts() {
    let home = TestHome::new();
    home.start();
    let port = free_port();
    let (gate, old, new, mut asked) = reload_to_a_gate(&home, port);
    let load = Load::start(port, Style::Close, 4);
    load.wait_for_round();
    send(old, Signal::SIGKILL).unwrap();
    wait_for_end(old);
    // The new one listens already.
    load.wait_for_round();
    gate.open();
    let (_, reply) = asked.reply();
    assert!(matches!(reply, Reply::Success { .. }), "{reply:?}");
    let entry = home.client().entry(0);
    assert_eq!((pid_of(&entry), &entry["pm2_env"]["status"]), (new, &json!("online")));
    let failures = load.end().failures;
    assert!(failures.len() <= 4 && failures.iter().all(|failure| matches!(failure, Failure::Cut { .. })));
    assert_eq!(ask_once(port), Ok(new));
}

#[test]
fn the_successor_may_be_killed() {
    let home = TestHome::new();
    home.start();
    let port = free_port();
    let (_gate, old, new, mut asked) = reload_to_a_gate(&home, port);
    send(new, Signal::SIGKILL).unwrap();
    match asked.reply().1 {
        Reply::Error { message, .. } => assert!(
            message.starts_with("Reload aborted: the new process was ended by signal 9 before it was ready"),
            "{message}"
        ),
        other => panic!("{other:?}"),
    }
    let entry = home.client().entry(0);
    assert_eq!((pid_of(&entry), &entry["pm2_env"]["status"]), (old, &json!("online")));
    for _ in 0..20 {
        assert_eq!(ask_once(port), Ok(old));
    }
}

/// The usual restart follows, as there is no old worker to stay with.
#[test]
fn both_may_die() {
    let home = TestHome::new();
    home.start();
    let port = free_port();
    let (gate, old, new, mut asked) = reload_to_a_gate(&home, port);
    gate.open();
    for pid in [old, new] {
        send(pid, Signal::SIGSTOP).unwrap();
    }
    for pid in [old, new] {
        send(pid, Signal::SIGKILL).unwrap();
    }
    asked.reply();
    let mut client = home.client();
    let entry = client.until("a third one is there", 0, |entry| {
        entry["pm2_env"]["status"] == "online" && ![0, old, new].contains(&pid_of(entry))
    });
    assert_eq!(ask_once(port), Ok(pid_of(&entry)));
}

#[test]
fn the_old_worker_may_be_killed_while_it_drains() {
    let home = TestHome::new();
    home.start();
    let port = free_port();
    let mut client = home.client();
    let mut app = home.cluster("web", LASTING, port, 1);
    app["kill_timeout"] = json!(60_000);
    let old = pid_of(&client.start(app));
    let mut stream = upgraded(port);
    let new = post_reload(&home, &mut client);
    echoes(&mut stream);
    send(old, Signal::SIGKILL).unwrap();
    client.reply();
    assert!(!is_alive(old));
    assert_eq!(ask_once(port), Ok(new));
}

#[test]
fn a_stop_does_not_wait_for_the_successor() {
    let home = TestHome::new();
    home.start();
    let port = free_port();
    let (_gate, old, new, mut asked) = reload_to_a_gate(&home, port);
    let since = Instant::now();
    home.client().call("stopProcessId", json!(0)).unwrap();
    assert!(since.elapsed() < DEADLINE / 3, "{:?}", since.elapsed());
    assert!(!is_alive(old) && !is_alive(new));
    assert!(is_free(port));
    asked.reply();
}

#[test]
fn the_end_of_the_daemon_does_not_wait_for_the_successor() {
    let home = TestHome::new();
    let daemon = home.start();
    let port = free_port();
    let (_gate, old, new, _asked) = reload_to_a_gate(&home, port);
    let since = Instant::now();
    send(daemon, Signal::SIGTERM).unwrap();
    assert_eq!(home.exit_code(daemon), Some(0));
    assert!(since.elapsed() < DEADLINE / 3, "{:?}", since.elapsed());
    assert!(!is_alive(old) && !is_alive(new));
}

// ---- bad versions ----

/// A version that does not take over: its script, and how the reply goes on after the usual words. `OTHER` is a port.
const BAD: [(&str, &str); 4] = [
    ("throw new Error('bad')", "the new process exited with code 1 before it was ready"),
    ("setInterval(() => {}, 1000)", "the new process has not "),
    ("setTimeout(() => process.exit(3), 1000)", "the new process exited with code 3 before it was ready"),
    (
        "require('http').createServer((_, response) => response.end()).listen(Number(process.env.OTHER), '127.0.0.1')",
        "the new process has not ",
    ),
];

/// Reloads to every bad version under load, and then to a good one.
fn bad_versions(wait_ready: bool) {
    let home = TestHome::new();
    let daemon = home.start();
    let mut client = home.client();
    let mut bus = Client::unix(&home.file("pub.sock"));
    let (port, other) = (free_port(), free_port());
    let mut app = home.cluster("web", SERVER, port, 1);
    app["wait_ready"] = json!(wait_ready);
    app["listen_timeout"] = json!(3000);
    app["env"]["OTHER"] = json!(other);
    let before = pid_of(&client.start(app.clone()));
    until("it listens", || ask_once(port).is_ok());
    subscribe(&mut client, &mut bus);
    let script = app["pm_exec_path"].as_str().unwrap();
    let load = Load::start(port, Style::Close, 4);
    for (bad, reason) in BAD {
        std::fs::write(script, bad).unwrap();
        let error =
            client.call("reloadProcessId", json!({"id": 0, "env": {"NEW": "1"}})).expect_err("a bad version");
        assert!(error.starts_with(&format!("Reload aborted: {reason}")), "{bad}: {error}");
        let event = loop {
            let event = bus.event();
            let packet: Value = serde_json::from_str(&event.packet).unwrap();
            if event.topic.as_text() == "process:event" && packet["event"] == "reload aborted" {
                break packet;
            }
        };
        assert_eq!((&event["process"]["name"], &event["process"]["pm_id"]), (&json!("web"), &json!(0)));

        let entry = client.entry(0);
        assert_eq!((pid_of(&entry), &entry["pm2_env"]["status"]), (before, &json!("online")), "{bad}");
        assert_eq!((&entry["pm2_env"]["restart_time"], &entry["pm2_env"]["NEW"]), (&json!(0), &Value::Null));
        assert_eq!(std::fs::read_to_string(home.file("pids/web-0.pid")).unwrap(), before.to_string());
        assert_eq!(BTreeSet::from_iter(processes_of(&home.dir)), BTreeSet::from([daemon, before]), "{bad}");
        assert!(is_refused(other), "{bad}: what the new one listened on is closed");
        load.wait_for_round();
    }
    std::fs::write(script, SERVER).unwrap();
    client.call("reloadProcessId", json!({"id": 0, "env": {"NEW": "1"}})).unwrap();
    let entry = client.entry(0);
    assert_eq!((&entry["pm2_env"]["restart_time"], &entry["pm2_env"]["NEW"]), (&json!(1), &json!("1")));
    let seen = load.end();
    assert_eq!(seen.failures, []);
    assert!(seen.served.keys().all(|pid| [before, pid_of(&entry)].contains(pid)), "{:?}", seen.served);
    assert_eq!(ask_once(port), Ok(pid_of(&entry)));
}

#[test]
fn a_bad_version_does_not_take_the_service_down() {
    bad_versions(false);
}

#[test]
fn nor_does_one_that_has_to_say_that_it_is_ready() {
    bad_versions(true);
}

/// With npm pm2's way, the old worker goes whatever becomes of the new one.
#[test]
fn blind_reloads_trust_the_new_version() {
    let home = TestHome::new().with("PM2_RS_BLIND_RELOAD", "1");
    home.start();
    let mut client = home.client();
    for (bad, status) in [
        ("setInterval(() => {}, 1000)", "online"),
        ("throw new Error('bad')", "errored"),
        ("setTimeout(() => process.exit(3), 300)", "errored"),
    ] {
        let port = free_port();
        let mut app = home.cluster("web", SERVER, port, 1);
        app["wait_ready"] = json!(false);
        app["listen_timeout"] = json!(1500);
        app["max_restarts"] = json!(3);
        let started = client.start(app.clone());
        let before = pid_of(&started);
        let id = started["pm_id"].as_u64().unwrap();
        until("it listens", || ask_once(port).is_ok());
        std::fs::write(app["pm_exec_path"].as_str().unwrap(), bad).unwrap();
        let since = Instant::now();
        let old = reload(&mut client, id).unwrap_or_else(|error| panic!("{bad}: {error}"));
        assert!(since.elapsed() >= Duration::from_millis(1500), "{bad}: the old one serves until then");
        assert_eq!(old["pm2_env"]["pm_id"], format!("_old_{id}"));
        assert!(!is_alive(before), "{bad}");
        client.until_status(id, status);
        until("nobody is there", || is_refused(port));
        client.call("deleteProcessId", json!(id)).unwrap();
    }
}

/// The word `ready` is enough with `wait_ready`: then the old address is nobody's.
#[test]
fn a_version_may_move_to_another_port() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let (port, other) = (free_port(), free_port());
    let app = home.cluster("web", SERVER, port, 1);
    client.start(app.clone());
    let text = SERVER.replace("process.env.PORT", &other.to_string());
    std::fs::write(app["pm_exec_path"].as_str().unwrap(), text).unwrap();
    assert_eq!(ask_once(port).map(drop), Ok(()));
    reload(&mut client, 0).unwrap();
    assert_eq!(ask_once(other), Ok(pid_of(&client.entry(0))));
    assert!(is_refused(port), "nobody is left there");
    assert!(is_free(port));
}

#[test]
fn a_stop_during_a_reload_ends_both_and_frees_the_port() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let port = free_port();
    let before = pid_of(&client.start(home.cluster("web", SERVER, port, 1)));
    // An open connection keeps the old one draining.
    let mut connection = Connection::open(port).unwrap();
    connection.ask("/", true, DEADLINE).unwrap();
    let mut other = home.client();
    let after = post_reload(&home, &mut other);
    client.call("stopProcessId", json!(0)).unwrap();
    assert!(!is_alive(before) && !is_alive(after));
    assert!(is_free(port));
    other.reply();
}

// ---- what takes longer than a reload ----

const KILL_TIMEOUT: Duration = Duration::from_millis(2000);

/// Answers `/slow/<ms>` after so long and notes that it was asked, and any upgrade by echoing what comes.
const LASTING: &str = "const server = require('http').createServer((request, response) => {
        const [, word, ms] = request.url.split('/');
        if (word === 'slow') require('fs').appendFileSync('slow', '.');
        setTimeout(() => response.end(`${process.pid} ${process.env.PORT} ${request.url}`), word === 'slow' ? ms : 0);
    });
    server.on('upgrade', (request, socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n');
        socket.pipe(socket);
    });
    server.listen(Number(process.env.PORT), '127.0.0.1', () => process.send('ready'));";

fn lasting(home: &TestHome, port: u16, text: &str) -> Value {
    let mut app = home.cluster("web", &format!("{LASTING}\n{text}"), port, 1);
    app["kill_timeout"] = json!(u64::try_from(KILL_TIMEOUT.as_millis()).unwrap());
    app
}

/// A connection that has left HTTP.
fn upgraded(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n").unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.extend_from_slice(&byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{head:?}");
    stream
}

fn echoes(stream: &mut TcpStream) {
    stream.write_all(b"ping").unwrap();
    let mut heard = [0; 4];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"ping");
}

#[test]
fn an_upgraded_connection_lasts_until_the_kill_timeout() {
    // One app ends at the signal, the other one has to be killed.
    for (text, n_timeouts) in [("", 1), ("process.on('SIGINT', () => {});", 2)] {
        let home = TestHome::new();
        home.start();
        let mut client = home.client();
        let port = free_port();
        let before = pid_of(&client.start(lasting(&home, port, text)));
        let mut stream = upgraded(port);
        echoes(&mut stream);
        let since = Instant::now();
        let after = post_reload(&home, &mut client);
        echoes(&mut stream);
        assert_eq!(ask_once(port), Ok(after));
        assert!(is_alive(before));
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(rest, b"");
        assert!(since.elapsed() >= KILL_TIMEOUT * n_timeouts, "{text}: {:?}", since.elapsed());
        client.reply();
        assert!(!is_alive(before));
        assert_eq!(ask_once(port), Ok(after));
    }
}

#[test]
fn an_upgraded_connection_that_its_client_ends_does_not_hold_the_reload_up() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let port = free_port();
    let mut app = lasting(&home, port, "");
    app["kill_timeout"] = json!(60_000);
    let before = pid_of(&client.start(app));
    let mut stream = upgraded(port);
    post_reload(&home, &mut client);
    echoes(&mut stream);
    drop(stream);
    client.reply();
    assert!(!is_alive(before));
}

#[test]
fn a_request_has_as_long_as_the_kill_timeout() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let port = free_port();
    let before = pid_of(&client.start(lasting(&home, port, "")));
    let load = Load::start(port, Style::KeepAlive, 4);
    let ask = |path: &'static str, keep| {
        let mut connection = Connection::open(port).unwrap();
        std::thread::spawn(move || connection.ask(path, keep, DEADLINE))
    };
    let shorter = [ask("/slow/1200", false), ask("/slow/1200", true)];
    let longer = ask("/slow/60000", false);
    until("the worker has them", || std::fs::read(home.path("slow")).is_ok_and(|seen| seen.len() == 3));
    let since = Instant::now();
    reload(&mut client, 0).unwrap();
    assert!(since.elapsed() >= KILL_TIMEOUT, "{:?}", since.elapsed());
    for shorter in shorter {
        let (body, _) = shorter.join().unwrap().unwrap();
        assert_eq!(body, format!("{before} {port} /slow/1200"));
    }
    let longer = longer.join().unwrap();
    assert!(matches!(longer, Err(Failure::Cut { .. })), "{longer:?}");
    assert!(!is_alive(before));
    assert_eq!(load.end().failures, []);
}

/// Its answer said that the connection is kept, as it was under way when the reload began.
#[test]
fn a_busy_connection_is_closed_once_it_is_idle() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let port = free_port();
    // As behind a load balancer: Node would close it after 5 s.
    let mut app = lasting(&home, port, "server.keepAliveTimeout = 120_000;");
    app["kill_timeout"] = json!(60_000);
    let before = pid_of(&client.start(app));
    let mut connection = Connection::open(port).unwrap();
    let asked = std::thread::spawn(move || {
        connection.ask("/slow/2000", true, DEADLINE).unwrap();
        connection
    });
    until("the worker has it", || home.path("slow").exists());
    reload(&mut client, 0).unwrap();
    assert!(!is_alive(before));
    drop(asked.join().unwrap());
}

/// Whoever has an answer from a worker that leaves does not ask it again, or the next answer might come too late.
#[test]
fn requests_that_take_most_of_the_kill_timeout_are_not_lost() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let port = free_port();
    let mut app = home.cluster("web", SERVER, port, 2);
    app["env"]["DELAY"] = json!("1200");
    app["kill_timeout"] = json!(2000);
    client.start_all(app);
    let load = Load::start(port, Style::KeepAlive, 16);
    for _ in 0..2 {
        load.wait_for_progress(16, 1);
        for id in [0, 1] {
            reload(&mut client, id).unwrap();
        }
    }
    load.wait_for_round();
    assert_eq!(load.end().failures, []);
}
