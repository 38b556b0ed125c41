//! Node apps in cluster mode, whose primary is the daemon: workers share a port, which is theirs as long as they need it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use serde_json::json;
use support::load::{SERVER, ask_once, free_port, is_free, is_refused, pid_of, pids};
use support::{TestHome, send, until};

#[test]
fn two_workers_share_a_port() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let port = free_port();
    let started = client.start_all(home.cluster("web", SERVER, port, 2));
    for entry in &started {
        let state = (&entry["pm2_env"]["exec_mode"], &entry["pm2_env"]["status"]);
        assert_eq!(state, (&json!("cluster_mode"), &json!("online")));
    }
    let workers = pids(&mut client);
    assert_eq!((started.len(), workers.len()), (2, 2));
    let mut served = BTreeSet::new();
    until("both have served", || {
        served.insert(ask_once(port).expect("every connection is served"));
        served.len() == 2
    });
    assert_eq!(served, workers);

    // The other one goes on while one is being restarted; what that one had accepted is lost with it.
    client.post("restartProcessId", &json!([{"id": 0, "env": {}}]));
    let mut other = home.client();
    let mut n_served = 0;
    until("it is restarted", || {
        n_served += usize::from(ask_once(port).is_ok());
        let entry = other.entry(0);
        entry["pm2_env"]["restart_time"] == 1 && entry["pm2_env"]["status"] == "online"
    });
    client.reply();
    assert!(n_served > 0);
    for _ in 0..50 {
        ask_once(port).expect("every connection is served again");
    }

    // A crash is followed by a restart, and the port stays.
    send(pid_of(&other.entry(1)), Signal::SIGKILL).unwrap();
    other.until("restarted", 1, |entry| {
        entry["pm2_env"]["restart_time"] == 1 && entry["pm2_env"]["status"] == "online"
    });
    let now = pids(&mut other);
    let mut served = BTreeSet::new();
    until("both serve again", || {
        served.extend(ask_once(port).ok());
        served.is_superset(&now)
    });

    // Nobody listens when all are gone, and the port is free.
    for id in [0, 1] {
        other.call("deleteProcessId", json!(id)).unwrap();
    }
    assert!(is_refused(port));
    assert!(is_free(port));
}

/// Starts and stops an app again and again; whoever hears that it is stopped can have its port.
fn stop_frees_the_port(n_rounds: usize) {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let port = free_port();
    client.start_all(home.cluster("web", SERVER, port, 2));
    for round in 0..n_rounds {
        ask_once(port).unwrap();
        for id in [0, 1] {
            client.call("stopProcessId", json!(id)).unwrap();
        }
        assert!(is_free(port), "round {round}");
        for id in [0, 1] {
            client.call("startProcessId", json!(id)).unwrap();
        }
    }
}

#[test]
fn the_port_is_free_once_stop_has_answered() {
    stop_frees_the_port(10);
}

#[test]
#[ignore = "takes long"]
fn the_port_is_free_once_stop_has_answered_a_hundred_times() {
    stop_frees_the_port(100);
}

#[test]
fn a_short_wait_for_the_restart_keeps_clients_waiting_and_a_long_one_does_not() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let port = free_port();
    let mut app = home.cluster("web", SERVER, port, 1);
    app["restart_delay"] = json!(1500);
    let pid = pid_of(&client.start(app.clone()));
    send(pid, Signal::SIGKILL).unwrap();
    client.until_status(0, "waiting restart");
    let answered_by = ask_once(port).expect("the successor answers");
    assert_eq!(answered_by, pid_of(&client.until_status(0, "online")));
    client.call("deleteProcessId", json!(0)).unwrap();

    app["restart_delay"] = json!(60_000);
    let pid = pid_of(&client.start(app));
    assert_eq!(ask_once(port), Ok(pid));
    send(pid, Signal::SIGKILL).unwrap();
    client.until_status(0, "waiting restart");
    until("it is refused", || is_refused(port));
    assert!(is_free(port));
    let back = client.call("restartProcessId", json!({"id": 0, "env": {}})).unwrap();
    assert_eq!(ask_once(port), Ok(pid_of(&back)));
}

#[test]
fn other_workers_keep_the_port_during_a_long_back_off_of_one() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let port = free_port();
    let mut app = home.cluster("web", SERVER, port, 2);
    app["restart_delay"] = json!(60_000);
    let started = client.start_all(app);
    send(pid_of(&started[0]), Signal::SIGKILL).unwrap();
    client.until_status(0, "waiting restart");
    for _ in 0..50 {
        assert_eq!(ask_once(port), Ok(pid_of(&started[1])));
    }
    send(pid_of(&started[1]), Signal::SIGKILL).unwrap();
    client.until_status(1, "waiting restart");
    until("it is refused", || is_refused(port));
}

#[test]
fn an_app_that_was_given_up_refuses_connections() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let port = free_port();
    // It comes up once, and never again.
    let text = format!(
        "const mark = `${{__filename}}.mark`;
        if (require('fs').existsSync(mark)) process.exit(1);
        require('fs').writeFileSync(mark, '');
        {SERVER}"
    );
    let mut app = home.cluster("web", &text, port, 1);
    app["max_restarts"] = json!(3);
    let pid = pid_of(&client.start(app));
    assert_eq!(ask_once(port), Ok(pid));
    send(pid, Signal::SIGKILL).unwrap();
    client.until_status(0, "errored");
    until("it is refused", || is_refused(port));
    assert!(is_free(port));
}
