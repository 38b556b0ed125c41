//! What apps are restarted for by themselves: memory, times, files.

use serde_json::json;
use tokio::join;

use super::stage::{Watching, trace_from};
use super::trace;
use crate::host::scripted::Script;
use crate::job::Command;

#[test]
fn memory() {
    trace("memory", async |stage| {
        stage.script("web", [Script::new().obeys(libc::SIGINT, 30, 0).measured(), Script::new()]);
        stage.start("web", json!({"max_memory_restart": 1000})).await;
        stage.pass(60_000).await;
    });
}

#[test]
fn memory_of_a_worker() {
    trace("memory-of-a-worker", async |stage| {
        let first = Script::new().comes_online(10).listens(20).drains(40).measured();
        stage.script("web", [first, Script::new().comes_online(10).listens(200)]);
        let options = json!({
            "max_memory_restart": 1000, "exec_mode": "cluster_mode", "exec_interpreter": stage.node(),
            "scheduling_policy": "rr",
        });
        stage.start("web", options).await;
        stage.pass(60_000).await;
    });
}

/// It goes on with too much rather than not at all, and is not reloaded over and over.
#[test]
fn memory_of_a_worker_without_a_successor() {
    trace("memory-of-a-worker-without-a-successor", async |stage| {
        let first = Script::new().comes_online(10).listens(20).drains(40).measured();
        let fails = Script::new().exits(50, 1);
        stage.script("web", [first, fails.clone(), fails, Script::new().comes_online(10).listens(200)]);
        let options = json!({
            "max_memory_restart": 1000, "exec_mode": "cluster_mode", "exec_interpreter": stage.node(),
            "scheduling_policy": "rr",
        });
        stage.start("web", options).await;
        stage.pass(90_000).await;
    });
}

#[test]
fn cron_with_five_fields() {
    trace("cron-with-five-fields", async |stage| {
        stage.script("web", [Script::new().obeys(libc::SIGINT, 10, 0)]);
        stage.start("web", json!({"cron_restart": "*/20 * * * *"})).await;
        stage.pass(3_700_000).await;
    });
}

#[test]
fn cron_with_six_fields() {
    trace("cron-with-six-fields", async |stage| {
        stage.script("web", [Script::new().obeys(libc::SIGINT, 10, 0)]);
        stage.start("web", json!({"cron_restart": "10,40 * * * * *"})).await;
        stage.pass(90_000).await;
    });
}

/// Both days must hold.
#[test]
fn cron_on_friday_the_thirteenth() {
    // A Wednesday.
    trace_from("2026-03-11T20:00:00", "cron-on-friday-the-thirteenth", async |stage| {
        stage.script("web", [Script::new()]);
        stage.start("web", json!({"cron_restart": "0 0 13 * 5"})).await;
        stage.pass(40 * 3_600_000).await;
    });
}

/// A test of itself in another time zone.
#[test]
fn cron_when_the_clock_changes() {
    // Central Europe, in the words of POSIX.
    const ZONE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
    if std::env::var("TZ").as_deref() != Ok(ZONE) {
        let (_, module) = module_path!().split_once("::").unwrap();
        let name = format!("{module}::cron_when_the_clock_changes");
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", &name, "--nocapture"]).env("TZ", ZONE).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let is_passed = output.status.success() && text.contains(" 1 passed;");
        assert!(is_passed, "{text}{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let polite = Script::new().obeys(libc::SIGINT, 10, 0);
    let hours = 3_600_000;
    // 02:30 is skipped in the night to the 29th; it is 03:00 at once.
    trace_from("2026-03-28T02:00:00", "cron-in-spring", async |stage| {
        stage.script("web", [polite.clone()]);
        stage.start("web", json!({"cron_restart": "30 2 * * *"})).await;
        stage.pass(50 * hours).await;
    });
    // 02:30 comes twice in the night to the 25th.
    trace_from("2026-10-24T02:00:00", "cron-in-autumn", async |stage| {
        stage.script("web", [polite]);
        stage.start("web", json!({"cron_restart": "30 2 * * *"})).await;
        stage.pass(50 * hours).await;
    });
}

#[test]
fn cron_of_a_stopped_app() {
    trace("cron-of-a-stopped-app", async |stage| {
        stage.script("web", [Script::new()]);
        stage.start("web", json!({"cron_restart": "30 * * * * *"})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
        stage.until(100_000).await;
        stage.start_again(0).await;
        stage.pass(60_000).await;
    });
}

#[test]
fn cron_starts_stopped() {
    trace("cron-starts-stopped", async |stage| {
        stage.script("web", [Script::new()]);
        stage.start("web", json!({"cron_restart": "30 * * * * *", "cron_starts_stopped": true})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
        stage.until(40_000).await;
    });
}

/// The usual way to run a job again and again.
#[test]
fn cron_of_a_job_that_has_ended() {
    trace("cron-of-a-job-that-has-ended", async |stage| {
        stage.script("job", [Script::new().exits(3000, 0)]);
        stage.start("job", json!({"cron_restart": "0 * * * * *", "autorestart": false})).await;
        stage.pass(130_000).await;
    });
}

#[test]
fn cron_of_an_errored_app() {
    trace("cron-of-an-errored-app", async |stage| {
        stage.script("web", [Script::new().exits(50, 1), Script::new()]);
        stage.start("web", json!({"cron_restart": "30 * * * * *", "max_restarts": 1})).await;
        stage.pass(40_000).await;
    });
}

#[test]
fn cron_removed() {
    trace("cron-removed", async |stage| {
        stage.script("web", [Script::new()]);
        stage.start("web", json!({"cron_restart": "30 * * * * *"})).await;
        stage.pass(40_000).await;
        stage.restart_with(0, json!({"cron_restart": "0"})).await;
        stage.pass(200_000).await;
    });
}

#[test]
fn cron_that_cannot_be_read() {
    trace("cron-that-cannot-be-read", async |stage| {
        stage.script("web", [Script::new()]);
        stage.start("web", json!({"cron_restart": "every minute"})).await;
        stage.pass(200_000).await;
    });
}

/// A time that comes while the app is being restarted is over then.
#[test]
fn cron_during_a_restart() {
    trace("cron-during-a-restart", async |stage| {
        stage.script("web", [Script::new().obeys(libc::SIGINT, 1000, 0)]);
        stage.start("web", json!({"cron_restart": "30 * * * * *"})).await;
        stage.until(29_500).await;
        stage.restart(0).await;
        stage.pass(5000).await;
    });
}

/// The restart that waits is not needed any more.
#[test]
fn cron_while_waiting() {
    trace("cron-while-waiting", async |stage| {
        stage.script("web", [Script::new().exits(25_000, 1), Script::new()]);
        stage.start("web", json!({"cron_restart": "30 * * * * *", "restart_delay": 20_000})).await;
        stage.pass(60_000).await;
    });
}

#[test]
fn watch() {
    trace("watch", async |stage| {
        let mut watching = Watching::default();
        stage.script("web", [Script::new().obeys(libc::SIGINT, 20, 0)]);
        stage.start("web", json!({"watch": true})).await;
        stage.pass(5000).await;
        for name in ["a.js", "b.js", "c.js"] {
            stage.change(&mut watching, name);
            stage.pass(30).await;
        }
        stage.pass(1000).await;
        stage.change(&mut watching, "d.js");
        stage.pass(1000).await;
    });
}

#[test]
fn watch_delay() {
    trace("watch-delay", async |stage| {
        let mut watching = Watching::default();
        stage.script("web", [Script::new()]);
        stage.start("web", json!({"watch": ["lib"], "watch_delay": 800})).await;
        stage.pass(5000).await;
        stage.change(&mut watching, "lib/a.js");
        stage.pass(500).await;
        stage.change(&mut watching, "lib/b.js");
        stage.pass(2000).await;
    });
}

/// What changes while the old process ends was there before the new one began.
#[test]
fn watch_during_a_restart() {
    trace("watch-during-a-restart", async |stage| {
        let mut watching = Watching::default();
        stage.script("web", [Script::new().obeys(libc::SIGINT, 500, 0)]);
        stage.start("web", json!({"watch": true})).await;
        stage.pass(5000).await;
        stage.change(&mut watching, "a.js");
        stage.pass(300).await;
        stage.change(&mut watching, "b.js");
        stage.pass(3000).await;
    });
}

/// The command line switches it off before it stops an app.
#[test]
fn watch_during_a_stop() {
    trace("watch-during-a-stop", async |stage| {
        let mut watching = Watching::default();
        stage.script("web", [Script::new().obeys(libc::SIGINT, 500, 0)]);
        stage.start("web", json!({"watch": true})).await;
        stage.pass(5000).await;
        stage.command("stop watching 0", 0, Command::Watch(false)).await;
        join!(stage.stop(0), async {
            stage.pass(100).await;
            stage.change(&mut watching, "a.js");
        });
        stage.pass(3000).await;
        stage.change(&mut watching, "b.js");
        stage.pass(3000).await;
    });
}

/// As in PM2, when the stop came from elsewhere.
#[test]
fn watch_starts_a_stopped_app() {
    trace("watch-starts-a-stopped-app", async |stage| {
        let mut watching = Watching::default();
        stage.script("web", [Script::new()]);
        stage.start("web", json!({"watch": true})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
        stage.pass(5000).await;
        stage.change(&mut watching, "a.js");
        stage.pass(3000).await;
    });
}

#[test]
fn watch_wakes_an_errored_app() {
    trace("watch-wakes-an-errored-app", async |stage| {
        let mut watching = Watching::default();
        stage.script("web", [Script::new().exits(50, 1), Script::new()]);
        stage.start("web", json!({"watch": true, "max_restarts": 1})).await;
        stage.pass(5000).await;
        stage.change(&mut watching, "fix.js");
        stage.pass(3000).await;
    });
}

#[test]
fn watch_while_waiting() {
    trace("watch-while-waiting", async |stage| {
        let mut watching = Watching::default();
        stage.script("web", [Script::new().exits(500, 1), Script::new()]);
        stage.start("web", json!({"watch": true, "exp_backoff_restart_delay": 10_000})).await;
        stage.pass(5000).await;
        stage.change(&mut watching, "fix.js");
        stage.pass(20_000).await;
    });
}

#[test]
fn triggers_of_a_daemon_that_ends() {
    trace("triggers-of-a-daemon-that-ends", async |stage| {
        let mut watching = Watching::default();
        stage.script("web", [Script::new()]);
        stage.start("web", json!({"watch": true, "cron_restart": "30 * * * * *"})).await;
        stage.pass(5000).await;
        stage.note("the end is announced");
        stage.supervisor.context.announce_end();
        stage.change(&mut watching, "a.js");
        stage.until(40_000).await;
    });
}
