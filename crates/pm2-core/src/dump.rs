//! The list of processes that survives: `dump.pm2`.
//!
//! Behaviour of PM2 7.0.4, specification `lifecycle.md` §13 and `process-object.md` §6. PM2 deletes
//! a dump it cannot read; this leaves it alone and takes the backup.

mod literal;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use crate::app::Map;
use crate::atomic_file::{self, AtomicFileError};

pub use literal::{LiteralError, parse_literal};

/// Largest dump that is read, in bytes.
pub const MAX_DUMP_BYTES: u64 = 256 * 1024 * 1024;

/// Keys that belong to a running process and not to its entry.
const LEFT_OUT: [&str; 3] = ["pm_id", "instances", "prev_restart_delay"];

/// Why a dump could not be read or written.
#[derive(Debug, Error)]
pub enum DumpError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is larger than [`MAX_DUMP_BYTES`].
    #[error("{} is too large for a dump", .0.display())]
    TooLarge(PathBuf),
    /// The text is neither JSON nor a JavaScript literal.
    #[error("not a dump: {0}")]
    Syntax(#[from] LiteralError),
    /// The text is no array.
    #[error("not a dump: an array of objects is expected")]
    Shape,
    /// An entry cannot be an app; the others can be used.
    #[error("entry {position} of the saved list {reason}")]
    Entry {
        /// Its place, from 0.
        position: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] AtomicFileError),
}

/// A dump as read.
#[derive(Debug)]
pub struct Loaded {
    /// One `pm2_env` per process.
    pub entries: Vec<Map>,
    /// Why others are left out.
    pub refused: Vec<DumpError>,
    /// The text, which is the result of `resurrect`.
    pub text: String,
    /// The file it is from: the dump or its backup.
    pub path: PathBuf,
}

/// Reads the entries of a dump: JSON, else a JavaScript literal (comments, trailing commas, single
/// quotes, unquoted keys…), as PM2 evaluates it. An entry is a named object, or the reason why it is none.
///
/// # Errors
/// [`DumpError::Syntax`] or [`DumpError::Shape`]. Never panics; nesting is bounded.
pub fn parse(text: &str) -> Result<Vec<Result<Map, DumpError>>, DumpError> {
    let value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => parse_literal(text)?,
    };
    let Value::Array(items) = value else {
        return Err(DumpError::Shape);
    };
    let entry = |(position, item)| match item {
        Value::Object(entry) if entry.get("name").is_some_and(Value::is_string) => Ok(entry),
        Value::Object(_) => Err(DumpError::Entry { position, reason: "has no name" }),
        _ => Err(DumpError::Entry { position, reason: "is no object" }),
    };
    Ok(items.into_iter().enumerate().map(entry).collect())
}

/// Reads the dump, or its backup when the dump is missing or broken.
///
/// # Errors
/// What was wrong with the dump, if the backup is not usable either.
pub fn load(path: &Path, backup: &Path) -> Result<Loaded, DumpError> {
    load_file(path).or_else(|error| load_file(backup).map_err(|_| error))
}

fn load_file(path: &Path) -> Result<Loaded, DumpError> {
    let read = |source| DumpError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_DUMP_BYTES + 1).read_to_end(&mut bytes)).map_err(read)?;
    if bytes.len() as u64 > MAX_DUMP_BYTES {
        return Err(DumpError::TooLarge(path.to_owned()));
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut loaded =
        Loaded { entries: Vec::new(), refused: Vec::new(), text: String::new(), path: path.to_owned() };
    for entry in parse(&text)? {
        match entry {
            Ok(entry) => loaded.entries.push(entry),
            Err(error) => loaded.refused.push(error),
        }
    }
    loaded.text = text;
    Ok(loaded)
}

/// The entry of a process: its `pm2_env` without id, instances and back-off; `None` for a module.
#[must_use]
pub fn entry(pm2_env: &Map) -> Option<Map> {
    let is_module = match pm2_env.get("pmx_module") {
        None | Some(Value::Null) => false,
        Some(value) => *value != Value::Bool(false),
    };
    if is_module {
        return None;
    }
    let mut entry = pm2_env.clone();
    for name in LEFT_OUT {
        entry.shift_remove(name);
    }
    Some(entry)
}

/// The entries of a list of processes as the daemon's `getMonitorData` gives it.
#[must_use]
pub fn entries(processes: &[Value]) -> Vec<Map> {
    processes.iter().filter_map(|process| entry(process.get("pm2_env")?.as_object()?)).collect()
}

/// The text of a dump: JSON, indented by two spaces.
#[must_use]
pub fn to_text(entries: &[Map]) -> String {
    serde_json::to_string_pretty(entries).expect("JSON values have text keys")
}

/// Writes the dump, mode 0600; a previous one becomes the backup.
///
/// # Errors
/// [`DumpError::Write`]; the previous dump is then still there.
pub fn save(path: &Path, backup: &Path, entries: &[Map]) -> Result<(), DumpError> {
    let text = to_text(entries);
    Ok(atomic_file::write_with_backup(path, backup, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn entries_of_processes() {
        let processes = [
            json!({"pm_id": 0, "pm2_env": {
                "name": "a", "pm_id": 0, "instances": 1, "prev_restart_delay": 5, "status": "online", "env": {"A": "1"},
            }}),
            json!({"pm_id": 1, "pm2_env": {"name": "m", "pmx_module": true}}),
            json!({"pm_id": 2, "pm2_env": {"name": "b", "pmx_module": false}}),
            json!({"pm_id": 3}),
        ];
        let expected = json!([
            {"name": "a", "status": "online", "env": {"A": "1"}},
            {"name": "b", "pmx_module": false},
        ]);
        assert_eq!(json!(entries(&processes)), expected);
    }

    #[test]
    fn texts() {
        let check = |text: &str, expected: Option<Value>| {
            let entries = parse(text).ok().map(|entries| {
                let shown = |entry: Result<Map, DumpError>| {
                    entry.map_or_else(|error| Value::from(error.to_string()), Value::Object)
                };
                json!(entries.into_iter().map(shown).collect::<Vec<_>>())
            });
            assert_eq!(entries, expected, "{text}");
        };
        check("[]", Some(json!([])));
        check(r#"[{"name":"a"}]"#, Some(json!([{"name": "a"}])));
        check("[{name: 'a', /* x */ n: 1,}]", Some(json!([{"name": "a", "n": 1}])));
        check(
            "[{}, {name: 'a'}, 1]",
            Some(json!([
                "entry 0 of the saved list has no name",
                {"name": "a"},
                "entry 2 of the saved list is no object",
            ])),
        );
        check(r#"[{"name":"\ud800"}]"#, Some(json!([{"name": "\u{fffd}"}])));
        check("{}", None);
        check("", None);
        check("[{", None);
        check(&"[".repeat(1_000_000), None);
    }

    #[test]
    fn a_dump_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let (path, backup) = (dir.path().join("dump.pm2"), dir.path().join("dump.pm2.bak"));
        let Value::Object(first) = json!({"name": "a", "env": {"X": "é\n"}, "n": 1.5}) else {
            unreachable!()
        };
        save(&path, &backup, std::slice::from_ref(&first)).unwrap();
        save(&path, &backup, &[]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[]");
        assert_eq!(load(&path, &backup).unwrap().entries, [] as [Map; 0]);
        fs::write(&path, "[{broken").unwrap();
        let loaded = load(&path, &backup).unwrap();
        assert_eq!(loaded.entries, [first]);
        assert_eq!(loaded.path, backup);
        assert!(loaded.text.starts_with("[\n  {\n    \"name\": \"a\""));
        fs::write(&backup, "x").unwrap();
        assert!(matches!(load(&path, &backup), Err(DumpError::Syntax(_))));
    }
}
