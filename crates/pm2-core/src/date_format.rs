//! Dates in the format language of day.js, which PM2's log prefixes use.

use std::fmt::Write;

use chrono::{DateTime, Datelike, TimeZone, Timelike};

/// Writes a date. Tokens are those of day.js 1.11 without plugins, specification `logs.md` §3;
/// text in brackets is literal, everything else stands as it is.
#[must_use]
pub fn format<Zone: TimeZone>(format: &str, date: &DateTime<Zone>) -> String
where
    Zone::Offset: std::fmt::Display,
{
    // Longest first, as day.js matches them.
    const TOKENS: &[&str] = &[
        "YYYY", "MMMM", "dddd", "YYY", "MMM", "ddd", "SSS", "YY", "MM", "DD", "dd", "HH", "hh", "mm", "ss",
        "ZZ", "M", "D", "d", "H", "h", "a", "A", "m", "s", "Z", "Y",
    ];
    let offset_of_years = |token| if matches!(token, "YYY" | "Y") { "ZZ" } else { token };
    with_tokens(TOKENS, offset_of_years, format, date)
}

/// Writes a date with those tokens of moment.js that no language changes; pm2-logrotate names files with them.
#[must_use]
pub fn format_moment<Zone: TimeZone>(format: &str, date: &DateTime<Zone>) -> String
where
    Zone::Offset: std::fmt::Display,
{
    const TOKENS: &[&str] = &[
        "YYYY", "GGGG", "MMMM", "DDDD", "dddd", "MMM", "DDD", "ddd", "SSS", "YY", "MM", "DD", "dd", "HH",
        "hh", "kk", "mm", "ss", "SS", "ZZ", "WW", "Y", "Q", "M", "D", "d", "E", "W", "H", "h", "k", "a", "A",
        "m", "s", "S", "X", "x", "Z",
    ];
    with_tokens(TOKENS, |token| token, format, date)
}

fn with_tokens<Zone: TimeZone>(
    tokens: &[&'static str],
    meaning: fn(&'static str) -> &'static str,
    format: &str,
    date: &DateTime<Zone>,
) -> String
where
    Zone::Offset: std::fmt::Display,
{
    let mut text = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if first == '['
            && let Some(end) = rest.find(']').filter(|end| *end > 1)
        {
            text.push_str(&rest[1..end]);
            rest = &rest[end + 1..];
        } else if let Some(token) = tokens.iter().find(|token| rest.starts_with(**token)) {
            push_token(&mut text, meaning(token), date);
            rest = &rest[token.len()..];
        } else {
            text.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    text
}

fn push_token<Zone: TimeZone>(text: &mut String, token: &str, date: &DateTime<Zone>)
where
    Zone::Offset: std::fmt::Display,
{
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let month = MONTHS[date.month0() as usize];
    let day = DAYS[date.weekday().num_days_from_sunday() as usize];
    let (afternoon, hour) = date.hour12();
    // `Display` of an offset is `+01:00`.
    let offset = date.offset().to_string();
    let offset = if offset == "UTC" { "+00:00".to_owned() } else { offset };
    let _ = match token {
        "YYYY" => write!(text, "{:04}", date.year()),
        "YY" => write!(text, "{:02}", date.year().rem_euclid(100)),
        "MMMM" => text.write_str(month),
        "MMM" => text.write_str(&month[..3]),
        "MM" => write!(text, "{:02}", date.month()),
        "M" => write!(text, "{}", date.month()),
        "DD" => write!(text, "{:02}", date.day()),
        "D" => write!(text, "{}", date.day()),
        "dddd" => text.write_str(day),
        "ddd" => text.write_str(&day[..3]),
        "dd" => text.write_str(&day[..2]),
        "d" => write!(text, "{}", date.weekday().num_days_from_sunday()),
        "HH" => write!(text, "{:02}", date.hour()),
        "H" => write!(text, "{}", date.hour()),
        "hh" => write!(text, "{hour:02}"),
        "h" => write!(text, "{hour}"),
        "a" => text.write_str(if afternoon { "pm" } else { "am" }),
        "A" => text.write_str(if afternoon { "PM" } else { "AM" }),
        "mm" => write!(text, "{:02}", date.minute()),
        "m" => write!(text, "{}", date.minute()),
        "ss" => write!(text, "{:02}", date.second()),
        "s" => write!(text, "{}", date.second()),
        "SSS" => write!(text, "{:03}", date.timestamp_subsec_millis()),
        "ZZ" => text.write_str(&offset.replace(':', "")),
        "Y" => write!(text, "{}", date.year()),
        "GGGG" => write!(text, "{:04}", date.iso_week().year()),
        "DDDD" => write!(text, "{:03}", date.ordinal()),
        "DDD" => write!(text, "{}", date.ordinal()),
        "WW" => write!(text, "{:02}", date.iso_week().week()),
        "W" => write!(text, "{}", date.iso_week().week()),
        "E" => write!(text, "{}", date.weekday().number_from_monday()),
        "Q" => write!(text, "{}", date.month0() / 3 + 1),
        "kk" => write!(text, "{:02}", (date.hour() + 23) % 24 + 1),
        "k" => write!(text, "{}", (date.hour() + 23) % 24 + 1),
        "SS" => write!(text, "{:02}", date.timestamp_subsec_millis() / 10),
        "S" => write!(text, "{}", date.timestamp_subsec_millis() / 100),
        "X" => write!(text, "{}", date.timestamp()),
        "x" => write!(text, "{}", date.timestamp_millis()),
        _ => text.write_str(&offset),
    };
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    #[test]
    fn tokens_of_dayjs() {
        let zone = FixedOffset::east_opt(3600).unwrap();
        let date =
            zone.with_ymd_and_hms(2026, 11, 22, 15, 4, 5).unwrap() + chrono::TimeDelta::milliseconds(7);
        for (pattern, expected) in [
            ("YYYY-MM-DDTHH:mm:ss", "2026-11-22T15:04:05"),
            ("YY M D d dd ddd dddd", "26 11 22 0 Su Sun Sunday"),
            ("MMM MMMM h hh a A m s SSS", "Nov November 3 03 pm PM 4 5 007"),
            ("Z ZZ [at] [Z]", "+01:00 +0100 at Z"),
            ("Do", "22o"),
            // An odd number of them is nothing that day.js knows: the offset is what is left.
            ("Y YYY YYYYY YYYYYY", "+0100 +0100 2026+0100 202626"),
            ("[] [a[b] HHH MMMMM", "[] a[b 1515 November11"),
            ("", ""),
            ("ü[open", "ü[open"),
        ] {
            assert_eq!(format(pattern, &date), expected, "{pattern}");
        }
    }

    #[test]
    fn tokens_of_moment() {
        let zone = FixedOffset::east_opt(3600).unwrap();
        let date =
            zone.with_ymd_and_hms(2026, 11, 22, 0, 4, 5).unwrap() + chrono::TimeDelta::milliseconds(78);
        for (pattern, expected) in [
            ("YYYY-MM-DD_HH-mm-ss", "2026-11-22_00-04-05"),
            ("Y DDDD DDD Q E WW W GGGG", "2026 326 326 4 7 47 47 2026"),
            ("k kk S SS SSS X x [X]", "24 24 0 07 078 1795302245 1795302245078 X"),
        ] {
            assert_eq!(format_moment(pattern, &date), expected, "{pattern}");
        }
    }
}
