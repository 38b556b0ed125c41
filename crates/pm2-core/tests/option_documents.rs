//! What is written about the options elsewhere says what the table says.
//!
//! `UPDATE_OPTIONS=1 cargo test -p pm2-core --test option_documents` writes it anew from the table.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use pm2_core::app::options::{Kind, OPTIONS, OptionSpec, Unit};
use serde_json::{Value, json};

fn checkout(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

/// Compares a file, or the part of it between two marks, with what it should be.
fn check(file: &str, marks: Option<[&str; 2]>, expected: &str) {
    let path = checkout(file);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let range = match marks {
        None => 0..text.len(),
        Some([begin, end]) => {
            let from = text.find(begin).expect("the first mark is there") + begin.len();
            from..from + text[from..].find(end).expect("the second mark is there")
        }
    };
    if std::env::var_os("UPDATE_OPTIONS").is_some() {
        let mut text = text;
        text.replace_range(range, expected);
        fs::write(path, text).expect("the checkout is writable");
    } else {
        assert!(
            text[range] == *expected,
            "{file} differs from the table of options: run this test with UPDATE_OPTIONS=1",
        );
    }
}

fn unit(option: &OptionSpec) -> Option<&'static str> {
    match option.kind.unit() {
        Unit::One => None,
        Unit::Millisecond => Some("ms"),
        Unit::Byte => Some("bytes"),
    }
}

fn kind_name(kind: Kind) -> String {
    let name = format!("{kind:?}");
    name.split('(').next().unwrap_or_default().to_owned()
}

#[test]
fn the_table_as_json() {
    let rows: Vec<Value> = OPTIONS
        .iter()
        .map(|option| {
            json!({
                "name": option.name,
                "aliases": option.aliases,
                "kind": kind_name(option.kind),
                "types": option.kind.type_names(),
                "unit": unit(option),
                "default": option.default.value(),
                "doc": option.doc,
            })
        })
        .collect();
    let rows: Vec<String> = rows.iter().map(|row| format!("  {row}")).collect();
    check("__test__/options.json", None, &format!("[\n{}\n]\n", rows.join(",\n")));
}

#[test]
fn the_types_of_the_module() {
    let mut text = String::from("\n");
    for option in OPTIONS {
        let written = typescript(option);
        writeln!(text, "    /** {} */", option.doc.replace("*/", "* /")).unwrap();
        for name in std::iter::once(&option.name).chain(option.aliases) {
            writeln!(text, "    {name}?: {written}").unwrap();
        }
    }
    text.push_str("    ");
    check("index.d.ts", Some(["// <options>", "// </options>"]), &text);
}

fn typescript(option: &OptionSpec) -> &'static str {
    match (option.name, option.kind) {
        ("env", _) => "Environment",
        ("instances", _) => "number | string",
        ("args", _) => "string | Array<string | number>",
        (_, Kind::Text) => "string",
        (_, Kind::TextOrNumber | Kind::Size | Kind::Time) => "number | string",
        (_, Kind::Switch) => "boolean",
        (_, Kind::SwitchOrText) => "boolean | string",
        (_, Kind::SwitchListOrText) => "boolean | string | string[]",
        (_, Kind::Number(_) | Kind::Count) => "number",
        (_, Kind::List) => "string | string[]",
        (_, Kind::Array) => "string[]",
        (_, Kind::ExitCodes) => "number | Array<number | string>",
        (_, Kind::Object) => "object",
        (_, Kind::Mode) => "ExecMode",
        (_, Kind::Rotation) => "boolean | LogRotation",
        (_, Kind::Scheduling) => "SchedulingPolicy",
    }
}

#[test]
fn the_reference_for_people() {
    let mut text = String::from(HEADER);
    for option in OPTIONS {
        let mut types = kind_words(option.kind).to_owned();
        if let Some(unit) = unit(option) {
            write!(types, ", {unit}").unwrap();
        }
        let aliases: Vec<String> = option.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        let default = option.default.value().map_or(String::new(), |value| format!("`{value}`"));
        writeln!(
            text,
            "| `{}` | {} | {types} | {default} | {} |",
            option.name,
            aliases.join(" "),
            option.doc.replace('|', "\\|"),
        )
        .unwrap();
    }
    check("docs/options.md", None, &text);
}

fn kind_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::TextOrNumber => "text or number",
        Kind::Switch => "boolean",
        Kind::SwitchOrText => "boolean or text",
        Kind::SwitchListOrText => "boolean, array or text",
        Kind::Number(_) => "number",
        Kind::Count => "number, not negative",
        Kind::Size => "number, or text with `K`, `M`, `G`",
        Kind::Time => "number, or text with `h`, `m`, `s`",
        Kind::List => "array, or text split at blanks",
        Kind::Array => "array",
        Kind::ExitCodes => "number or array",
        Kind::Object => "object",
        Kind::Rotation => "boolean or object",
        Kind::Mode => "`fork` or `cluster`",
        Kind::Scheduling => "`hybrid`, `rr` or `shared`",
    }
}

const HEADER: &str = "\
# Start options

Every option may be written in any of its spellings, in app objects, in configuration files, and beside a script in
`start(script, options)`. The first spelling that has a value wins: the name, then the other spellings from left to right,
beside a script the name last. `null` and empty text count as absent, and so do `false` and `0` where the option cannot have
them. Text that is a number is one. Beside the options an app may have
`env_<name>` objects, which `{env: '<name>'}` lays over `env`; names that are not in this table are ignored.

The column *stored* is what `pm2_env` shows when the option is absent; empty: nothing, the effect is in the last column.

| option | other spellings | type | stored | meaning |
|---|---|---|---|---|
";
