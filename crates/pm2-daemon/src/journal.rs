//! The daemon's own log: lines of pm2.log and the bus event `log:PM2`.

use std::fmt::Display;
#[cfg(not(test))]
use std::io::Write;
use std::sync::Arc;

use crate::bus::Bus;
use crate::{clock, date_format};

/// Writes lines of the form `<date>: PM2 <level>: <text>`; cheap to clone.
///
/// The lines go to standard output, which whoever starts the daemon points at pm2.log. The date
/// follows `PM2_LOG_DATE_FORMAT` (day.js, default `YYYY-MM-DDTHH:mm:ss`); an empty format removes the
/// prefix and the bus events, as in PM2 7.0.4, specification `logs.md` §7 and `wire.md` §1.4.
#[derive(Clone)]
pub(crate) struct Journal {
    bus: Bus,
    date_format: Arc<str>,
}

impl Journal {
    pub(crate) fn new(bus: Bus, date_format: &str) -> Journal {
        Journal { bus, date_format: date_format.into() }
    }

    /// A line that tools look for: starts, exits, kills.
    pub(crate) fn log(&self, text: impl Display) {
        self.write("log", &text.to_string());
    }

    /// Something went wrong that the daemon lives with.
    pub(crate) fn warn(&self, text: impl Display) {
        self.write("warn", &text.to_string());
    }

    /// Something failed.
    pub(crate) fn error(&self, text: impl Display) {
        self.write("error", &text.to_string());
    }

    fn write(&self, level: &str, text: &str) {
        let line = if self.date_format.is_empty() {
            format!("{text}\n")
        } else {
            let date = date_format::format(&self.date_format, &chrono::Local::now());
            format!("{date}: PM2 {level}: {text}\n")
        };
        put(&line);
        if !self.date_format.is_empty() {
            self.bus.publish("log:PM2", || {
                let data = serde_json::Value::from(format!("{text}\n"));
                let at = clock::epoch_ms();
                format!(r#"{{"process":{{"pm_id":"PM2","name":"PM2","rev":null}},"at":{at},"data":{data}}}"#)
            });
        }
    }
}

#[cfg(not(test))]
fn put(line: &str) {
    // A full disk must not end the daemon; there is nowhere else to complain.
    drop(std::io::stdout().lock().write_all(line.as_bytes()).and_then(|()| std::io::stdout().flush()));
}

/// Into what is shown of a test that fails.
#[cfg(test)]
#[allow(clippy::print_stdout)]
fn put(line: &str) {
    print!("{line}");
}
