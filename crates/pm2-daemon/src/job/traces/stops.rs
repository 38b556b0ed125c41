//! How processes are ended.

use serde_json::json;
use tokio::join;

use super::stage::trace_with;
use super::trace;
use crate::host::scripted::Script;
use crate::job::Command;
use crate::sys::Signal;

#[test]
fn stop() {
    trace("stop", async |stage| {
        stage.script("web", [Script::new().obeys(libc::SIGINT, 120, 4)]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
        stage.pass(5000).await;
        // There is nothing to do.
        stage.stop(0).await;
    });
}

#[test]
fn stop_of_an_app_that_ignores_it() {
    trace("stop-of-an-app-that-ignores-it", async |stage| {
        stage.script("web", [Script::new().ignores(libc::SIGINT)]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
    });
}

#[test]
fn stop_of_an_app_that_nothing_ends() {
    trace("stop-of-an-app-that-nothing-ends", async |stage| {
        let stuck = Script::new().ignores(libc::SIGINT).ignores(libc::SIGKILL).exits(20_000, 0);
        stage.script("web", [stuck, Script::new()]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
        // The next one has nothing to do with it.
        stage.pass(1000).await;
        stage.start_again(0).await;
        stage.until(21_000).await;
    });
}

#[test]
fn restart_of_an_app_that_nothing_ends() {
    trace("restart-of-an-app-that-nothing-ends", async |stage| {
        stage.script("web", [Script::new().ignores(libc::SIGINT).ignores(libc::SIGKILL), Script::new()]);
        stage.start("web", json!({"kill_timeout": 500})).await;
        stage.pass(5000).await;
        stage.restart(0).await;
    });
}

#[test]
fn stop_of_a_late_listener() {
    trace("stop-of-a-late-listener", async |stage| {
        // Its handler comes with its modules.
        stage.script("web", [Script::new().ignores_until(libc::SIGINT, 300)]);
        stage.start("web", json!({})).await;
        stage.pass(200).await;
        stage.stop(0).await;
    });
}

#[test]
fn kill_signal() {
    trace_with("kill-signal", &[("PM2_KILL_SIGNAL", "SIGTERM")], async |stage| {
        stage.script("web", [Script::new().ignores(libc::SIGINT).obeys(libc::SIGTERM, 10, 0)]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
    });
}

#[test]
fn kill_timeout() {
    trace("kill-timeout", async |stage| {
        stage.script("web", [Script::new().ignores(libc::SIGINT)]);
        stage.start("web", json!({"kill_timeout": 4000})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
    });
}

#[test]
fn kill_timeout_of_the_daemon() {
    trace_with("kill-timeout-of-the-daemon", &[("PM2_KILL_TIMEOUT", "300")], async |stage| {
        stage.script("web", [Script::new().ignores(libc::SIGINT)]);
        stage.start("web", json!({"kill_timeout": 0})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
    });
}

#[test]
fn shutdown_with_message() {
    trace("shutdown-with-message", async |stage| {
        stage.script("web", [Script::new().shuts_down(700, 0)]);
        stage.start("web", json!({"shutdown_with_message": true})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
    });
}

#[test]
fn shutdown_with_message_ignored() {
    trace("shutdown-with-message-ignored", async |stage| {
        stage.script("web", [Script::new()]);
        stage.start("web", json!({"shutdown_with_message": true, "kill_timeout": 900})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
    });
}

#[test]
fn kill_use_message() {
    trace_with("kill-use-message", &[("PM2_KILL_USE_MESSAGE", "1")], async |stage| {
        stage.script("web", [Script::new().shuts_down(50, 0)]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
        stage.restart(0).await;
    });
}

#[test]
fn last_words() {
    trace("last-words", async |stage| {
        let polite =
            Script::new().obeys(libc::SIGINT, 100, 0).writes(1040, "closing\n").says(1050, "\"bye\"");
        stage.script("web", [polite]);
        stage.start("web", json!({})).await;
        stage.pass(1000).await;
        stage.stop(0).await;
    });
}

/// It comes with its end.
#[test]
fn last_words_of_a_crash() {
    trace("last-words-of-a-crash", async |stage| {
        let crash = Script::new().says(500, r#"{"type":"process:exception","data":{"message":"no"}}"#);
        stage.script("web", [crash.writes(500, "Error: no\n").exits(500, 1), Script::new()]);
        stage.start("web", json!({})).await;
        stage.pass(1000).await;
    });
}

#[test]
fn stop_during_stop() {
    trace("stop-during-stop", async |stage| {
        stage.script("web", [Script::new().obeys(libc::SIGINT, 500, 0)]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
        join!(stage.stop(0), async {
            stage.pass(100).await;
            stage.stop(0).await;
        });
    });
}

#[test]
fn start_during_stop() {
    trace("start-during-stop", async |stage| {
        stage.script("web", [Script::new().obeys(libc::SIGINT, 500, 0)]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
        join!(stage.stop(0), async {
            stage.pass(100).await;
            stage.start_again(0).await;
        });
    });
}

#[test]
fn delete_during_stop() {
    trace("delete-during-stop", async |stage| {
        stage.script("web", [Script::new().obeys(libc::SIGINT, 500, 0)]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
        join!(stage.stop(0), async {
            stage.pass(100).await;
            stage.delete(0).await;
        });
    });
}

/// Whoever cannot wait sends it itself.
#[test]
fn signal_during_stop() {
    trace("signal-during-stop", async |stage| {
        stage.script("web", [Script::new().ignores(libc::SIGINT)]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
        join!(stage.stop(0), async {
            stage.pass(100).await;
            stage.command("signal SIGTERM to 0", 0, Command::Signal(Signal(libc::SIGTERM))).await;
        });
    });
}

#[test]
fn signals_by_clients() {
    trace("signals-by-clients", async |stage| {
        let signal = async |number: i32| {
            let signal = Signal(number);
            stage.command(&format!("signal {} to 0", signal.name()), 0, Command::Signal(signal)).await;
        };
        stage.script("web", [Script::new().ignores(libc::SIGUSR2)]);
        stage.start("web", json!({"restart_delay": 1000})).await;
        stage.pass(2000).await;
        signal(libc::SIGUSR2).await;
        stage.pass(100).await;
        signal(libc::SIGTERM).await;
        stage.pass(500).await;
        signal(libc::SIGTERM).await;
        stage.stop(0).await;
        signal(libc::SIGTERM).await;
    });
}

#[test]
fn exit_at_the_moment_of_a_stop() {
    trace("exit-at-the-moment-of-a-stop", async |stage| {
        stage.script("web", [Script::new().exits(5000, 9)]);
        stage.start("web", json!({})).await;
        stage.until(5000).await;
        stage.stop(0).await;
        stage.pass(1000).await;
    });
}

/// Everyone is asked, and waited for.
#[test]
fn treekill() {
    trace("treekill", async |stage| {
        let slow = Script::new().obeys(libc::SIGINT, 700, 0);
        let parent = Script::new().starts(10, slow).starts(20, Script::new()).obeys(libc::SIGINT, 100, 0);
        stage.script("web", [parent]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
    });
}

#[test]
fn treekill_of_those_that_ignore_it() {
    trace("treekill-of-those-that-ignore-it", async |stage| {
        let parent = Script::new().starts(10, Script::new().ignores(libc::SIGINT));
        stage.script("web", [parent]);
        stage.start("web", json!({"kill_timeout": 600})).await;
        stage.pass(5000).await;
        stage.restart(0).await;
    });
}

#[test]
fn treekill_off() {
    trace("treekill-off", async |stage| {
        stage.script("web", [Script::new().starts(10, Script::new().exits(9000, 0))]);
        stage.start("web", json!({"treekill": false})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
        stage.pass(5000).await;
    });
}

/// They are asked by nobody but the app, which has the time of a stop for that.
#[test]
fn treekill_with_message() {
    trace("treekill-with-message", async |stage| {
        let parent = Script::new().starts(10, Script::new()).shuts_down(300, 0);
        stage.script("web", [parent]);
        stage.start("web", json!({"shutdown_with_message": true})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
    });
}

/// Started at the last moment.
#[test]
fn treekill_of_a_late_child() {
    trace("treekill-of-a-late-child", async |stage| {
        let parent = Script::new().obeys(libc::SIGINT, 300, 0).starts(5200, Script::new());
        stage.script("web", [parent]);
        stage.start("web", json!({})).await;
        stage.until(5000).await;
        stage.stop(0).await;
    });
}

/// Those whom a crash has left behind end before the next process comes.
#[test]
fn orphans_of_a_crash() {
    trace("orphans-of-a-crash", async |stage| {
        let orphan = Script::new().obeys(libc::SIGINT, 250, 0);
        stage.script("web", [Script::new().starts(10, orphan).exits(2000, 1), Script::new()]);
        stage.start("web", json!({})).await;
        stage.pass(5000).await;
    });
}

#[test]
fn orphans_of_an_app_that_stays_away() {
    trace("orphans-of-an-app-that-stays-away", async |stage| {
        stage.script("job", [Script::new().starts(10, Script::new()).exits(2000, 0)]);
        stage.start("job", json!({"autorestart": false})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
    });
}

#[test]
fn a_child_that_nothing_ends() {
    trace("a-child-that-nothing-ends", async |stage| {
        let stuck = Script::new().ignores(libc::SIGINT).ignores(libc::SIGKILL);
        stage.script("web", [Script::new().starts(10, stuck), Script::new()]);
        stage.start("web", json!({"kill_timeout": 400})).await;
        stage.pass(5000).await;
        stage.stop(0).await;
    });
}
