//! What the daemon says of itself.

use serde_json::{Map, Value, json};

use super::Answer;
use crate::engine::Engine;

pub(super) fn ping() -> Answer {
    Answer::Value(r#"{"msg":"pong"}"#.to_owned())
}

/// The version of PM2 that is spoken, so that PM2's own clients see no difference.
pub(super) fn version() -> Answer {
    Answer::Value(Value::from(pm2_core::PM2_VERSION).to_string())
}

/// The version of this daemon; not a method of PM2.
pub(super) fn own_version() -> Answer {
    Answer::Value(Value::from(pm2_core::VERSION).to_string())
}

/// Metrics of the host. Empty, as PM2's are until its first sample.
pub(super) fn system_data() -> Answer {
    Answer::Value("{}".to_owned())
}

/// Facts about the daemon's process for a bug report.
pub(super) fn report(engine: &Engine) -> Answer {
    let argv: Vec<String> = std::env::args().collect();
    let env: Map<String, Value> = std::env::vars_os()
        .map(|(key, value)| (key.to_string_lossy().into_owned(), value.to_string_lossy().into()))
        .collect();
    let report = json!({
        "pm2_version": pm2_core::PM2_VERSION,
        "node_version": "N/A",
        "node_path": env.get("_").cloned().unwrap_or_else(|| "not found".into()),
        "argv0": argv.first(),
        "argv": argv,
        "user": env.get("USER"),
        "uid": nix::unistd::getuid().as_raw(),
        "gid": nix::unistd::getgid().as_raw(),
        "env": env,
        "managed_apps": engine.supervisor.jobs().len(),
        "started_at": engine.started_at,
    });
    Answer::Value(report.to_string())
}
