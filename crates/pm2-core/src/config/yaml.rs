//! YAML text as a JSON value.
//!
//! Which plain words are numbers, truths or nothing is YAML 1.2's core schema as js-yaml 4 has it, because PM2 reads
//! its files with that: `0o17` is octal and `017` is seventeen, `yes` and `on` are text, `<<` merges, a key written
//! twice is an error. A date stays the text that was written.

use std::collections::HashMap;

use libyaml_safer::{Event, EventData, Mark, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};
use thiserror::Error;

/// Collections inside each other.
const MAX_DEPTH: usize = 100;
/// Values in a document, counted again wherever an alias repeats them.
const MAX_VALUES: usize = 200_000;
/// The key that lays other maps under the one it is in.
const MERGE: &str = "<<";

/// Why a text is no YAML, and where: line and column count from 1, in characters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} ({line}:{column})")]
pub struct YamlError {
    /// What is wrong.
    pub message: String,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl YamlError {
    fn new(message: impl Into<String>, at: Mark) -> Self {
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).saturating_add(1);
        Self { message: message.into(), line: place(at.line), column: place(at.column) }
    }
}

/// The value of a text with one document, `null` for one with none. Nesting and what aliases make of a small text
/// are bounded.
///
/// # Errors
/// [`YamlError`].
pub fn parse(text: &str) -> Result<Value, YamlError> {
    let mut reader = Reader::default();
    let mut bytes = text.trim_start_matches('\u{feff}').as_bytes();
    let mut parser = Parser::new();
    parser.set_input_string(&mut bytes);
    loop {
        let event = parser.parse().map_err(|error| mistake(&error, text))?;
        if event.data == EventData::StreamEnd {
            return Ok(reader.document.unwrap_or_default());
        }
        reader.take(event)?;
    }
}

fn mistake(error: &libyaml_safer::Error, text: &str) -> YamlError {
    if let Some(at) = error.problem_mark() {
        return YamlError::new(error.problem(), at);
    }
    // The only mistake without a mark: a character that no text may have.
    let is_wrong =
        |character: char| character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\u{85}');
    let before = text.split(is_wrong).next().unwrap_or_default();
    let last_line = before.rsplit('\n').next().unwrap_or_default();
    YamlError {
        message: error.problem().to_owned(),
        line: before.matches('\n').count() + 1,
        column: last_line.chars().count() + 1,
    }
}

#[derive(Default)]
struct Reader {
    open: Vec<Collection>,
    /// What an alias stands for, with the number of its values.
    anchors: HashMap<String, (Value, usize)>,
    document: Option<Value>,
    n_values: usize,
}

struct Collection {
    kind: Kind,
    anchor: Option<String>,
    /// `n_values` when it began.
    began: usize,
}

enum Kind {
    List(Vec<Value>),
    Map { members: Map<String, Value>, merged: Vec<(Value, Mark)>, key: Option<(String, bool)> },
}

impl Reader {
    fn take(&mut self, event: Event) -> Result<(), YamlError> {
        let at = event.start_mark;
        match event.data {
            EventData::DocumentStart { .. } if self.document.is_some() => {
                Err(YamlError::new("expected a single document in the stream, but found more", at))
            }
            EventData::Alias { anchor } => {
                let Some((value, n_values)) = self.anchors.get(&anchor).cloned() else {
                    return Err(YamlError::new(format!("unidentified alias \"{anchor}\""), at));
                };
                self.count(n_values, at)?;
                self.put(value, None, at)
            }
            EventData::Scalar { anchor, tag, value: text, style, .. } => {
                self.count(1, at)?;
                let is_plain = style == ScalarStyle::Plain;
                let value = scalar(&text, is_plain, tag.as_deref(), at)?;
                if let Some(anchor) = anchor {
                    self.anchors.insert(anchor, (value.clone(), 1));
                }
                let is_merge = is_plain && tag.is_none() && text == MERGE;
                self.put(value, is_merge.then_some(MERGE), at)
            }
            EventData::SequenceStart { anchor, tag, .. } => {
                check_tag(tag.as_deref(), "seq", at)?;
                self.begin(Kind::List(Vec::new()), anchor, at)
            }
            EventData::MappingStart { anchor, tag, .. } => {
                check_tag(tag.as_deref(), "map", at)?;
                self.begin(Kind::Map { members: Map::new(), merged: Vec::new(), key: None }, anchor, at)
            }
            EventData::SequenceEnd | EventData::MappingEnd => self.end(at),
            _ => Ok(()),
        }
    }

    fn count(&mut self, n_values: usize, at: Mark) -> Result<(), YamlError> {
        self.n_values += n_values;
        if self.n_values > MAX_VALUES {
            return Err(YamlError::new(format!("more than {MAX_VALUES} values, aliases included"), at));
        }
        Ok(())
    }

    fn begin(&mut self, kind: Kind, anchor: Option<String>, at: Mark) -> Result<(), YamlError> {
        self.count(1, at)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlError::new(format!("nested more than {MAX_DEPTH} deep"), at));
        }
        if let Some(Collection { kind: Kind::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(YamlError::new("a key must be a single word or text", at));
        }
        self.open.push(Collection { kind, anchor, began: self.n_values });
        Ok(())
    }

    fn end(&mut self, at: Mark) -> Result<(), YamlError> {
        let Some(Collection { kind, anchor, began }) = self.open.pop() else { return Ok(()) };
        let value = match kind {
            Kind::List(items) => Value::Array(items),
            Kind::Map { mut members, merged, .. } => {
                for (under, at) in merged {
                    lay_under(&mut members, under, at)?;
                }
                Value::Object(members)
            }
        };
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, (value.clone(), self.n_values - began + 1));
        }
        self.put(value, None, at)
    }

    /// Puts a finished value where it belongs. `merge` when it is the merge key, should it be a key.
    fn put(&mut self, value: Value, merge: Option<&str>, at: Mark) -> Result<(), YamlError> {
        match self.open.last_mut().map(|collection| &mut collection.kind) {
            None => self.document = Some(value),
            Some(Kind::List(items)) => items.push(value),
            Some(Kind::Map { members, merged, key }) => match key.take() {
                None => {
                    let name = match &value {
                        Value::String(text) => text.clone(),
                        Value::Array(_) | Value::Object(_) => {
                            return Err(YamlError::new("a key must be a single word or text", at));
                        }
                        other => other.to_string(),
                    };
                    if merge.is_none() && members.contains_key(&name) {
                        return Err(YamlError::new("duplicated mapping key", at));
                    }
                    *key = Some((name, merge.is_some()));
                }
                Some((_, true)) => merged.push((value, at)),
                Some((name, false)) => {
                    members.insert(name, value);
                }
            },
        }
        Ok(())
    }
}

/// Adds the members that are not there yet; of a list of maps the first counts most.
fn lay_under(members: &mut Map<String, Value>, under: Value, at: Mark) -> Result<(), YamlError> {
    let maps = match under {
        Value::Array(maps) => maps,
        one => vec![one],
    };
    for map in maps {
        let Value::Object(map) = map else {
            return Err(YamlError::new(
                "cannot merge mappings; the provided source object is unacceptable",
                at,
            ));
        };
        for (key, value) in map {
            members.entry(key).or_insert(value);
        }
    }
    Ok(())
}

/// What YAML's own types begin with.
const CORE: &str = "tag:yaml.org,2002:";

/// A collection may name its own type, which says nothing new; other tags are for other programs.
fn check_tag(tag: Option<&str>, own: &str, at: Mark) -> Result<(), YamlError> {
    match tag {
        Some(tag) if tag != "!" && tag.strip_prefix(CORE) != Some(own) => Err(unknown_tag(tag, at)),
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &str, at: Mark) -> YamlError {
    YamlError::new(format!("unknown tag !<{tag}>"), at)
}

fn scalar(text: &str, is_plain: bool, tag: Option<&str>, at: Mark) -> Result<Value, YamlError> {
    let Some(tag) = tag.filter(|tag| *tag != "!") else {
        return Ok(if is_plain { plain(text) } else { text.into() });
    };
    let value = plain(text);
    let fits = match tag.strip_prefix(CORE) {
        Some("str" | "timestamp" | "binary") => return Ok(text.into()),
        Some("int") => value.is_i64() || value.is_u64(),
        Some("float") => value.is_number(),
        Some("bool") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => return Err(unknown_tag(tag, at)),
    };
    match fits {
        true => Ok(value),
        false => Err(YamlError::new(format!("cannot resolve a node with !<{tag}> explicit tag"), at)),
    }
}

/// A word without quotes.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| text.into(), Value::Number),
    }
}

/// Whole numbers in four notations, else a decimal fraction; infinities and NaN, which JSON has no number for, stay text.
fn number(text: &str) -> Option<Number> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.')) || text.contains('_') {
        return None;
    }
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (if first == b'-' { -1.0 } else { 1.0 }, digits),
        None => (1.0, text),
    };
    let radix = match digits.get(..2) {
        Some("0b") => 2,
        Some("0o") => 8,
        Some("0x") => 16,
        _ => 10,
    };
    if radix != 10 {
        let magnitude =
            u64::from_str_radix(&digits[2..], radix).ok().filter(|_| !digits[2..].starts_with('+'))?;
        #[expect(clippy::cast_precision_loss, reason = "JavaScript has no other numbers")]
        return crate::app::number_from_f64(sign * magnitude as f64);
    }
    let is_decimal =
        digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !is_decimal
        || digits.starts_with(['e', 'E', '+', '-'])
        || !digits.contains(|digit: char| digit.is_ascii_digit())
    {
        return None;
    }
    crate::app::number_from_f64(sign * digits.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words() {
        let check = |text: &str, expected: Value| assert_eq!(parse(text), Ok(expected), "{text}");
        for nothing in ["", "~", "null", "Null", "NULL", "# only a comment", "---"] {
            check(nothing, Value::Null);
        }
        check("True", json!(true));
        check("FALSE", json!(false));
        for text in [
            "yes",
            "on",
            "n",
            "nULL",
            "1:30",
            "2001-12-14",
            "1.2.3",
            "_1",
            "1_",
            "0o9",
            "0xg",
            ".inf",
            "e5",
            "1e",
        ] {
            check(text, json!(text));
        }
        check("'5'", json!("5"));
        check("\"a\\nb\"", json!("a\nb"));
        for (text, expected) in [
            ("017", json!(17)),
            ("0o17", json!(15)),
            ("0x1F", json!(31)),
            ("-0b11", json!(-3)),
            ("1e3", json!(1000)),
            (".5", json!(0.5)),
            ("1.", json!(1)),
            ("-1.5", json!(-1.5)),
            ("!!str 5", json!("5")),
            ("!!int '5'", json!(5)),
            ("!!float 5", json!(5)),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn collections() {
        let text = "
base: &base
  script: app.js
  env: &env {A: 1}
apps:
  - <<: *base
    name: one
  - name: two
    <<: [*base, {script: other.js, args: [x, 'y z']}]
    env:
      <<: *env
      B: |
        two
        lines
  - {1: a, null: b, true: c}
";
        let expected = json!([
            {"name": "one", "script": "app.js", "env": {"A": 1}},
            {"name": "two", "env": {"B": "two\nlines\n", "A": 1}, "script": "app.js", "args": ["x", "y z"]},
            {"1": "a", "null": "b", "true": "c"},
        ]);
        assert_eq!(parse(text).unwrap()["apps"], expected);
        assert_eq!(parse("\u{feff}a: 1\r\nb: 2\r\n"), Ok(json!({"a": 1, "b": 2})));
    }

    #[test]
    fn layouts_people_write() {
        let check = |text: &str, expected: Value| assert_eq!(parse(text), Ok(expected), "{text}");
        check("a:\t1", json!({"a": 1}));
        check("{\n\t\"a\":\t1\n}", json!({"a": 1}));
        check(
            "apps:\n  - args: [\n    a,\n    b\n  ]\n    name: x",
            json!({"apps": [{"args": ["a", "b"], "name": "x"}]}),
        );
        check("a: [\n1]", json!({"a": [1]}));
        check("a: \"multi\nline\"", json!({"a": "multi line"}));
        check("a: !<tag:yaml.org,2002:str> 1\nb: ! x", json!({"a": "1", "b": "x"}));
        check("%YAML 1.2\n---\na: 1\n...\n", json!({"a": 1}));
    }

    #[test]
    fn mistakes_have_a_place() {
        let check = |text: &str, expected: [usize; 2], message: &str| {
            let error = parse(text).unwrap_err();
            assert_eq!([error.line, error.column], expected, "{text}: {error}");
            assert!(error.message.contains(message), "{text}: {error}");
        };
        check("apps:\n  - a: [1\nb: 2", [3, 2], "did not find expected ',' or ']'");
        check("a: 1\na: 2", [2, 1], "duplicated mapping key");
        check("a: *nobody", [1, 4], "unidentified alias");
        check("\tname: x", [1, 1], "cannot start any token");
        check("a: 1\nb: '\u{1}'", [2, 5], "control characters");
        check("a: 1\n---\nb: 2", [2, 1], "single document");
        check("a: !secret x", [1, 4], "unknown tag !<!secret>");
        check("a: !!int x", [1, 4], "cannot resolve");
        check("<<: 5", [1, 5], "merge");
    }

    #[test]
    fn small_texts_stay_small() {
        let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..10 {
            let below = level - 1;
            laughs.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 9].join(",")));
        }
        assert!(parse(&laughs).unwrap_err().message.contains("more than"));
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse("a: &a [*a]").is_err());
    }
}
