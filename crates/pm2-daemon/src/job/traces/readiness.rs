//! When a process counts as started.

use serde_json::json;
use tokio::join;

use super::stage::trace_with;
use super::trace;
use crate::host::scripted::Script;

const READY: &str = "\"ready\"";

#[test]
fn ready() {
    trace("ready", async |stage| {
        stage.script("web", [Script::new().says(1200, READY)]);
        stage.start("web", json!({"wait_ready": true})).await;
    });
}

#[test]
fn ready_too_late() {
    trace("ready-too-late", async |stage| {
        stage.script("web", [Script::new().says(3001, READY)]);
        stage.start("web", json!({"wait_ready": true})).await;
        stage.pass(10).await;
    });
}

#[test]
fn ready_in_the_last_moment() {
    trace("ready-in-the-last-moment", async |stage| {
        stage.script("web", [Script::new().says(2999, READY)]);
        stage.start("web", json!({"wait_ready": true})).await;
    });
}

/// Only with `wait_ready` does anybody wait for it.
#[test]
fn ready_unasked() {
    trace("ready-unasked", async |stage| {
        stage.script("web", [Script::new().says(100, READY)]);
        stage.start("web", json!({})).await;
        stage.pass(200).await;
    });
}

#[test]
fn exit_before_ready() {
    trace("exit-before-ready", async |stage| {
        stage.script("web", [Script::new().exits(400, 1), Script::new().says(50, READY)]);
        stage.start("web", json!({"wait_ready": true})).await;
        stage.pass(1000).await;
    });
}

#[test]
fn listen_timeout() {
    trace("listen-timeout", async |stage| {
        stage.script("web", [Script::new()]);
        stage.start("web", json!({"wait_ready": true, "listen_timeout": 700})).await;
    });
}

#[test]
fn listen_timeout_of_the_daemon() {
    trace_with("listen-timeout-of-the-daemon", &[("PM2_GRACEFUL_LISTEN_TIMEOUT", "500")], async |stage| {
        stage.script("web", [Script::new()]);
        // 0 is the daemon's.
        stage.start("web", json!({"wait_ready": true, "listen_timeout": 0})).await;
    });
}

#[test]
fn worker_online() {
    trace("worker-online", async |stage| {
        stage.script("web", [Script::new().comes_online(80)]);
        stage.start("web", json!({"exec_mode": "cluster_mode", "exec_interpreter": stage.node()})).await;
    });
}

#[test]
fn worker_never_online() {
    trace("worker-never-online", async |stage| {
        stage.script("web", [Script::new()]);
        stage.start("web", json!({"exec_mode": "cluster_mode", "exec_interpreter": stage.node()})).await;
    });
}

/// The word counts, not the module.
#[test]
fn worker_ready() {
    trace("worker-ready", async |stage| {
        stage.script("web", [Script::new().comes_online(80).listens(90).says(500, READY)]);
        let options =
            json!({"exec_mode": "cluster_mode", "exec_interpreter": stage.node(), "wait_ready": true});
        stage.start("web", options).await;
    });
}

#[test]
fn worker_dies_before_it_is_online() {
    trace("worker-dies-before-it-is-online", async |stage| {
        stage.script("web", [Script::new().exits(40, 1), Script::new().comes_online(30)]);
        stage.start("web", json!({"exec_mode": "cluster_mode", "exec_interpreter": stage.node()})).await;
        stage.pass(100).await;
    });
}

#[test]
fn stop_while_launching() {
    trace("stop-while-launching", async |stage| {
        stage.script("web", [Script::new().obeys(libc::SIGINT, 50, 0)]);
        join!(stage.start("web", json!({"wait_ready": true})), async {
            stage.pass(500).await;
            stage.stop(0).await;
        });
        stage.pass(5000).await;
    });
}

#[test]
fn restart_while_launching() {
    trace("restart-while-launching", async |stage| {
        stage.script("web", [Script::new().ignores(libc::SIGINT), Script::new().says(200, READY)]);
        join!(stage.start("web", json!({"wait_ready": true, "kill_timeout": 300})), async {
            stage.pass(500).await;
            stage.restart(0).await;
        });
        stage.pass(5000).await;
    });
}

#[test]
fn delete_while_launching() {
    trace("delete-while-launching", async |stage| {
        stage.script("web", [Script::new()]);
        join!(stage.start("web", json!({"wait_ready": true})), async {
            stage.pass(500).await;
            stage.delete(0).await;
        });
        stage.pass(5000).await;
    });
}

#[test]
fn messages_while_launching() {
    trace("messages-while-launching", async |stage| {
        stage.script(
            "web",
            [Script::new().says(100, r#"{"loaded":1}"#).says(300, READY).says(300, "\"later\"")],
        );
        stage.start("web", json!({"wait_ready": true})).await;
    });
}
