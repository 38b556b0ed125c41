//! Node apps in cluster mode, whose primary is the daemon.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

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
