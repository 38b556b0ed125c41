//! What clients ask for while something else goes on, and at the same time.

use serde_json::json;
use tokio::join;

use super::{Stage, trace};
use crate::host::scripted::Script;
use crate::job::Command;
use crate::sys::Signal;

/// An app that has crashed and waits for its restart, from 100 to 1100 ms.
async fn waiting(stage: &Stage) {
    stage.script("web", [Script::new().exits(100, 1), Script::new()]);
    stage.start("web", json!({"restart_delay": 1000})).await;
    stage.pass(600).await;
}

#[test]
fn stop_while_waiting() {
    trace("stop-while-waiting", async |stage| {
        waiting(stage).await;
        stage.stop(0).await;
        stage.pass(5000).await;
    });
}

#[test]
fn start_while_waiting() {
    trace("start-while-waiting", async |stage| {
        waiting(stage).await;
        stage.start_again(0).await;
        stage.pass(5000).await;
    });
}

#[test]
fn restart_while_waiting() {
    trace("restart-while-waiting", async |stage| {
        waiting(stage).await;
        stage.restart(0).await;
        stage.pass(5000).await;
    });
}

#[test]
fn delete_while_waiting() {
    trace("delete-while-waiting", async |stage| {
        waiting(stage).await;
        stage.delete(0).await;
        stage.pass(5000).await;
    });
}

#[test]
fn others_while_waiting() {
    trace("others-while-waiting", async |stage| {
        waiting(stage).await;
        stage.command("signal SIGTERM to 0", 0, Command::Signal(Signal(libc::SIGTERM))).await;
        stage.command("message to 0", 0, Command::Message("1".to_owned())).await;
        stage.command("input to 0", 0, Command::Input("x".to_owned())).await;
        stage.reset(0).await;
        stage.pass(5000).await;
    });
}

#[test]
fn reload_while_waiting() {
    trace("reload-while-waiting", async |stage| {
        waiting(stage).await;
        stage.reload(0).await;
        stage.pass(5000).await;
    });
}

/// A stopped app that two clients act on at the same moment.
async fn stopped(stage: &Stage) {
    stage.script("web", [Script::new().obeys(libc::SIGINT, 200, 0)]);
    stage.start("web", json!({})).await;
    stage.pass(5000).await;
    stage.stop(0).await;
    stage.pass(1000).await;
}

/// A running app that two clients act on at the same moment.
async fn running(stage: &Stage) {
    stage.script("web", [Script::new().obeys(libc::SIGINT, 200, 0)]);
    stage.start("web", json!({})).await;
    stage.pass(5000).await;
}

#[test]
fn start_and_start() {
    trace("start-and-start", async |stage| {
        stopped(stage).await;
        join!(stage.start_again(0), stage.start_again(0));
    });
}

#[test]
fn stop_and_restart() {
    trace("stop-and-restart", async |stage| {
        running(stage).await;
        join!(stage.stop(0), stage.restart(0));
    });
}

#[test]
fn restart_and_stop() {
    trace("restart-and-stop", async |stage| {
        running(stage).await;
        join!(stage.restart(0), stage.stop(0));
    });
}

#[test]
fn restart_and_restart() {
    trace("restart-and-restart", async |stage| {
        running(stage).await;
        join!(stage.restart(0), stage.restart(0));
    });
}

#[test]
fn delete_and_restart() {
    trace("delete-and-restart", async |stage| {
        running(stage).await;
        join!(stage.delete(0), stage.restart(0));
    });
}

#[test]
fn restart_and_delete() {
    trace("restart-and-delete", async |stage| {
        running(stage).await;
        join!(stage.restart(0), stage.delete(0));
    });
}

#[test]
fn delete_and_delete() {
    trace("delete-and-delete", async |stage| {
        running(stage).await;
        join!(stage.delete(0), stage.delete(0));
    });
}

#[test]
fn delete_and_stop() {
    trace("delete-and-stop", async |stage| {
        running(stage).await;
        join!(stage.delete(0), stage.stop(0));
    });
}

#[test]
fn start_of_a_running_app() {
    trace("start-of-a-running-app", async |stage| {
        running(stage).await;
        stage.start_again(0).await;
    });
}

#[test]
fn restart_of_a_stopped_app() {
    trace("restart-of-a-stopped-app", async |stage| {
        stopped(stage).await;
        stage.restart(0).await;
    });
}

#[test]
fn restart_with_other_options() {
    trace("restart-with-other-options", async |stage| {
        let polite = Script::new().ignores(libc::SIGINT);
        stage.script("web", [polite]);
        stage.start("web", json!({"kill_timeout": 300})).await;
        stage.pass(5000).await;
        // What is written down now holds for the next end, not for this one.
        stage.restart_with(0, json!({"kill_timeout": 900})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
    });
}

#[test]
fn restart_with_what_cannot_be() {
    trace("restart-with-what-cannot-be", async |stage| {
        running(stage).await;
        stage.restart_with(0, json!({"name": ""})).await;
    });
}

#[test]
fn autostart_off() {
    trace("autostart-off", async |stage| {
        stage.script("web", [Script::new()]);
        stage.start("web", json!({"autostart": false})).await;
        stage.pass(5000).await;
        stage.start_again(0).await;
    });
}

#[test]
fn reset() {
    trace("reset", async |stage| {
        stage.script("web", [Script::new().exits(100, 1), Script::new().exits(100, 1), Script::new()]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
        stage.reset(0).await;
    });
}

#[test]
fn scale() {
    trace("scale", async |stage| {
        stage.script("web", [Script::new().obeys(libc::SIGINT, 100, 0)]);
        stage.start("web", json!({"instances": 2})).await;
        stage.pass(5000).await;
        stage.duplicate(0).await;
        stage.pass(1000).await;
        stage.delete(0).await;
        stage.pass(1000).await;
        stage.duplicate(1).await;
        for id in [1, 2, 3] {
            stage.delete(id).await;
        }
        // The table was empty.
        stage.start("web", json!({})).await;
    });
}
