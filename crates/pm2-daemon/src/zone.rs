//! Time zones by name, from the system's own data.

use chrono::{DateTime, FixedOffset, Offset, TimeZone, Utc};

/// A time zone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Zone {
    /// That of the daemon.
    Local,
    /// `Europe/Berlin`, or a rule as in the variable `TZ`.
    Named(Box<tz::TimeZone>),
}

impl Zone {
    /// The zone of that name; `None` when the system does not know it.
    pub(crate) fn named(name: &str) -> Option<Zone> {
        if matches!(name, "UTC" | "Etc/UTC" | "GMT") {
            return Some(Zone::Named(Box::new(tz::TimeZone::utc())));
        }
        tz::TimeZone::from_posix_tz(name).ok().map(|zone| Zone::Named(Box::new(zone)))
    }

    /// That moment as the zone's clocks show it.
    pub(crate) fn at<Clock: TimeZone>(&self, moment: &DateTime<Clock>) -> DateTime<FixedOffset> {
        let offset = match self {
            Zone::Local => moment.with_timezone(&chrono::Local).offset().fix(),
            Zone::Named(zone) => zone
                .find_local_time_type(moment.timestamp())
                .ok()
                .and_then(|kind| FixedOffset::east_opt(kind.ut_offset()))
                .unwrap_or_else(|| Utc.fix()),
        };
        moment.with_timezone(&offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_of_a_zone() {
        let at = |zone: &str, month| {
            let moment = Utc.with_ymd_and_hms(2026, month, 1, 12, 0, 0).unwrap();
            Zone::named(zone).unwrap().at(&moment).to_rfc3339()
        };
        assert_eq!(at("UTC", 7), "2026-07-01T12:00:00+00:00");
        // A rule needs no data of the system.
        assert_eq!(at("CET-1CEST,M3.5.0,M10.5.0/3", 7), "2026-07-01T14:00:00+02:00");
        assert_eq!(at("CET-1CEST,M3.5.0,M10.5.0/3", 1), "2026-01-01T13:00:00+01:00");
        assert_eq!(Zone::named("No/Such"), None);
    }
}
