//! JavaScript literals: what PM2 evaluates where JSON is expected, without evaluating anything.
//!
//! Objects, arrays, strings in all three quotes (without `${}`), numbers, `true`, `false`, `null`,
//! `undefined`, comments, trailing commas, unquoted keys and parentheses. No operators, no calls.

use serde_json::{Number, Value};
use thiserror::Error;

use crate::app::Map;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 128;

/// Where a text stops being a literal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{expected} expected at line {line}, column {column}")]
pub struct LiteralError {
    /// What would have been right.
    pub expected: &'static str,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// Reads one literal that fills the whole text; a semicolon may follow.
///
/// `undefined` members of objects are dropped, elsewhere it becomes null, and so do NaN and
/// infinities, as in `JSON.stringify`. Half a surrogate pair becomes U+FFFD.
///
/// # Errors
/// [`LiteralError`] at the first character that does not fit, and for nesting beyond 128.
pub fn parse_literal(text: &str) -> Result<Value, LiteralError> {
    let mut reader = Reader { text, position: 0 };
    let value = reader.value(0)?;
    reader.skip_blanks()?;
    reader.accept(';');
    reader.skip_blanks()?;
    if reader.peek().is_some() {
        return Err(reader.error("the end"));
    }
    Ok(value.unwrap_or(Value::Null))
}

/// A value, or `None` for `undefined`.
type Maybe = Option<Value>;

struct Reader<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.position += character.len_utf8();
        Some(character)
    }

    fn accept(&mut self, character: char) -> bool {
        let is_there = self.peek() == Some(character);
        if is_there {
            self.position += character.len_utf8();
        }
        is_there
    }

    fn error(&self, expected: &'static str) -> LiteralError {
        let before = &self.text[..self.position];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        LiteralError {
            expected,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// Skips white space and comments.
    fn skip_blanks(&mut self) -> Result<(), LiteralError> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            self.position += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.position += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                let end = trimmed.find("*/").ok_or_else(|| self.error("the end of the comment"))?;
                self.position += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Maybe, LiteralError> {
        if depth > MAX_DEPTH {
            return Err(self.error("less nesting"));
        }
        self.skip_blanks()?;
        match self.peek() {
            Some('{') => self.object(depth).map(|object| Some(Value::Object(object))),
            Some('[') => self.array(depth).map(|items| Some(Value::Array(items))),
            Some('(') => {
                self.position += 1;
                let value = self.value(depth + 1)?;
                self.skip_blanks()?;
                if self.accept(')') { Ok(value) } else { Err(self.error("`)`")) }
            }
            Some('"' | '\'' | '`') => self.string().map(|text| Some(Value::String(text))),
            Some('-' | '+' | '.' | '0'..='9') => self.number().map(Some),
            Some(first) if is_name_start(first) => self.word(),
            _ => Err(self.error("a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Map, LiteralError> {
        let mut object = Map::new();
        self.position += 1;
        loop {
            self.skip_blanks()?;
            if self.accept('}') {
                return Ok(object);
            }
            let key = self.key()?;
            self.skip_blanks()?;
            if !self.accept(':') {
                return Err(self.error("`:`"));
            }
            match self.value(depth + 1)? {
                Some(value) => object.insert(key, value),
                None => object.shift_remove(&key),
            };
            self.separator('}', "`,` or `}`")?;
        }
    }

    fn key(&mut self) -> Result<String, LiteralError> {
        match self.peek() {
            Some('"' | '\'') => self.string(),
            Some('0'..='9') => match self.number()? {
                Value::Number(number) => Ok(number.to_string()),
                _ => Err(self.error("a key")),
            },
            Some(first) if is_name_start(first) => Ok(self.name().to_owned()),
            _ => Err(self.error("a key")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>, LiteralError> {
        let mut items = Vec::new();
        self.position += 1;
        loop {
            self.skip_blanks()?;
            if self.accept(']') {
                return Ok(items);
            }
            if self.accept(',') {
                items.push(Value::Null);
                continue;
            }
            items.push(self.value(depth + 1)?.unwrap_or(Value::Null));
            self.separator(']', "`,` or `]`")?;
        }
    }

    /// Takes a comma unless the closing bracket follows.
    fn separator(&mut self, closing: char, expected: &'static str) -> Result<(), LiteralError> {
        self.skip_blanks()?;
        if self.accept(',') || self.peek() == Some(closing) { Ok(()) } else { Err(self.error(expected)) }
    }

    fn name(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !(is_name_start(c) || c.is_numeric())).unwrap_or(rest.len());
        self.position += end;
        &rest[..end]
    }

    fn word(&mut self) -> Result<Maybe, LiteralError> {
        let start = self.position;
        match self.name() {
            "true" => Ok(Some(Value::Bool(true))),
            "false" => Ok(Some(Value::Bool(false))),
            "null" | "NaN" | "Infinity" => Ok(Some(Value::Null)),
            "undefined" => Ok(None),
            _ => {
                self.position = start;
                Err(self.error("a value"))
            }
        }
    }

    fn number(&mut self) -> Result<Value, LiteralError> {
        let start = self.position;
        let sign = match self.peek() {
            Some('-') => {
                self.position += 1;
                "-"
            }
            Some('+') => {
                self.position += 1;
                ""
            }
            _ => "",
        };
        let rest = self.rest();
        let end = rest
            .char_indices()
            .find(|&(at, c)| {
                let is_exponent_sign = matches!(c, '-' | '+')
                    && !rest.starts_with("0x")
                    && at > 0
                    && matches!(rest.as_bytes()[at - 1], b'e' | b'E');
                !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || is_exponent_sign)
            })
            .map_or(rest.len(), |(at, _)| at);
        let digits = rest[..end].replace('_', "");
        self.position += end;
        if digits == "Infinity" {
            return Ok(Value::Null);
        }
        number_value(sign, &digits).ok_or_else(|| {
            self.position = start;
            self.error("a number")
        })
    }

    fn string(&mut self) -> Result<String, LiteralError> {
        let quote = self.next().ok_or_else(|| self.error("a string"))?;
        let mut text = String::new();
        // The first half of a surrogate pair, waiting for the second.
        let mut high: Option<u32> = None;
        loop {
            let start = self.position;
            let character = self.next().ok_or_else(|| self.error("the closing quote"))?;
            let unit = if character == '\\' {
                self.escape()?
            } else {
                if character == quote {
                    push_unit(&mut text, &mut high, None);
                    return Ok(text);
                }
                let is_template = quote == '`';
                if (character == '\n' && !is_template)
                    || (is_template && character == '$' && self.peek() == Some('{'))
                {
                    self.position = start;
                    return Err(self.error("the closing quote"));
                }
                Some(u32::from(character))
            };
            if unit.is_some() {
                push_unit(&mut text, &mut high, unit);
            }
        }
    }

    /// The character after a backslash; `None` for a line that goes on.
    fn escape(&mut self) -> Result<Option<u32>, LiteralError> {
        let escaped = self.next().ok_or_else(|| self.error("an escape"))?;
        Ok(Some(match escaped {
            'n' => 0x0a,
            't' => 0x09,
            'r' => 0x0d,
            'b' => 0x08,
            'f' => 0x0c,
            'v' => 0x0b,
            '0' => 0x00,
            'x' => self.hexadecimal(2)?,
            'u' if self.accept('{') => {
                let digits = self.rest().find('}').filter(|length| (1..=6).contains(length));
                let length = digits.ok_or_else(|| self.error("`}`"))?;
                let unit = self.hexadecimal(length)?;
                self.position += 1;
                unit
            }
            'u' => self.hexadecimal(4)?,
            '\r' => {
                self.accept('\n');
                return Ok(None);
            }
            '\n' | '\u{2028}' | '\u{2029}' => return Ok(None),
            other => u32::from(other),
        }))
    }

    fn hexadecimal(&mut self, length: usize) -> Result<u32, LiteralError> {
        let digits = self.rest().get(..length).unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(self.error("hexadecimal digits"));
        }
        self.position += length;
        u32::from_str_radix(digits, 16).map_err(|_| self.error("hexadecimal digits"))
    }
}

/// Appends a UTF-16 unit or a code point, joining surrogate pairs; `None` ends the text.
fn push_unit(text: &mut String, high: &mut Option<u32>, unit: Option<u32>) {
    if let Some(first) = high.take() {
        match unit {
            Some(second @ 0xdc00..=0xdfff) => {
                let joined = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                text.push(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
                return;
            }
            _ => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
    match unit {
        Some(first @ 0xd800..=0xdbff) => *high = Some(first),
        Some(unit) => text.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)),
        None => {}
    }
}

fn number_value(sign: &str, digits: &str) -> Option<Value> {
    let radix = match digits.get(..2) {
        Some("0x" | "0X") => Some(16),
        Some("0o" | "0O") => Some(8),
        Some("0b" | "0B") => Some(2),
        _ => None,
    };
    if let Some(radix) = radix {
        let number = i64::from_str_radix(digits.get(2..)?, radix).ok()?;
        return Some(Value::from(if sign == "-" { -number } else { number }));
    }
    let is_decimal = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit());
    if !is_decimal {
        return None;
    }
    let text = format!("{sign}{digits}");
    if let Ok(number) = text.parse::<i64>() {
        return Some(Value::from(number));
    }
    let number: f64 = text.parse().ok()?;
    Some(Number::from_f64(number).map_or(Value::Null, Value::Number))
}

fn is_name_start(character: char) -> bool {
    character.is_alphabetic() || matches!(character, '_' | '$')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn literals() {
        let check = |text: &str, expected: Value| {
            assert_eq!(parse_literal(text), Ok(expected), "{text}");
        };
        check("({})", json!({}));
        check(" // c\n[1, 2, /* x */ 3,] ; ", json!([1, 2, 3]));
        check("[,1,,]", json!([null, 1, null]));
        check(
            "{a: 1, 'b-c': 2, \"d\": 3, $e_1: 4, 5: 6, é: 7}",
            json!({
                "a": 1, "b-c": 2, "d": 3, "$e_1": 4, "5": 6, "é": 7,
            }),
        );
        check("{a: undefined, b: [undefined]}", json!({"b": [null]}));
        check(
            "[0x10, 0b11, 0o7, .5, 5., 1e3, 1E-1, -2, +3, 1_000]",
            json!([16, 3, 7, 0.5, 5.0, 1000.0, 0.1, -2, 3, 1000,]),
        );
        check("[NaN, Infinity, -Infinity, true, false, null]", json!([null, null, null, true, false, null,]));
        check(
            r#"'a\'b"\x41\u00e9\u{1f600}\ud83d\ude00\z\
c'"#,
            json!("a'b\"Aé😀😀zc"),
        );
        check("`two\nlines`", json!("two\nlines"));
        check(r#""\ud800x""#, json!("\u{fffd}x"));
        check(r#""\ud800""#, json!("\u{fffd}"));
        check(r#""\udc00""#, json!("\u{fffd}"));
        check("{__proto__: 1, a: 1, a: 2}", json!({"__proto__": 1, "a": 2}));
    }

    #[test]
    fn refusals() {
        let check = |text: &str, expected: &str| {
            let error = parse_literal(text).expect_err(text);
            assert_eq!(error.to_string(), expected, "{text}");
        };
        check("", "a value expected at line 1, column 1");
        check("{a: b}", "a value expected at line 1, column 5");
        check("[1 2]", "`,` or `]` expected at line 1, column 4");
        check("{\n a 1}", "`:` expected at line 2, column 4");
        check("[1] [2]", "the end expected at line 1, column 5");
        check("'open", "the closing quote expected at line 1, column 6");
        check("`${x}`", "the closing quote expected at line 1, column 2");
        check("/* open", "the end of the comment expected at line 1, column 1");
        check("process.exit()", "a value expected at line 1, column 1");
        check("[1 + 1]", "`,` or `]` expected at line 1, column 4");
        check("[1x]", "a number expected at line 1, column 2");
        check("'\\u12'", "hexadecimal digits expected at line 1, column 4");
        assert!(parse_literal(&"(".repeat(100_000)).is_err());
        assert!(parse_literal(&"{a:".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]{}():,'\"`\\\\a-z0-9.$u+\\-/*\n\u{e9} ]{0,60}") {
            let _ = parse_literal(&text);
        }

        #[test]
        fn json_strings_come_back(text in any::<String>()) {
            let json = json!([{ "k": &text }]);
            prop_assert_eq!(parse_literal(&json.to_string()), Ok(json));
        }
    }
}
