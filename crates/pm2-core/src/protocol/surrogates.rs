//! Lone surrogate escapes in JSON text.

use std::borrow::Cow;

/// Length of `\uXXXX`.
const ESCAPE: usize = 6;

/// The JSON text with each `\uD800`–`\uDFFF` escape that is not half of a pair replaced by `\ufffd`.
///
/// JavaScript strings may hold half a surrogate pair and `JSON.stringify` writes it as an escape.
/// `serde_json` refuses the whole text then; one broken character must not cost the message.
/// Borrowed when nothing had to change.
#[must_use]
pub fn repair_surrogates(text: &str) -> Cow<'_, str> {
    let mut repaired = String::new();
    let mut n_copied = 0;
    let mut position = 0;
    while let Some(offset) = text[position..].find('\\') {
        position += offset;
        let rest = &text.as_bytes()[position..];
        match surrogate(rest) {
            Some(0xd800..=0xdbff) if matches!(surrogate(&rest[ESCAPE..]), Some(0xdc00..=0xdfff)) => {
                position += 2 * ESCAPE;
            }
            Some(_) => {
                repaired.push_str(&text[n_copied..position]);
                repaired.push_str("\\ufffd");
                position += ESCAPE;
                n_copied = position;
            }
            None => {
                // The escaped character may be a backslash, which then starts nothing.
                let escaped = text[position + 1..].chars().next();
                position += 1 + escaped.map_or(0, char::len_utf8);
            }
        }
    }
    if n_copied == 0 {
        return Cow::Borrowed(text);
    }
    repaired.push_str(&text[n_copied..]);
    Cow::Owned(repaired)
}

/// Like [`repair_surrogates`], for a text that is owned already.
pub(super) fn repair_owned(text: String) -> String {
    match repair_surrogates(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(repaired) => repaired,
    }
}

/// The surrogate whose escape the bytes start with.
fn surrogate(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.get(..ESCAPE)?.strip_prefix(b"\\u")?;
    let code = digits
        .iter()
        .try_fold(0, |code, digit| char::from(*digit).to_digit(16).map(|value| code * 16 + value))?;
    (0xd800..=0xdfff).contains(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let repaired = repair_surrogates(text);
        assert_eq!(repaired, expected);
        assert_eq!(matches!(repaired, Cow::Borrowed(_)), text == expected);
        assert!(serde_json::from_str::<serde_json::Value>(&repaired).is_ok());
    }

    #[test]
    fn only_lone_surrogates_change() {
        check(r#""plain""#, r#""plain""#);
        check(r#""\ud83d\ude00""#, r#""\ud83d\ude00""#);
        check(r#""\uD83D\uDE00 \u001b \n""#, r#""\uD83D\uDE00 \u001b \n""#);
        check(r#""a\ud800b""#, r#""a\ufffdb""#);
        check(r#""\udc00""#, r#""\ufffd""#);
        check(r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#);
        check(r#""\ud800\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#);
        check(r#""\ud800\n""#, r#""\ufffd\n""#);
        check(r#""\ud800\u0041""#, r#""\ufffd\u0041""#);
        check(r#"{"\udfff":["\uD8ff"]}"#, r#"{"\ufffd":["\ufffd"]}"#);
    }

    #[test]
    fn an_escaped_backslash_starts_no_escape() {
        check(r#""\\ud800""#, r#""\\ud800""#);
        check(r#""\\\ud800""#, r#""\\\ufffd""#);
    }

    #[test]
    fn broken_text_is_left_to_the_parser() {
        for text in ["\\", "\\u", "\\ud8", "\\ud80x", "\\é", "\\u+800", "\\ué000"] {
            assert_eq!(repair_surrogates(text), text);
        }
    }
}
