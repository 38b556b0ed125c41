//! Conversions of single values, with JavaScript's idea of a number.
//!
//! Behaviour of PM2 7.0.4, specification `options.md` §2.

use serde_json::{Number, Value};

/// Bytes per step of the size units.
const KIBI: u64 = 1024;

/// The number JavaScript's `parseFloat` gives for a value that `isNaN` lets pass; `None` for
/// booleans, for text that is no number and for what would become NaN.
pub(crate) fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => number_of_text(text),
        // JavaScript turns `[5]` into "5".
        Value::Array(items) => match items.as_slice() {
            [item @ (Value::Number(_) | Value::String(_))] => number(item),
            _ => None,
        },
        Value::Null | Value::Bool(_) | Value::Object(_) => None,
    }
}

fn number_of_text(text: &str) -> Option<Number> {
    let text = text.trim();
    let digits = text
        .get(..2)
        .filter(|prefix| matches!(*prefix, "0x" | "0X" | "0o" | "0O" | "0b" | "0B"))
        .map(|_| &text[2..]);
    if let Some(digits) = digits {
        // A number for `isNaN`, but `parseFloat` reads only the zero.
        let radix = match text.as_bytes()[1].to_ascii_lowercase() {
            b'x' => 16,
            b'o' => 8,
            _ => 2,
        };
        let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        return is_number.then(|| Number::from(0));
    }
    let is_decimal =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    if !is_decimal {
        return None;
    }
    number_from_f64(text.parse().ok()?)
}

/// A JSON number, without a fraction when there is none; `None` for infinities and NaN.
#[expect(clippy::cast_possible_truncation, reason = "guarded: integral and within 53 bits")]
pub(crate) fn number_from_f64(number: f64) -> Option<Number> {
    const MAX_SAFE: f64 = 9_007_199_254_740_991.0;
    if number.fract() == 0.0 && number.abs() <= MAX_SAFE {
        Some(Number::from(number as i64))
    } else {
        Number::from_f64(number)
    }
}

/// Bytes written as `<digits>` with `K`, `M` or `G`; `None` if the text is something else.
pub(crate) fn size(text: &str) -> Option<Number> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'G' => (&text[..text.len() - 1], KIBI * KIBI * KIBI),
        b'M' => (&text[..text.len() - 1], KIBI * KIBI),
        b'K' => (&text[..text.len() - 1], KIBI),
        _ => (text, 1),
    };
    scaled(digits, factor)
}

/// Milliseconds written as `<digits>` with `h`, `m` or `s`; `None` if the text is something else.
pub(crate) fn time(text: &str) -> Option<Number> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'h' => (&text[..text.len() - 1], 3_600_000),
        b'm' => (&text[..text.len() - 1], 60_000),
        b's' => (&text[..text.len() - 1], 1_000),
        _ => (text, 1),
    };
    scaled(digits, factor)
}

fn scaled(digits: &str, factor: u64) -> Option<Number> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(Number::from(number.checked_mul(factor)?))
}

/// Splits a command line on blanks.
///
/// A token that is quoted as a whole loses its quotes, `--x='1 2'` keeps them, empty quotes vanish,
/// a quote that is never closed is an ordinary character.
pub(crate) fn split_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' || first == '\'' {
            match rest[1..].find(first) {
                Some(0) => 2,
                Some(end) => {
                    words.push(rest[1..=end].to_owned());
                    end + 2
                }
                None => push_plain(&mut words, rest),
            }
        } else {
            push_plain(&mut words, rest)
        };
        rest = rest[length..].trim_start();
    }
    words
}

/// Takes the characters up to the next blank; a quoted part right after the first `=` belongs to them.
fn push_plain(words: &mut Vec<String>, rest: &str) -> usize {
    let blank = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let mut end = blank;
    if let Some(equals) = rest[..blank].find('=').filter(|equals| *equals > 0) {
        let value = &rest[equals + 1..];
        let quote = value.chars().next().filter(|&c| c == '"' || c == '\'');
        if let Some(close) = quote.and_then(|quote| value[1..].find(quote)) {
            end = equals + 1 + close + 2;
        }
    }
    words.push(rest[..end].to_owned());
    end
}

/// The name JavaScript's `Object.prototype.toString` has for the value, as the messages show it.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "[object Null]",
        Value::Bool(_) => "[object Boolean]",
        Value::Number(_) => "[object Number]",
        Value::String(_) => "[object String]",
        Value::Array(_) => "[object Array]",
        Value::Object(_) => "[object Object]",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers() {
        let check = |input: Value, expected: Option<Value>| {
            assert_eq!(number(&input).map(Value::Number), expected, "{input}");
        };
        check(json!(5), Some(json!(5)));
        check(json!("100"), Some(json!(100)));
        check(json!("1.5"), Some(json!(1.5)));
        check(json!(" 5 "), Some(json!(5)));
        check(json!("1e3"), Some(json!(1000)));
        check(json!("-5"), Some(json!(-5)));
        check(json!("0x10"), Some(json!(0)));
        check(json!([5]), Some(json!(5)));
        check(json!(["42"]), Some(json!(42)));
        check(json!([]), None);
        check(json!([1, 2]), None);
        check(json!(""), None);
        check(json!("0x"), None);
        check(json!("1s"), None);
        check(json!("Infinity"), None);
        check(json!("nan"), None);
        check(json!("1e999"), None);
        check(json!(true), None);
        check(json!("é"), None);
    }

    #[test]
    fn sizes_and_times() {
        let check = |found: Option<Number>, expected: Option<u64>| {
            assert_eq!(found, expected.map(Number::from));
        };
        check(size("100"), Some(100));
        check(size("2K"), Some(2048));
        check(size("100M"), Some(104_857_600));
        check(size("1G"), Some(1_073_741_824));
        for wrong in ["100m", "1.5G", "100MB", "", "G", "-1K", "é", "99999999999999999999G"] {
            check(size(wrong), None);
        }
        check(time("0s"), Some(0));
        check(time("2m"), Some(120_000));
        check(time("1h"), Some(3_600_000));
        for wrong in ["1d", "1.5s", "s", "1S", ""] {
            check(time(wrong), None);
        }
    }

    #[test]
    fn words() {
        let check = |line: &str, expected: &[&str]| assert_eq!(split_words(line), expected, "{line}");
        check("", &[]);
        check("   ", &[]);
        check("a  b\tc", &["a", "b", "c"]);
        check("one \"two words\" --x=1", &["one", "two words", "--x=1"]);
        check("a 'b c' --x='1 2'", &["a", "b c", "--x='1 2'"]);
        check("x\"y z\"w 'q", &["x\"y", "z\"w", "'q"]);
        check("--a=\"1 2\" \"c d\"e '' \"\" a\\ b", &["--a=\"1 2\"", "c d", "e", "a\\", "b"]);
        check("--é='ü ö' é", &["--é='ü ö'", "é"]);
        check("--x='open", &["--x='open"]);
        check("=\"x y\"", &["=\"x", "y\""]);
    }
}
