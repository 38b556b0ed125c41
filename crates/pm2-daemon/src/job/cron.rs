//! When a `cron_restart` pattern is due. Pure, except for [`sleep_until`].

use std::time::Duration;

use chrono::{DateTime, Datelike, Local, TimeZone, Timelike};
use croner::Cron;
use croner::parser::CronParser;

use crate::clock;

/// The clock may be set while a date is waited for; it is looked at this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(600);

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Schedule {
    Repeated(Box<Cron>),
    /// One date, epoch ms.
    Once(i64),
}

impl Schedule {
    /// Reads a pattern of five or six fields, seconds first, or a date in ISO form. `?` is the value at `now`.
    ///
    /// Dialect of PM2 7.0.4, specification `lifecycle.md` §9: a day of the month and a day of the week must both hold.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub(crate) fn parse(pattern: &str, now: &DateTime<Local>) -> Result<Schedule, String> {
        let pattern = pattern.trim();
        if let Some(date) = date(pattern) {
            return Ok(Schedule::Once(date));
        }
        let now_values = [
            now.second(),
            now.minute(),
            now.hour(),
            now.day(),
            now.month(),
            now.weekday().num_days_from_sunday(),
        ];
        let fields: Vec<&str> = pattern.split_whitespace().collect();
        let skipped = now_values.len().saturating_sub(fields.len());
        let written: Vec<String> = fields
            .iter()
            .enumerate()
            .map(|(n, field)| match now_values.get(n + skipped) {
                Some(value) => field.replace('?', &value.to_string()),
                None => (*field).to_owned(),
            })
            .collect();
        let parser = CronParser::builder().dom_and_dow(true).sloppy_ranges(true).build();
        let cron = parser.parse(&written.join(" ")).map_err(|error| error.to_string())?;
        Ok(Schedule::Repeated(Box::new(cron)))
    }

    /// The next time after a moment; `None` when there is none.
    pub(crate) fn next<Zone: TimeZone>(&self, after: &DateTime<Zone>) -> Option<DateTime<Zone>> {
        match self {
            Schedule::Repeated(cron) => cron.find_next_occurrence(after, false).ok(),
            Schedule::Once(at) => {
                let date = after.timezone().timestamp_millis_opt(*at).single()?;
                (date > *after).then_some(date)
            }
        }
    }
}

/// A date in ISO form, local unless it says otherwise, epoch ms.
fn date(text: &str) -> Option<i64> {
    if let Ok(date) = DateTime::parse_from_rfc3339(text) {
        return Some(date.timestamp_millis());
    }
    let local = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    Some(Local.from_local_datetime(&local).earliest()?.timestamp_millis())
}

/// Waits for a time of the wall clock, but not for long; says whether it has come.
pub(crate) async fn sleep_until(at: DateTime<Local>) -> bool {
    if let Ok(left) = (at - clock::local()).to_std() {
        // A timer that is early by less than its own grain would be set again and again.
        tokio::time::sleep((left + Duration::from_millis(1)).min(LONGEST_SLEEP)).await;
    }
    at <= clock::local()
}

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Berlin;
    use chrono_tz::Tz;

    use super::*;

    fn at(text: &str) -> DateTime<Tz> {
        let date = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        Berlin.from_local_datetime(&date).earliest().unwrap()
    }

    fn schedule(pattern: &str) -> Schedule {
        Schedule::parse(pattern, &Local::now()).unwrap()
    }

    /// The next `n` times after a moment.
    fn times(pattern: &str, after: &str, n: usize) -> Vec<String> {
        let schedule = schedule(pattern);
        let mut now = at(after);
        let mut found = Vec::new();
        while found.len() < n {
            let Some(next) = schedule.next(&now) else { break };
            now = next;
            found.push(now.format("%m-%d %H:%M:%S %:z").to_string());
        }
        found
    }

    #[test]
    fn five_and_six_fields() {
        let expected = ["03-01 10:05:00 +01:00", "03-01 10:10:00 +01:00"];
        assert_eq!(times("*/5 * * * *", "2026-03-01 10:03:20", 2), expected);
        let expected = ["03-01 10:03:30 +01:00", "03-01 10:04:00 +01:00"];
        assert_eq!(times("*/30 * * * * *", "2026-03-01 10:03:20", 2), expected);
        assert_eq!(times("0 3 * * MON", "2026-03-01 10:00:00", 1), ["03-02 03:00:00 +01:00"]);
        assert_eq!(times("0 3 1 jan *", "2026-03-01 10:00:00", 1), ["01-01 03:00:00 +01:00"]);
        assert_eq!(times("0 3 * * 7", "2026-03-02 10:00:00", 1), ["03-08 03:00:00 +01:00"]);
        assert_eq!(times("0 0 L * *", "2026-02-03 10:00:00", 1), ["02-28 00:00:00 +01:00"]);
    }

    #[test]
    fn both_days_must_hold() {
        // Friday 13th.
        let expected = ["02-13 00:00:00 +01:00", "03-13 00:00:00 +01:00", "11-13 00:00:00 +01:00"];
        assert_eq!(times("0 0 13 * 5", "2026-01-01 00:00:00", 3), expected);
    }

    #[test]
    fn a_time_that_the_change_to_summer_skips_is_not_lost() {
        let expected = ["03-28 02:30:00 +01:00", "03-29 03:30:00 +02:00", "03-30 02:30:00 +02:00"];
        let found = times("30 2 * * *", "2026-03-28 00:00:00", 3);
        assert_eq!(found[0], expected[0]);
        assert!(found[1].starts_with("03-29 03:"), "{found:?}");
        assert_eq!(found[2], expected[2]);
    }

    #[test]
    fn a_time_that_comes_twice_is_taken_once() {
        let found = times("30 2 * * *", "2026-10-25 00:00:00", 2);
        assert!(found[0].starts_with("10-25 02:30:00"), "{found:?}");
        assert!(found[1].starts_with("10-26 02:30:00"), "{found:?}");
        // What repeats within the hour goes on through both.
        assert_eq!(times("*/30 * * * *", "2026-10-25 01:45:00", 5).len(), 5);
    }

    #[test]
    fn a_single_date() {
        assert_eq!(times("2026-05-01T12:00:00Z", "2026-03-01 00:00:00", 2), ["05-01 14:00:00 +02:00"]);
        assert!(schedule("2020-01-01T00:00:00").next(&Local::now()).is_none());
    }

    #[test]
    fn a_question_mark_is_now() {
        let now = Local.with_ymd_and_hms(2026, 3, 4, 5, 6, 7).unwrap();
        let schedule = Schedule::parse("? ? * * *", &now).unwrap();
        assert_eq!(schedule.next(&now), Local.with_ymd_and_hms(2026, 3, 5, 5, 6, 0).single());
    }

    #[test]
    fn nonsense() {
        for pattern in ["", "x", "* * *", "61 * * * *", "* * * * * * * *"] {
            assert!(Schedule::parse(pattern, &Local::now()).is_err(), "{pattern}");
        }
    }
}
