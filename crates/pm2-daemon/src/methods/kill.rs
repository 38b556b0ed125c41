//! `notifyKillPM2` and `killMe`.

use serde_json::Value;

use super::Answer;
use crate::engine::{Ending, Engine};

/// Announces the end: from now on exits are not followed by restarts.
pub(super) fn notify(engine: &Engine) -> Answer {
    engine.supervisor.context.announce_end();
    Answer::NoReply
}

/// Ends the daemon. A process id in the argument gets SIGQUIT when the sockets are gone, which is
/// how PM2's command line learns of it.
pub(super) fn kill_me(engine: &Engine, argument: &Value) -> Answer {
    let notify = argument
        .get("pid")
        .and_then(Value::as_i64)
        .and_then(|pid| i32::try_from(pid).ok())
        .filter(|pid| *pid > 1);
    engine.end(Ending::Killed { notify });
    Answer::NoReply
}
