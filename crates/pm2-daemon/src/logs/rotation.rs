//! What the settings of rotation mean, and where a log is cut. Pure.
//!
//! Names and defaults are those of pm2-logrotate 3.0.0, specification `logs.md` §9, so that its users keep their
//! settings; the values may be texts, as `pm2 set` writes them. `max_total_size` and `zstd` are our own.

use chrono::{DateTime, Local, TimeZone};
use memchr::{memchr, memrchr};
use pm2_core::date_format;
use pm2_core::logs::rotated::Codec;
use serde_json::{Map, Value};

use crate::cron::Schedule;
use crate::zone::Zone;

/// Settings by their names.
pub(crate) type Settings = Map<String, Value>;

/// How a log is rotated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// A log does not grow beyond this many bytes, unless a single line is longer.
    pub(crate) max_size: u64,
    /// How many rotated files stay; `None` = all.
    pub(crate) retain: Option<usize>,
    pub(crate) compress: Option<Codec>,
    /// Format of the date in the name.
    pub(crate) date_format: String,
    /// Zone of that date.
    pub(crate) zone: Zone,
    /// When it is rotated whatever its size; `None` = never.
    pub(crate) schedule: Option<Schedule>,
    /// Bytes that a log and its rotated files may have together; `None` = any.
    pub(crate) max_total: Option<u64>,
}

const DEFAULT_SIZE: u64 = 10 * 1024 * 1024;

impl Plan {
    /// Reads settings. What cannot be used counts as absent and is named in the second part.
    pub(crate) fn read(settings: &Settings, now: &DateTime<Local>) -> (Plan, Vec<String>) {
        let mut wrong = Vec::new();
        let text = |keys: [&str; 2]| {
            let value = keys.into_iter().find_map(|key| settings.get(key))?;
            match value {
                Value::String(text) => Some(text.trim().to_owned()),
                Value::Null => None,
                other => Some(other.to_string()),
            }
        };
        let mut size = |key: &str| {
            let text = text([key, key]).filter(|text| !text.is_empty())?;
            let size = bytes(&text).filter(|size| *size > 0);
            if size.is_none() {
                wrong.push(format!("{key}: {text}"));
            }
            size
        };
        let max_size = size("max_size").unwrap_or(DEFAULT_SIZE);
        let max_total = size("max_total_size");
        let retain = match text(["retain", "retain"]) {
            None => Some(30),
            // Not a number: all are kept.
            Some(text) => text.parse::<f64>().ok().filter(|count| *count >= 0.0).map(|count| count as usize),
        };
        let compress = match text(["compress", "compress"]).unwrap_or_default().as_str() {
            "true" | "gzip" | "gz" | "1" => Some(Codec::Gzip),
            "zstd" | "zst" => Some(Codec::Zstd),
            "" | "false" | "0" => None,
            other => {
                wrong.push(format!("compress: {other}"));
                None
            }
        };
        let interval = text(["rotateInterval", "rotate_interval"]).unwrap_or_else(|| "0 0 * * *".to_owned());
        let schedule = match interval.as_str() {
            "" | "false" | "0" => None,
            pattern => Schedule::parse(pattern, now)
                .inspect_err(|_| wrong.push(format!("rotateInterval: {pattern}")))
                .ok(),
        };
        let zone = match text(["TZ", "tz"]).filter(|name| !name.is_empty()) {
            None => Zone::Local,
            Some(name) => Zone::named(&name).unwrap_or_else(|| {
                wrong.push(format!("TZ: {name}"));
                Zone::Local
            }),
        };
        let date_format = text(["dateFormat", "date_format"]).filter(|format| !format.is_empty());
        let plan = Plan {
            max_size,
            retain,
            compress,
            date_format: date_format.unwrap_or_else(|| "YYYY-MM-DD_HH-mm-ss".to_owned()),
            zone,
            schedule,
            max_total,
        };
        (plan, wrong)
    }

    /// The date in the name of a file that is rotated then.
    pub(crate) fn date<Clock: TimeZone>(&self, now: &DateTime<Clock>) -> String
    where
        Clock::Offset: std::fmt::Display,
    {
        match &self.zone {
            Zone::Local => date_format::format_moment(&self.date_format, &now.with_timezone(&Local)),
            zone => date_format::format_moment(&self.date_format, &zone.at(now)),
        }
    }
}

/// `10M`, `1.5G`, `100`; units are powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = match text.char_indices().last()? {
        (at, 'G' | 'g') => (&text[..at], 1024_u64.pow(3)),
        (at, 'M' | 'm') => (&text[..at], 1024 * 1024),
        (at, 'K' | 'k') => (&text[..at], 1024),
        _ => (text, 1),
    };
    let number = number.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)?;
    Some((number * unit as f64) as u64)
}

/// What to do next with bytes that are to be appended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Put a new file in the place of this one.
    Rotate,
    /// Write that many of the bytes.
    Write(usize),
}

/// Where a file of that size is cut: between two lines, so that it stays within the limit if its lines let it.
/// `is_due`: it is to be cut at the next end of a line, whatever its size.
pub(super) fn next_step(bytes: &[u8], size: u64, at_line_start: bool, limit: u64, is_due: bool) -> Step {
    let first_line = || memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
    if size > 0 && at_line_start && (is_due || size >= limit) {
        return Step::Rotate;
    }
    if is_due && size > 0 {
        return Step::Write(first_line());
    }
    let room = usize::try_from(limit.saturating_sub(size)).unwrap_or(usize::MAX);
    if bytes.len() <= room {
        return Step::Write(bytes.len());
    }
    match memrchr(b'\n', &bytes[..room]) {
        Some(end) => Step::Write(end + 1),
        None if at_line_start && size > 0 => Step::Rotate,
        None => Step::Write(first_line()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(settings: Value) -> (Plan, Vec<String>) {
        Plan::read(settings.as_object().unwrap(), &Local::now())
    }

    #[test]
    fn the_defaults_are_those_of_pm2_logrotate() {
        let (plan, wrong) = read(json!({}));
        assert_eq!((plan.max_size, plan.retain, plan.compress), (10 * 1024 * 1024, Some(30), None));
        assert_eq!((plan.date_format.as_str(), plan.max_total), ("YYYY-MM-DD_HH-mm-ss", None));
        assert!(plan.schedule.is_some() && plan.zone == Zone::Local && wrong.is_empty());
    }

    #[test]
    fn values_may_be_texts() {
        let (plan, wrong) = read(json!({
            "max_size": "1K", "retain": "7", "compress": "true", "rotateInterval": "*/5 * * * * *",
            "TZ": "UTC", "max_total_size": "2.5M", "dateFormat": "YYYY", "workerInterval": "30", "rotateModule": "true"
        }));
        assert_eq!((plan.max_size, plan.retain, plan.compress), (1024, Some(7), Some(Codec::Gzip)));
        assert_eq!((plan.max_total, plan.date_format.as_str()), (Some(2_621_440), "YYYY"));
        assert!(plan.schedule.is_some() && plan.zone != Zone::Local && wrong.is_empty(), "{wrong:?}");
        let (plan, _) =
            read(json!({"max_size": 100, "retain": "all", "compress": "zstd", "rotate_interval": false}));
        assert_eq!((plan.max_size, plan.retain, plan.compress), (100, None, Some(Codec::Zstd)));
        assert_eq!(plan.schedule, None);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let (plan, wrong) = read(json!({
            "max_size": "ten", "compress": "rar", "rotateInterval": "at noon", "TZ": "Moon/Base", "max_total_size": []
        }));
        assert_eq!((plan.max_size, plan.compress, plan.schedule), (DEFAULT_SIZE, None, None));
        assert_eq!(
            wrong,
            [
                "max_size: ten",
                "max_total_size: []",
                "compress: rar",
                "rotateInterval: at noon",
                "TZ: Moon/Base"
            ]
        );
    }

    #[test]
    fn files_are_cut_between_lines() {
        use Step::{Rotate, Write};
        for (bytes, size, at_line_start, is_due, expected) in [
            ("abc\n", 0, true, false, Write(4)),
            ("abc\n", 6, true, false, Write(4)),
            ("abc\n", 7, true, false, Rotate),
            ("abc\n", 10, true, false, Rotate),
            ("a\nb\nc\n", 6, true, false, Write(4)),
            ("abc\nd\n", 8, false, false, Write(4)),
            ("abc", 10, false, false, Write(3)),
            ("a long line, longer than all\nb\n", 0, true, false, Write(29)),
            ("a long line, longer than all", 0, true, false, Write(28)),
            ("ab\nc\n", 1, false, true, Write(3)),
            ("ab\nc\n", 1, true, true, Rotate),
            ("ab\n", 0, true, true, Write(3)),
        ] {
            assert_eq!(
                next_step(bytes.as_bytes(), size, at_line_start, 10, is_due),
                expected,
                "{bytes:?} at {size}"
            );
        }
    }
}
