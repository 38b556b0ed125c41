//! `getMonitorData`.

use super::Answer;
use crate::engine::Engine;

/// All processes by ascending id, with memory and CPU measured now.
pub(super) fn monitor_data(engine: &Engine) -> Answer {
    Answer::Value(engine.supervisor.list_json())
}
