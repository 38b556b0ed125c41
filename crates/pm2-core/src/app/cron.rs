//! A syntactic check of cron patterns, with the messages PM2 gives.
//!
//! It refuses what PM2 refuses; when a pattern fires is the daemon's business.

use thiserror::Error;

/// Why a text is no cron pattern. Texts of PM2 7.0.4, specification `options.md` §2.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CronError {
    /// The value is not text.
    #[error("CronPattern: Pattern has to be of type string.")]
    NotText,
    /// Not five or six parts.
    #[error(
        "CronPattern: invalid configuration format ('{0}'), exacly five or six space separated parts required."
    )]
    Parts(String),
    /// It looks like a date and is none.
    #[error("CronDate: Provided string value for CronDate could not be parsed as date.")]
    Date,
    /// A character that no part may have.
    #[error("CronPattern: configuration entry {index} ({part}) contains illegal characters.")]
    Characters {
        /// Place of the part, from 1 for the first of six (the seconds are 0).
        index: usize,
        /// The part.
        part: String,
    },
    /// A number outside the part's range.
    #[error("CronPattern: {field} value out of range: '{part}'")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// The part as written.
        part: String,
    },
    /// More than one dash.
    #[error("CronPattern: Syntax error, illegal range: '{0}'")]
    Range(String),
    /// The text before the dash is no number.
    #[error("CronPattern: Syntax error, illegal lower range (NaN)")]
    LowerRange,
    /// The text after the dash is no number.
    #[error("CronPattern: Syntax error, illegal upper range (NaN)")]
    UpperRange,
    /// The range runs backwards.
    #[error("CronPattern: From value is larger than to value: '{0}'")]
    Backwards(String),
    /// The step is no positive number.
    #[error("CronPattern: Syntax error, illegal stepping: {0}")]
    Step(String),
    /// The step is larger than the field.
    #[error("CronPattern: Syntax error, steps cannot be greater than maximum value of part ({0})")]
    StepTooLarge(u32),
}

/// One field of a pattern.
struct Field {
    name: &'static str,
    first: u32,
    last: u32,
    /// Names that stand for `first`, `first + 1`, …
    words: &'static [&'static str],
}

const FIELDS: [Field; 6] = [
    Field { name: "seconds", first: 0, last: 59, words: &[] },
    Field { name: "minutes", first: 0, last: 59, words: &[] },
    Field { name: "hours", first: 0, last: 23, words: &[] },
    Field { name: "days", first: 1, last: 31, words: &[] },
    Field {
        name: "months",
        first: 1,
        last: 12,
        words: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    },
    Field {
        name: "daysOfWeek",
        first: 0,
        last: 7,
        words: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    },
];

/// Checks a pattern of five or six fields, seconds first; a single date in ISO form passes too.
///
/// # Errors
/// The first mistake found.
pub fn check_cron(pattern: &str) -> Result<(), CronError> {
    let trimmed = pattern.trim();
    if is_date(trimmed) {
        return check_date(trimmed);
    }
    let parts: Vec<&str> = trimmed.split_whitespace().collect();
    let skipped = match parts.len() {
        5 => 1,
        6 => 0,
        _ => return Err(CronError::Parts(trimmed.to_owned())),
    };
    let parts: Vec<String> =
        parts.iter().zip(&FIELDS[skipped..]).map(|(part, field)| without_words(part, field)).collect();
    for (index, part) in parts.iter().enumerate() {
        check_characters(part, index + skipped)?;
    }
    parts.iter().zip(&FIELDS[skipped..]).try_for_each(|(part, field)| check_field(part, field))
}

fn is_date(pattern: &str) -> bool {
    let mut digits = pattern.bytes();
    let shape = b"dddd-dd-ddTdd:dd:dd";
    pattern.len() >= shape.len()
        && shape.iter().all(|expected| {
            digits.next().is_some_and(|byte| match expected {
                b'd' => byte.is_ascii_digit(),
                _ => byte == *expected,
            })
        })
        && matches!(digits.next(), None | Some(b'Z' | b'.' | b'+' | b'-'))
}

/// Whether the numbers of a text that [`is_date`] can be those of a date.
fn check_date(date: &str) -> Result<(), CronError> {
    let is_within = |place: std::ops::Range<usize>, first: u32, last: u32| {
        date[place].parse::<u32>().is_ok_and(|number| (first..=last).contains(&number))
    };
    let is_possible = is_within(5..7, 1, 12)
        && is_within(8..10, 1, 31)
        && is_within(11..13, 0, 23)
        && is_within(14..16, 0, 59)
        && is_within(17..19, 0, 59);
    is_possible.then_some(()).ok_or(CronError::Date)
}

/// Replaces month and weekday names by their numbers.
fn without_words(part: &str, field: &Field) -> String {
    let mut replaced = part.to_owned();
    if field.words.is_empty() {
        return replaced;
    }
    replaced = replaced.to_ascii_uppercase();
    for (number, word) in (field.first..).zip(field.words) {
        replaced = replaced.replace(word, &number.to_string());
    }
    // The untouched spelling is what a message about illegal characters shows.
    if replaced.eq_ignore_ascii_case(part) { part.to_owned() } else { replaced }
}

fn check_characters(part: &str, index: usize) -> Result<(), CronError> {
    const DAYS: usize = 3;
    let is_legal = |character: char| {
        character.is_ascii_digit()
            || matches!(character, '/' | '*' | ',' | '-' | '?')
            || (index == DAYS && character == 'L')
    };
    if part.chars().all(is_legal) {
        Ok(())
    } else {
        Err(CronError::Characters { index, part: part.to_owned() })
    }
}

fn check_field(part: &str, field: &Field) -> Result<(), CronError> {
    part.split(',').filter(|item| !item.is_empty()).try_for_each(|item| check_item(item, field))
}

fn check_item(item: &str, field: &Field) -> Result<(), CronError> {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    if let Some(step) = step {
        match step.parse::<u32>() {
            Ok(number) if number > 0 => {
                let n_values = field.last - if field.last == 7 { 1 } else { 0 } + 1 - field.first;
                if number > n_values {
                    return Err(CronError::StepTooLarge(n_values));
                }
            }
            Ok(_) | Err(_) => return Err(CronError::Step(step.to_owned())),
        }
    }
    if matches!(range, "*" | "?" | "L") || (range.is_empty() && step.is_some()) {
        return Ok(());
    }
    match range.split('-').collect::<Vec<_>>()[..] {
        [number] => check_value(number, item, field).map(drop),
        [lower, upper] => {
            let parse = |text: &str| text.parse::<u32>().ok();
            parse(lower).ok_or(CronError::LowerRange)?;
            parse(upper).ok_or(CronError::UpperRange)?;
            let lower = check_value(lower, item, field)?;
            let upper = check_value(upper, item, field)?;
            if lower > upper { Err(CronError::Backwards(item.to_owned())) } else { Ok(()) }
        }
        _ => Err(CronError::Range(item.to_owned())),
    }
}

fn check_value(text: &str, item: &str, field: &Field) -> Result<u32, CronError> {
    text.parse()
        .ok()
        .filter(|number| (field.first..=field.last).contains(number))
        .ok_or_else(|| CronError::OutOfRange { field: field.name, part: item.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted() {
        for pattern in [
            "* * * * *",
            "0 * * * * *",
            "0 0 * JAN MON-FRI",
            "0 0 * jan sun",
            "0 0 L * *",
            "? * * * *",
            "1,,2 0 * * *",
            "3/5 0 * * *",
            "*/15 0-6 * * 7",
            "  1   0 * * * ",
            "2030-01-01T00:00:00",
        ] {
            assert_eq!(check_cron(pattern), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn refused() {
        let check = |pattern: &str, expected: &str| {
            let error = check_cron(pattern).expect_err(pattern);
            assert_eq!(error.to_string(), format!("CronPattern: {expected}"));
        };
        check(
            "a b",
            "invalid configuration format ('a b'), exacly five or six space separated parts required.",
        );
        check(
            "@daily",
            "invalid configuration format ('@daily'), exacly five or six space separated parts required.",
        );
        check("61 * * * *", "minutes value out of range: '61'");
        check("0 24 * * *", "hours value out of range: '24'");
        check("0 0 0 * *", "days value out of range: '0'");
        check("0 0 * * 8", "daysOfWeek value out of range: '8'");
        check("0 0 L * 5#2", "configuration entry 5 (5#2) contains illegal characters.");
        check("0 0 15W * *", "configuration entry 3 (15W) contains illegal characters.");
        check("0 0 * FOO *", "configuration entry 4 (FOO) contains illegal characters.");
        check("5#2 0 * * *", "configuration entry 1 (5#2) contains illegal characters.");
        check("*/0 * * * *", "Syntax error, illegal stepping: 0");
        check("*/70 * * * *", "Syntax error, steps cannot be greater than maximum value of part (60)");
        check("5-2 * * * *", "From value is larger than to value: '5-2'");
        check("1-2-3 0 * * *", "Syntax error, illegal range: '1-2-3'");
        check("1- 0 * * *", "Syntax error, illegal upper range (NaN)");
    }
}
