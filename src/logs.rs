//! Lines of logs, as JavaScript shows them.

use std::path::PathBuf;

use napi_derive::napi;
use parking_lot::Mutex;
use pm2_core::logs::{self, ShowOptions, Shower};
use pm2_core::protocol::repair_surrogates;
use serde_json::Value;

/// Text to be printed.
#[napi(object)]
pub struct ShownLines {
    /// On standard output.
    pub out: String,
    /// On standard error.
    pub err: String,
}

impl From<logs::Shown> for ShownLines {
    fn from(shown: logs::Shown) -> ShownLines {
        ShownLines { out: shown.out, err: shown.err }
    }
}

/// Shows lines of logs.
#[napi]
pub struct LogLines {
    wishes: Value,
    shower: Mutex<Shower>,
}

#[napi]
impl LogLines {
    /// `wishes` is the JSON text of `{target?, raw?, json?, format?, exclusive?, timestamp?, highlight?}`.
    #[napi(constructor)]
    pub fn new(wishes: String) -> napi::Result<LogLines> {
        let wishes: Value = serde_json::from_str(&repair_surrogates(&wishes)).map_err(broken)?;
        let shower = Mutex::new(Shower::new(ShowOptions::read(&wishes)));
        Ok(LogLines { wishes, shower })
    }

    /// The last lines of the logs of a list, the JSON text that the daemon gave.
    #[napi]
    pub async fn tail(&self, list: String, daemon_log: String, count: u32) -> napi::Result<ShownLines> {
        let list: Vec<Value> = serde_json::from_str(&list).map_err(broken)?;
        let shower = Shower::new(ShowOptions::read(&self.wishes));
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let reading = move || shower.tail(&list, &PathBuf::from(daemon_log), count);
        let shown = tokio::task::spawn_blocking(reading).await;
        Ok(shown.map_err(broken)?.into())
    }

    /// What an event of the bus looks like; null when it is not shown. `packet` is JSON text.
    #[napi]
    pub fn show(&self, topic: String, packet: String) -> Option<ShownLines> {
        let packet = serde_json::from_str(&repair_surrogates(&packet)).ok()?;
        self.shower.lock().event(&topic, &packet).map(ShownLines::from)
    }
}

fn broken(error: impl std::fmt::Display) -> napi::Error {
    napi::Error::from_reason(error.to_string())
}
