//! The wall clock: in the unit of the wire, and as a date.

use chrono::{DateTime, Local};
#[cfg(not(test))]
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(test)]
pub(crate) use scripted::{begin, epoch_ms};

/// Milliseconds since the epoch.
#[cfg(not(test))]
pub(crate) fn epoch_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// The date here and now.
#[cfg(not(test))]
pub(crate) fn local() -> DateTime<Local> {
    Local::now()
}

#[cfg(test)]
pub(crate) fn local() -> DateTime<Local> {
    scripted::local()
}

/// A clock that can go with tokio's.
#[cfg(test)]
mod scripted {
    use std::cell::Cell;

    use chrono::TimeZone;
    use tokio::time::Instant;

    use super::*;

    thread_local! {
        static BEGUN: Cell<Option<(Instant, i64)>> = const { Cell::new(None) };
    }

    /// From now on this thread's wall clock goes with tokio's, beginning at that moment of the epoch.
    pub(crate) fn begin(at_ms: i64) {
        BEGUN.set(Some((Instant::now(), at_ms)));
    }

    fn scripted_ms() -> Option<i64> {
        BEGUN.get().map(|(begun, at)| at + i64::try_from(begun.elapsed().as_millis()).unwrap())
    }

    pub(crate) fn epoch_ms() -> i64 {
        scripted_ms().unwrap_or_else(|| Local::now().timestamp_millis())
    }

    pub(super) fn local() -> DateTime<Local> {
        match scripted_ms() {
            Some(ms) => Local.timestamp_millis_opt(ms).unwrap(),
            None => Local::now(),
        }
    }
}
