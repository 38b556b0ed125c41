//! Starts that fail, and the end of the daemon.

use serde_json::json;
use tokio::join;

use super::trace;
use crate::host::scripted::Script;

#[test]
fn a_first_start_that_fails() {
    trace("a-first-start-that-fails", async |stage| {
        stage.script("web", [Script::refused(libc::EACCES), Script::new()]);
        stage.start("web", json!({})).await;
        stage.pass(60_000).await;
        stage.start_again(0).await;
    });
}

#[test]
fn a_missing_interpreter() {
    trace("a-missing-interpreter", async |stage| {
        stage.script("web", [Script::new()]);
        stage.start("web", json!({"exec_interpreter": "no-such-interpreter"})).await;
        stage.restart_with(0, json!({"exec_interpreter": "none"})).await;
    });
}

#[test]
fn a_missing_folder() {
    trace("a-missing-folder", async |stage| {
        stage.script("web", [Script::new()]);
        let folder = stage.home.join("current");
        stage.start("web", json!({"pm_cwd": folder})).await;
        std::fs::create_dir(&folder).unwrap();
        stage.restart(0).await;
    });
}

/// PM2 keeps no entry, but its id is used up.
#[test]
fn logs_that_cannot_be_opened() {
    trace("logs-that-cannot-be-opened", async |stage| {
        stage.script("web", [Script::new()]);
        std::fs::create_dir(stage.home.join("a-folder")).unwrap();
        let path = stage.home.join("a-folder");
        stage.script("other", [Script::new()]);
        stage.start("other", json!({})).await;
        stage.start("web", json!({"pm_out_log_path": path})).await;
        stage.start("web", json!({})).await;
    });
}

#[test]
fn a_restart_that_fails_is_tried_again() {
    trace("a-restart-that-fails-is-tried-again", async |stage| {
        let refused = Script::refused(libc::ENOENT);
        let scripts =
            [Script::new().exits(2000, 1), refused.clone(), refused.clone(), refused, Script::new()];
        stage.script("web", scripts);
        stage.start("web", json!({})).await;
        stage.pass(10_000).await;
    });
}

#[test]
fn restarts_that_fail_are_given_up() {
    trace("restarts-that-fail-are-given-up", async |stage| {
        stage.script("web", [Script::new().exits(2000, 1), Script::refused(libc::ENOENT)]);
        stage.start("web", json!({"max_restarts": 5})).await;
        stage.pass(10_000).await;
        stage.restart(0).await;
    });
}

#[test]
fn a_restart_by_a_client_that_fails() {
    trace("a-restart-by-a-client-that-fails", async |stage| {
        stage.script("web", [Script::new(), Script::refused(libc::EMFILE), Script::new()]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
        stage.restart(0).await;
        stage.pass(60_000).await;
        stage.restart(0).await;
    });
}

#[test]
fn an_announced_end() {
    trace("an-announced-end", async |stage| {
        stage.script("web", [Script::new().exits(3000, 1)]);
        stage.script("job", [Script::new().exits(1500, 1)]);
        stage.script("other", [Script::new()]);
        stage.start("web", json!({})).await;
        stage.start("job", json!({"restart_delay": 1000})).await;
        stage.start("other", json!({})).await;
        stage.until(2000).await;
        stage.note("the end is announced");
        stage.supervisor.context.announce_end();
        stage.restart(2).await;
        stage.reload(2).await;
        stage.pass(5000).await;
        stage.start_again(0).await;
    });
}

#[test]
fn the_end_of_the_daemon() {
    trace("the-end-of-the-daemon", async |stage| {
        stage.script("quick", [Script::new().obeys(libc::SIGINT, 20, 0)]);
        stage.script("slow", [Script::new().ignores(libc::SIGINT)]);
        stage.script("crashed", [Script::new().exits(100, 1)]);
        stage.start("quick", json!({})).await;
        stage.start("slow", json!({})).await;
        stage.start("crashed", json!({"restart_delay": 60_000})).await;
        stage.pass(5000).await;
        stage.note("the daemon ends");
        stage.supervisor.context.begin_end();
        join!(stage.supervisor.delete_all(), async {
            stage.pass(100).await;
            stage.start("late", json!({})).await;
            stage.start_again(1).await;
        });
        stage.note("all are gone");
    });
}

/// A second signal to the daemon.
#[test]
fn a_hurried_end_of_the_daemon() {
    trace("a-hurried-end-of-the-daemon", async |stage| {
        stage.script("slow", [Script::new().ignores(libc::SIGINT)]);
        stage.start("slow", json!({"kill_timeout": 60_000})).await;
        stage.pass(5000).await;
        stage.note("the daemon ends");
        stage.supervisor.context.begin_end();
        join!(stage.supervisor.delete_all(), async {
            stage.pass(700).await;
            stage.note("somebody has lost patience");
            stage.supervisor.context.hurry();
        });
        stage.note("all are gone");
    });
}

#[test]
fn the_end_of_the_daemon_during_a_launch() {
    trace("the-end-of-the-daemon-during-a-launch", async |stage| {
        stage.script("web", [Script::new()]);
        join!(stage.start("web", json!({"wait_ready": true})), async {
            stage.pass(100).await;
            stage.note("the daemon ends");
            stage.supervisor.context.begin_end();
            stage.supervisor.delete_all().await;
        });
        stage.note("all are gone");
    });
}
