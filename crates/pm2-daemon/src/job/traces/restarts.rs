//! What follows an end that nobody has asked for.

use serde_json::json;

use super::trace;
use crate::host::scripted::Script;

const DONE: &str = r#"{"cmd":"NODE_PM2RS","act":"done"}"#;

#[test]
fn autorestart() {
    trace("autorestart", async |stage| {
        let first = Script::new().writes(10, "hello\n").exits(5000, 1);
        stage.script("web", [first, Script::new().exits(2000, 0), Script::new()]);
        stage.start("web", json!({})).await;
        stage.pass(10_000).await;
    });
}

#[test]
fn autorestart_off() {
    trace("autorestart-off", async |stage| {
        stage.script("job", [Script::new().exits(100, 3)]);
        // A delay does not make it wait for what never comes.
        stage.start("job", json!({"autorestart": false, "restart_delay": 500})).await;
        stage.pass(1000).await;
        stage.start_again(0).await;
        stage.pass(1000).await;
    });
}

#[test]
fn autorestart_off_as_text() {
    trace("autorestart-off-as-text", async |stage| {
        stage.script("job", [Script::new().exits(100, 0)]);
        stage.start("job", json!({"autorestart": "false", "exp_backoff_restart_delay": 100})).await;
        stage.pass(1000).await;
    });
}

#[test]
fn max_restarts() {
    trace("max-restarts", async |stage| {
        stage.script("web", [Script::new().exits(50, 1)]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
    });
}

#[test]
fn max_restarts_of_the_app() {
    trace("max-restarts-of-the-app", async |stage| {
        stage.script("web", [Script::new().exits(200, 1)]);
        stage.start("web", json!({"max_restarts": 3, "min_uptime": 500, "restart_delay": 100})).await;
        stage.pass(5000).await;
    });
}

#[test]
fn max_restarts_zero() {
    trace("max-restarts-zero", async |stage| {
        stage.script("web", [Script::new().exits(5000, 1)]);
        stage.start("web", json!({"max_restarts": 0})).await;
        stage.pass(6000).await;
    });
}

#[test]
fn min_uptime() {
    trace("min-uptime", async |stage| {
        let lives = [299, 300, 301, 299];
        stage.script("web", lives.map(|ms| Script::new().exits(ms, 1)).into_iter().chain([Script::new()]));
        stage.start("web", json!({"min_uptime": 300})).await;
        stage.pass(2000).await;
    });
}

#[test]
fn unstable_restarts_are_reset() {
    trace("unstable-restarts-are-reset", async |stage| {
        let crash = Script::new().exits(100, 1);
        let stays = Script::new().obeys(libc::SIGINT, 10, 0);
        let scripts =
            [crash.clone(), crash.clone(), stays.clone(), crash.clone(), stays.clone(), crash, stays];
        stage.script("web", scripts);
        stage.start("web", json!({})).await;
        stage.pass(1000).await;
        stage.restart(0).await;
        stage.pass(1000).await;
        stage.reset(0).await;
        stage.pass(1000).await;
        // Before its `min_uptime`: counted, and then forgotten by the restart itself.
        stage.restart(0).await;
        stage.pass(100).await;
        stage.restart(0).await;
    });
}

#[test]
fn stops_count_as_unstable() {
    trace("stops-count-as-unstable", async |stage| {
        stage.script("web", [Script::new().obeys(libc::SIGINT, 10, 0)]);
        stage.start("web", json!({})).await;
        stage.pass(300).await;
        stage.stop(0).await;
        stage.start_again(0).await;
        stage.pass(300).await;
        stage.stop(0).await;
        stage.start_again(0).await;
    });
}

#[test]
fn errored_apps_are_woken() {
    trace("errored-apps-are-woken", async |stage| {
        let crash = Script::new().exits(50, 1);
        let scripts = std::iter::repeat_n(crash, 6).chain([Script::new()]);
        stage.script("web", scripts);
        stage.start("web", json!({"max_restarts": 2})).await;
        stage.pass(1000).await;
        stage.start_again(0).await;
        stage.pass(1000).await;
        stage.restart(0).await;
        stage.pass(1000).await;
        stage.restart(0).await;
        stage.pass(1000).await;
    });
}

#[test]
fn errored_apps_are_stopped() {
    trace("errored-apps-are-stopped", async |stage| {
        stage.script("web", [Script::new().exits(50, 1)]);
        stage.start("web", json!({"max_restarts": 1})).await;
        stage.pass(1000).await;
        stage.stop(0).await;
        stage.delete(0).await;
    });
}

/// No counter of PM2 bounds that.
#[test]
fn crashes_after_the_window() {
    trace("crashes-after-the-window", async |stage| {
        let crashes = std::iter::repeat_n(Script::new().exits(10, 1), 12);
        let scripts = [Script::new().exits(5000, 1)].into_iter().chain(crashes);
        let recovers = [Script::new().exits(1000, 1), Script::new().exits(10, 1), Script::new()];
        stage.script("web", scripts.chain(recovers));
        stage.start("web", json!({"max_restarts": 4})).await;
        stage.pass(60_000).await;
    });
}

#[test]
fn restart_delay() {
    trace("restart-delay", async |stage| {
        stage.script("web", [Script::new().exits(1500, 1), Script::new().exits(10, 1), Script::new()]);
        stage.start("web", json!({"restart_delay": 700})).await;
        stage.pass(5000).await;
    });
}

#[test]
fn backoff_grows_to_its_cap() {
    trace("backoff-grows-to-its-cap", async |stage| {
        stage.script("web", [Script::new().exits(1, 1)]);
        let options = json!({"exp_backoff_restart_delay": 100, "restart_delay": 7, "max_restarts": 1000, "min_uptime": 1});
        stage.start("web", options).await;
        stage.pass(100_000).await;
    });
}

#[test]
fn backoff_is_reset() {
    trace("backoff-is-reset", async |stage| {
        let crash = Script::new().exits(100, 1);
        let scripts = [
            crash.clone(),
            crash.clone(),
            Script::new().exits(30_000, 1),
            crash.clone(),
            Script::new().exits(30_001, 1),
            crash,
            Script::new(),
        ];
        stage.script("web", scripts);
        stage.start("web", json!({"exp_backoff_restart_delay": 100})).await;
        stage.pass(70_000).await;
        stage.restart(0).await;
    });
}

#[test]
fn backoff_is_reset_by_a_client() {
    trace("backoff-is-reset-by-a-client", async |stage| {
        stage.script("web", [Script::new().exits(100, 1)]);
        stage.start("web", json!({"exp_backoff_restart_delay": 100})).await;
        stage.until(690).await;
        stage.restart(0).await;
        stage.pass(250).await;
    });
}

#[test]
fn stop_exit_codes() {
    trace("stop-exit-codes", async |stage| {
        stage.script(
            "job",
            [Script::new().exits(50, 2), Script::new().exits(50, 0), Script::new().exits(50, 7)],
        );
        stage.start("job", json!({"stop_exit_codes": [0, "7"], "restart_delay": 100})).await;
        stage.pass(1000).await;
        stage.start_again(0).await;
        stage.pass(1000).await;
    });
}

/// A death by signal is no success.
#[test]
fn signals_are_no_exit_codes() {
    trace("signals-are-no-exit-codes", async |stage| {
        let scripts = [Script::new().dies(2000, libc::SIGKILL), Script::new().dies(2000, libc::SIGSEGV)];
        stage.script("job", scripts);
        stage.start("job", json!({"stop_exit_codes": [0, 139]})).await;
        stage.pass(5000).await;
    });
}

/// A Node app that has nothing left to do ends at once; its next run comes when it would have in PM2.
#[test]
fn natural_end() {
    trace("natural-end", async |stage| {
        let done = |at: u64| Script::new().says(at, DONE).exits(at, 0);
        stage.script("job", [done(200), done(4000), done(100), Script::new()]);
        stage.start("job", json!({"exec_interpreter": stage.node(), "max_restarts": 1})).await;
        stage.pass(15_000).await;
    });
}

#[test]
fn natural_end_without_restart() {
    trace("natural-end-without-restart", async |stage| {
        stage.script("job", [Script::new().says(200, DONE).exits(200, 0)]);
        stage.start("job", json!({"exec_interpreter": stage.node(), "stop_exit_codes": [0]})).await;
        stage.pass(5000).await;
    });
}
