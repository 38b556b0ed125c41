//! Node apps in cluster mode, whose primary is the daemon.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::{TestHome, send, until};

const SERVER: &str = "const http = require('http');
    http.createServer((request, response) => {
        response.setHeader('connection', 'close');
        response.end(`${process.pid} ${process.env.NODE_APP_INSTANCE} ${require('cluster').isWorker}`);
    }).listen(Number(process.env.PORT), '127.0.0.1', () => process.send('ready'));";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn server(home: &TestHome, port: u16) -> Value {
    let mut app = home.node("web", SERVER);
    app["exec_mode"] = json!("cluster_mode");
    app["instances"] = json!(2);
    app["merge_logs"] = json!(false);
    app["wait_ready"] = json!(true);
    app["listen_timeout"] = json!(30_000);
    app["env"]["PORT"] = json!(port);
    app
}

/// One request on a connection of its own; the words of the answer, or `None` when it is not served.
fn get(port: u16) -> Option<Vec<String>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200"), "{text}");
    Some(body.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn two_workers_share_a_port() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let port = free_port();
    let started = client.start_all(server(&home, port));
    let pids: BTreeSet<String> = started.iter().map(|entry| entry["pid"].to_string()).collect();
    assert_eq!((started.len(), pids.len()), (2, 2));
    for entry in &started {
        assert_eq!(
            (&entry["pm2_env"]["exec_mode"], &entry["pm2_env"]["status"]),
            (&json!("cluster_mode"), &json!("online"))
        );
    }
    let mut served = BTreeSet::new();
    until("both have served", || {
        let words = get(port).expect("every connection is served");
        assert_eq!(words[2], "true");
        served.insert(words[0].clone());
        served.len() == 2
    });
    assert_eq!(served, pids);

    // The other one goes on while one is being restarted; what that one had accepted is lost with it.
    client.post("restartProcessId", &json!([{"id": 0, "env": {}}]));
    let mut other = home.client();
    let mut n_served = 0;
    until("it is restarted", || {
        n_served += usize::from(get(port).is_some());
        let entry = other.entry(0);
        entry["pm2_env"]["restart_time"] == 1 && entry["pm2_env"]["status"] == "online"
    });
    client.reply();
    assert!(n_served > 0);
    for _ in 0..50 {
        assert!(get(port).is_some(), "every connection is served again");
    }

    // A crash is followed by a restart, and the port stays.
    send(i32::try_from(other.entry(1)["pid"].as_i64().unwrap()).unwrap(), Signal::SIGKILL).unwrap();
    other.until("restarted", 1, |entry| {
        entry["pm2_env"]["restart_time"] == 1 && entry["pm2_env"]["status"] == "online"
    });
    let now: BTreeSet<String> = other.list().iter().map(|entry| entry["pid"].to_string()).collect();
    let mut served = BTreeSet::new();
    until("both serve again", || {
        served.extend(get(port).map(|words| words[0].clone()));
        served.is_superset(&now)
    });

    // Nobody listens when all are gone, and the port is free.
    for id in [0, 1] {
        other.call("deleteProcessId", json!(id)).unwrap();
    }
    assert!(get(port).is_none());
    drop(TcpListener::bind(("127.0.0.1", port)).unwrap());
}

/// One request after the other until told to stop, on a connection of its own each time or on one that is kept.
fn load(port: u16, keep_alive: bool, stop: &AtomicBool, served: &AtomicUsize) -> Vec<String> {
    let mut failures = Vec::new();
    let mut kept: Option<TcpStream> = None;
    while !stop.load(Ordering::Relaxed) {
        match request(port, keep_alive, &mut kept) {
            Ok(()) => drop(served.fetch_add(1, Ordering::Relaxed)),
            Err(error) => failures.push(error.to_string()),
        }
    }
    failures
}

fn request(port: u16, keep_alive: bool, kept: &mut Option<TcpStream>) -> std::io::Result<()> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => TcpStream::connect(("127.0.0.1", port))?,
    };
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
    let connection = if keep_alive { "keep-alive" } else { "close" };
    write!(stream, "GET / HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n")?;
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    let complete = loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Err(std::io::Error::other("closed before the answer was complete"));
        }
        text.extend_from_slice(&chunk[..count]);
        let so_far = String::from_utf8_lossy(&text);
        if let Some((head, body)) = so_far.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(usize::MAX) {
                break head.to_ascii_lowercase();
            }
        }
    };
    if keep_alive && !complete.contains("connection: close") {
        *kept = Some(stream);
    }
    Ok(())
}

const SLOW_SERVER: &str = "const http = require('http');
    http.createServer((request, response) => {
        const text = `${process.pid} x true`;
        setTimeout(() => {
            response.setHeader('content-length', text.length);
            response.end(text);
        }, Number(process.env.DELAY));
    }).listen(Number(process.env.PORT), '127.0.0.1');
    process.on('SIGINT', () => process.exit());";

/// Reloads both workers again and again while clients ask; no request may fail.
fn reload_under_load(keep_alive: bool, delay_ms: u32, n_rounds: u64, n_clients: usize, n_requests: usize) {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let port = free_port();
    let mut app = server(&home, port);
    let script = home.path("slow.cjs");
    std::fs::write(&script, SLOW_SERVER).unwrap();
    app["pm_exec_path"] = json!(script);
    app["env"]["DELAY"] = json!(delay_ms);
    app["wait_ready"] = json!(false);
    let started = client.start_all(app);
    until("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let stop = AtomicBool::new(false);
    let served = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..n_clients).map(|_| scope.spawn(|| load(port, keep_alive, &stop, &served))).collect();
        for round in 1..=n_rounds {
            for entry in &started {
                let id = entry["pm_id"].as_u64().unwrap();
                let before = client.entry(id)["pid"].clone();
                let old = client.call("reloadProcessId", json!({"id": id, "env": {}})).unwrap();
                assert_eq!(old["pm2_env"]["pm_id"], format!("_old_{id}"));
                assert_eq!((&old["pm2_env"]["status"], &old["pid"]), (&json!("stopped"), &json!(0)));
                let now = client.entry(id);
                let state = (&now["pm2_env"]["restart_time"], &now["pm2_env"]["status"]);
                assert_eq!(state, (&json!(round), &json!("online")));
                assert_ne!(now["pid"], before);
                let pid = i32::try_from(before.as_i64().unwrap()).unwrap();
                assert!(!support::is_alive(pid), "the old worker has gone");
            }
        }
        let enough = std::time::Instant::now() + std::time::Duration::from_secs(300);
        while served.load(Ordering::Relaxed) < n_requests && std::time::Instant::now() < enough {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        stop.store(true, Ordering::Relaxed);
        let failures: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        assert_eq!(failures, [""; 0], "keep-alive {keep_alive}, delay {delay_ms}");
        assert!(served.load(Ordering::Relaxed) >= n_requests);
    });
    for entry in &started {
        client.call("deleteProcessId", entry["pm_id"].clone()).unwrap();
    }
    drop(TcpListener::bind(("127.0.0.1", port)).unwrap());
}

#[test]
fn a_reload_under_load_loses_no_request() {
    for (keep_alive, delay_ms) in [(false, 0), (true, 0), (true, 30)] {
        reload_under_load(keep_alive, delay_ms, 2, 8, 50);
    }
}

#[test]
#[ignore = "takes minutes"]
fn twenty_reloads_under_load_lose_no_request() {
    for (keep_alive, delay_ms) in [(false, 0), (false, 30), (true, 0), (true, 30)] {
        reload_under_load(keep_alive, delay_ms, 20, 16, 20_000);
    }
}

#[test]
fn a_bad_new_version_does_not_take_the_service_down() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let port = free_port();
    let mut app = server(&home, port);
    let script = home.path("version.cjs");
    std::fs::write(&script, SERVER).unwrap();
    app["pm_exec_path"] = json!(script);
    app["instances"] = json!(1);
    app["wait_ready"] = json!(false);
    app["listen_timeout"] = json!(1500);
    let before = client.start(app)["pid"].clone();
    until("it listens", || get(port).is_some());
    for bad in
        ["throw new Error('bad')", "setInterval(() => {}, 1000)", "setTimeout(() => process.exit(3), 300)"]
    {
        std::fs::write(&script, bad).unwrap();
        let error = client.call("reloadProcessId", json!({"id": 0, "env": {"NEW": "1"}})).unwrap_err();
        assert!(error.starts_with("Reload aborted: the new process "), "{error}");
        let entry = client.entry(0);
        assert_eq!((&entry["pid"], &entry["pm2_env"]["status"]), (&before, &json!("online")));
        assert_eq!((&entry["pm2_env"]["restart_time"], &entry["pm2_env"]["NEW"]), (&json!(0), &Value::Null));
        assert_eq!(std::fs::read_to_string(home.file("pids/web-0.pid")).unwrap(), before.to_string());
        assert_eq!(get(port).unwrap()[0], before.to_string());
    }
    std::fs::write(&script, SERVER).unwrap();
    client.call("reloadProcessId", json!({"id": 0, "env": {"NEW": "1"}})).unwrap();
    let entry = client.entry(0);
    assert_eq!((&entry["pm2_env"]["restart_time"], &entry["pm2_env"]["NEW"]), (&json!(1), &json!("1")));
    assert_eq!(get(port).unwrap()[0], entry["pid"].to_string());
    // A stop in the middle of a drain ends both, and frees the port.
    let mut other = home.client();
    other.post("reloadProcessId", &json!([{"id": 0, "env": {}}]));
    client.until("replaced", 0, |entry| entry["pm2_env"]["restart_time"] == 2);
    client.call("stopProcessId", json!(0)).unwrap();
    drop(TcpListener::bind(("127.0.0.1", port)).unwrap());
}
