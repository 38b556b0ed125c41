//! Values in the languages of init files.

/// A word of a POSIX shell; quoted only where it has to be.
pub(super) fn shell(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "@%+=:,./_-".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A value in a unit of systemd, where `%` begins a specifier; quoted only where it has to be.
pub(super) fn unit(value: &str) -> String {
    let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%");
    let needs_quotes = value.contains(|letter: char| letter.is_whitespace() || "'\"\\;".contains(letter));
    if needs_quotes { format!("\"{escaped}\"") } else { escaped }
}

/// Text in XML.
pub(super) fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(shell("/usr/bin/pm2-rs"), "/usr/bin/pm2-rs");
        assert_eq!(shell("a b"), "'a b'");
        assert_eq!(shell("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(shell(""), "''");
        assert_eq!(unit("PATH=/bin:/usr/bin"), "PATH=/bin:/usr/bin");
        assert_eq!(unit("/opt/100%/my app"), "\"/opt/100%%/my app\"");
        assert_eq!(unit(r#"a"\"#), r#""a\"\\""#);
        assert_eq!(xml("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
