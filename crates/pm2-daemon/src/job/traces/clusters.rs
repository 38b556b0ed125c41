//! Reloads, and workers that come and go.

use serde_json::{Value, json};
use tokio::join;

use super::stage::trace_with;
use super::{Stage, trace};
use crate::host::scripted::Script;

const READY: &str = "\"ready\"";

fn worker(listens: u64) -> Script {
    Script::new().comes_online(10).listens(listens).drains(300)
}

fn options(stage: &Stage, more: Value) -> Value {
    let mut options =
        json!({"exec_mode": "cluster_mode", "exec_interpreter": stage.node(), "scheduling_policy": "rr"});
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

/// Starts an app and lets it come to rest.
async fn serve(stage: &Stage, name: &str, more: Value) {
    stage.start(name, options(stage, more)).await;
    stage.pass(5000).await;
}

#[test]
fn reload() {
    trace("reload", async |stage| {
        stage.script("web", [worker(50), worker(700)]);
        serve(stage, "web", json!({})).await;
        stage.reload(0).await;
        stage.pass(1000).await;
    });
}

#[test]
fn reload_of_a_crash() {
    trace("reload-of-a-crash", async |stage| {
        stage.script("web", [worker(50), Script::new().comes_online(10).exits(200, 1)]);
        serve(stage, "web", json!({})).await;
        stage.reload(0).await;
        stage.pass(10_000).await;
    });
}

#[test]
fn reload_that_takes_too_long() {
    trace("reload-that-takes-too-long", async |stage| {
        stage.script("web", [worker(50), worker(3500)]);
        serve(stage, "web", json!({})).await;
        stage.reload(0).await;
        stage.pass(10_000).await;
    });
}

#[test]
fn reload_that_cannot_start() {
    trace("reload-that-cannot-start", async |stage| {
        stage.script("web", [worker(50), Script::refused(libc::EAGAIN)]);
        serve(stage, "web", json!({})).await;
        stage.reload(0).await;
        stage.pass(1000).await;
    });
}

#[test]
fn reload_with_wait_ready() {
    trace("reload-with-wait-ready", async |stage| {
        stage.script("web", [worker(50).says(80, READY), worker(100).says(1500, READY)]);
        serve(stage, "web", json!({"wait_ready": true})).await;
        stage.reload(0).await;
    });
}

#[test]
fn reload_never_ready() {
    trace("reload-never-ready", async |stage| {
        stage.script("web", [worker(50).says(80, READY), worker(100)]);
        serve(stage, "web", json!({"wait_ready": true, "listen_timeout": 900})).await;
        stage.reload(0).await;
    });
}

/// Nothing tells when it serves.
#[test]
fn reload_of_a_worker_that_does_not_listen() {
    trace("reload-of-a-worker-that-does-not-listen", async |stage| {
        stage.script("job", [Script::new().comes_online(10)]);
        serve(stage, "job", json!({"listen_timeout": 1000})).await;
        stage.reload(0).await;
        stage.pass(1000).await;
    });
}

/// PM2's way.
#[test]
fn blind_reload() {
    trace_with("blind-reload", &[("PM2_RS_BLIND_RELOAD", "1")], async |stage| {
        stage.script("web", [worker(50), Script::new().comes_online(10).exits(200, 1), worker(50)]);
        serve(stage, "web", json!({})).await;
        stage.reload(0).await;
        stage.pass(1000).await;
    });
}

#[test]
fn reload_of_a_worker_that_does_not_drain() {
    trace("reload-of-a-worker-that-does-not-drain", async |stage| {
        let stubborn = Script::new().comes_online(10).listens(50).ignores(libc::SIGINT);
        stage.script("web", [stubborn, worker(50)]);
        serve(stage, "web", json!({"kill_timeout": 800})).await;
        stage.reload(0).await;
    });
}

#[test]
fn soft_reload() {
    trace("soft-reload", async |stage| {
        let polite = Script::new().comes_online(10).listens(50).shuts_down(2000, 0);
        stage.script("web", [polite, worker(50)]);
        serve(stage, "web", json!({})).await;
        stage.soft_reload(0).await;
    });
}

#[test]
fn soft_reload_ignored() {
    trace("soft-reload-ignored", async |stage| {
        stage.script("web", [Script::new().comes_online(10).listens(50), worker(50)]);
        serve(stage, "web", json!({})).await;
        stage.soft_reload(0).await;
    });
}

#[test]
fn reload_and_reload() {
    trace("reload-and-reload", async |stage| {
        stage.script("web", [worker(50), worker(500)]);
        serve(stage, "web", json!({})).await;
        join!(stage.reload(0), stage.reload(0));
        stage.pass(1000).await;
    });
}

#[test]
fn stop_during_reload() {
    trace("stop-during-reload", async |stage| {
        stage.script("web", [worker(50), worker(500)]);
        serve(stage, "web", json!({})).await;
        join!(stage.reload(0), async {
            stage.pass(200).await;
            stage.stop(0).await;
        });
    });
}

#[test]
fn stop_while_the_old_worker_drains() {
    trace("stop-while-the-old-worker-drains", async |stage| {
        let slow = Script::new().comes_online(10).listens(50).obeys(libc::SIGINT, 100, 0);
        stage.script("web", [slow, worker(50)]);
        serve(stage, "web", json!({})).await;
        join!(stage.reload(0), async {
            stage.pass(200).await;
            stage.stop(0).await;
        });
    });
}

#[test]
fn restart_during_reload() {
    trace("restart-during-reload", async |stage| {
        stage.script("web", [worker(50), worker(500), worker(50)]);
        serve(stage, "web", json!({})).await;
        join!(stage.reload(0), async {
            stage.pass(200).await;
            stage.restart(0).await;
        });
    });
}

#[test]
fn crash_during_reload() {
    trace("crash-during-reload", async |stage| {
        stage.script("web", [worker(50).exits(5200, 1), worker(500)]);
        stage.start("web", options(stage, json!({}))).await;
        stage.until(5000).await;
        stage.reload(0).await;
        stage.pass(1000).await;
    });
}

/// Both at once.
#[test]
fn crash_of_both_during_reload() {
    trace("crash-of-both-during-reload", async |stage| {
        stage.script("web", [worker(50).exits(5200, 1), worker(500).exits(300, 2), worker(50)]);
        stage.start("web", options(stage, json!({}))).await;
        stage.until(5000).await;
        stage.reload(0).await;
        stage.pass(1000).await;
    });
}

#[test]
fn reload_of_a_fork_app() {
    trace("reload-of-a-fork-app", async |stage| {
        stage.script("web", [Script::new().obeys(libc::SIGINT, 100, 0)]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
        stage.reload(0).await;
    });
}

#[test]
fn reload_of_a_stopped_app() {
    trace("reload-of-a-stopped-app", async |stage| {
        stage.script("web", [worker(50)]);
        serve(stage, "web", json!({})).await;
        stage.stop(0).await;
        stage.pass(1000).await;
        stage.reload(0).await;
    });
}

#[test]
fn worker_crash() {
    trace("worker-crash", async |stage| {
        stage.script("web", [worker(50).exits(2000, 1), worker(50)]);
        serve(stage, "web", json!({"instances": 2})).await;
    });
}

/// Others go on serving, so that it has time for its clients.
#[test]
fn scale_down_of_workers() {
    trace("scale-down-of-workers", async |stage| {
        stage.script("web", [worker(50)]);
        serve(stage, "web", json!({"instances": 2})).await;
        stage.delete(0).await;
        stage.pass(1000).await;
        // Nobody goes on.
        stage.delete(1).await;
    });
}

#[test]
fn the_daemon_ends_during_a_reload() {
    trace("the-daemon-ends-during-a-reload", async |stage| {
        stage.script("web", [worker(50).ignores(libc::SIGINT), worker(2000)]);
        serve(stage, "web", json!({})).await;
        join!(stage.reload(0), async {
            stage.pass(200).await;
            stage.note("the daemon ends");
            stage.supervisor.context.begin_end();
            stage.supervisor.delete_all().await;
        });
        stage.note("all are gone");
    });
}
