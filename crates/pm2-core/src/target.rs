//! What `stop`, `restart`, `reload`, `delete` and `describe` are pointed at.
//!
//! Behaviour of PM2 7.0.4, specification `api.md` §4 and §5.4.

use std::path::{Path, PathBuf};

use regress::Regex;
use serde_json::Value;
use thiserror::Error;

use crate::app::absolute;

/// Texts that make a string the name of a configuration file, wherever they stand in it.
const CONFIG_MARKS: [&str; 6] = [".json", ".yml", ".yaml", ".config.js", ".config.cjs", ".config.mjs"];

/// A set of processes, as the user named it.
#[derive(Debug, Clone)]
pub enum Target {
    /// `"-"`: a list of apps on standard input, which the caller has to read.
    StandardInput,
    /// The name of a configuration file, which the caller has to read.
    ConfigFile(String),
    /// Every process that is not a module.
    All,
    /// Processes whose name matches.
    Pattern(Box<Regex>),
    /// Processes of that name or running that script, else the namespace.
    Name(String),
    /// Processes of that name, else the namespace, else the one with that id.
    NameOrId(String),
    /// The union of several.
    Many(Vec<Target>),
}

/// Why a value names no target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Neither a number nor a string nor an array of them.
    #[error("a process is named by a number or a string, not by {0}")]
    Type(&'static str),
    /// The text between slashes is no JavaScript regular expression.
    #[error("Invalid regular expression: /{pattern}/: {reason}")]
    Pattern {
        /// The text without slashes.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why nothing was selected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotFound {
    /// No process and no namespace of that name.
    #[error("process or namespace not found")]
    Name,
    /// `all` on an empty list, or a pattern without match.
    #[error("process name not found")]
    List,
    /// No process with that id. The text is that of stop and delete, see [`NotFound::message`].
    #[error("{0} : id unknown")]
    Id(String),
    /// The target is a file or standard input, which holds names and is none.
    #[error("a configuration file has to be read before its apps can be selected")]
    Unread,
}

impl NotFound {
    /// The text PM2 has for this verb.
    #[must_use]
    pub fn message(&self, verb: &str) -> String {
        match (self, verb) {
            (Self::Id(_), "restart") => "God db process id unknown".to_owned(),
            (Self::Id(_), "reload") => "PM2 ID unknown".to_owned(),
            _ => self.to_string(),
        }
    }
}

/// What selection needs to know about a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessSummary {
    /// Its id.
    pub pm_id: i64,
    /// Its name.
    pub name: String,
    /// Its group.
    pub namespace: String,
    /// The absolute path of its script.
    pub script_path: PathBuf,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Its status, as in `pm2_env.status`.
    pub status: String,
    /// Whether it is a module, which `all` leaves out.
    pub is_module: bool,
}

impl ProcessSummary {
    /// Reads an element of the daemon's list; `None` for one without a numeric id, such as a
    /// worker that is being replaced.
    #[must_use]
    pub fn from_process(process: &Value) -> Option<Self> {
        let env = process.get("pm2_env")?;
        let id = process.get("pm_id").or_else(|| env.get("pm_id"))?;
        let text = |name: &str| {
            let value = env.get(name).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let name = process.get("name").and_then(Value::as_str);
        Some(Self {
            pm_id: id.as_i64().or_else(|| id.as_str()?.parse().ok())?,
            name: name.map_or_else(|| text("name"), str::to_owned),
            namespace: text("namespace"),
            script_path: text("pm_exec_path").into(),
            cwd: text("pm_cwd").into(),
            status: text("status"),
            is_module: env.get("pmx_module").is_some_and(is_truthy),
        })
    }
}

fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && text != "false",
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Whether the string names a configuration file.
#[must_use]
pub fn is_config_file(text: &str) -> bool {
    CONFIG_MARKS.iter().any(|mark| text.contains(mark))
}

/// Reads a target as a user gives it: number, string, or an array of those.
///
/// # Errors
/// [`TargetError`] for other types and for broken regular expressions.
pub fn parse(value: &Value) -> Result<Target, TargetError> {
    match value {
        Value::Number(number) => Ok(Target::NameOrId(number.to_string())),
        Value::String(text) => parse_text(text),
        Value::Array(items) => {
            let parse_item = |item: &Value| match item {
                Value::Array(_) => Err(TargetError::Type("an array in an array")),
                item => parse(item),
            };
            items.iter().map(parse_item).collect::<Result<_, _>>().map(Target::Many)
        }
        Value::Null => Err(TargetError::Type("null")),
        Value::Bool(_) => Err(TargetError::Type("a boolean")),
        Value::Object(_) => Err(TargetError::Type("an object")),
    }
}

fn parse_text(text: &str) -> Result<Target, TargetError> {
    let is_pattern = text.len() > 1 && text.starts_with('/') && text.ends_with('/');
    Ok(match text {
        "-" => Target::StandardInput,
        _ if is_config_file(text) => Target::ConfigFile(text.to_owned()),
        "all" => Target::All,
        _ if is_pattern => {
            let pattern = text.replace('/', "");
            match Regex::new(&pattern) {
                Ok(regex) => Target::Pattern(Box::new(regex)),
                Err(error) => {
                    let reason = error.to_string();
                    return Err(TargetError::Pattern { pattern, reason });
                }
            }
        }
        _ if is_numeric(text) => Target::NameOrId(text.to_owned()),
        _ => Target::Name(text.to_owned()),
    })
}

/// Whether JavaScript's `isNaN` says no, which decides only about the text of the error: `" 0"` and `"0x0"` are
/// numbers, but no ids.
fn is_numeric(text: &str) -> bool {
    let text = text.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}');
    let is_digits =
        |digits: &str, radix| !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    let lower = text.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return is_digits(digits, radix);
        }
    }
    match text.trim_start_matches(['+', '-']) {
        "" => text.is_empty(),
        "Infinity" => true,
        // Rust also reads `nan` and `inf`.
        number => {
            number.starts_with(|first: char| first.is_ascii_digit() || first == '.')
                && text.parse::<f64>().is_ok()
        }
    }
}

/// The ids a target stands for, in list order, each once.
///
/// # Errors
/// [`NotFound`] when a target, or one of several, selects nothing.
pub fn select(target: &Target, processes: &[ProcessSummary], cwd: &Path) -> Result<Vec<i64>, NotFound> {
    let ids = |test: &dyn Fn(&ProcessSummary) -> bool| -> Vec<i64> {
        let selected = processes.iter().filter(|process| test(process));
        selected.map(|process| process.pm_id).collect()
    };
    let or = |ids: Vec<i64>, error: NotFound| if ids.is_empty() { Err(error) } else { Ok(ids) };
    match target {
        Target::StandardInput | Target::ConfigFile(_) => Err(NotFound::Unread),
        Target::All => or(ids(&|process| !process.is_module), NotFound::List),
        Target::Pattern(regex) => or(ids(&|process| regex.find(&process.name).is_some()), NotFound::List),
        Target::Name(name) => {
            let script = absolute(cwd, name);
            let mut found = ids(&|process| process.name == *name || process.script_path == script);
            if found.is_empty() {
                found = ids(&|process| process.namespace == *name);
            }
            or(found, NotFound::Name)
        }
        Target::NameOrId(text) => {
            let mut found = ids(&|process| process.name == *text);
            if found.is_empty() {
                found = ids(&|process| process.namespace == *text);
            }
            if found.is_empty() {
                // `00` and `-0` name nothing, least of all the process 0.
                found = ids(&|process| process.pm_id.to_string() == *text);
            }
            or(found, NotFound::Id(text.clone()))
        }
        Target::Many(targets) => {
            let mut found = Vec::new();
            for target in targets {
                for id in select(target, processes, cwd)? {
                    if !found.contains(&id) {
                        found.push(id);
                    }
                }
            }
            Ok(found)
        }
    }
}

/// The ids `describe` shows: a number or numeric string is an id, a string is a name. Nothing found
/// is no error.
///
/// # Errors
/// [`TargetError::Type`] for anything but numbers and strings.
pub fn describe(value: &Value, processes: &[ProcessSummary]) -> Result<Vec<i64>, TargetError> {
    let (id, name) = match value {
        Value::Number(number) => (number.as_i64(), None),
        Value::String(text) => (text.parse().ok().filter(|id: &i64| id.to_string() == *text), Some(text)),
        other => return parse(other).and(Err(TargetError::Type("an array"))),
    };
    let is_meant = |process: &&ProcessSummary| Some(process.pm_id) == id || Some(&process.name) == name;
    let selected = processes.iter().filter(is_meant);
    Ok(selected.map(|process| process.pm_id).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn processes() -> Vec<ProcessSummary> {
        let process = |pm_id, name: &str, namespace: &str, script: &str, is_module| ProcessSummary {
            pm_id,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            script_path: script.into(),
            is_module,
            ..ProcessSummary::default()
        };
        vec![
            process(0, "api", "default", "/srv/app.js", false),
            process(1, "web", "front", "/srv/http.js", false),
            process(2, "web", "front", "/srv/http.js", false),
            process(3, "1", "default", "/srv/one.js", false),
            process(4, "logrotate", "default", "/m/logrotate.js", true),
            process(5, "job", "7", "/srv/job.js", false),
        ]
    }

    fn run(target: &Value) -> Result<Vec<i64>, String> {
        let target = parse(target).map_err(|error| error.to_string())?;
        select(&target, &processes(), Path::new("/srv")).map_err(|error| error.to_string())
    }

    #[test]
    fn selection() {
        let check = |target: Value, expected: &[i64]| {
            assert_eq!(run(&target), Ok(expected.to_vec()), "{target}");
        };
        check(json!("all"), &[0, 1, 2, 3, 5]);
        check(json!("web"), &[1, 2]);
        check(json!("front"), &[1, 2]);
        check(json!("./app.js"), &[0]);
        check(json!("../srv/http.js"), &[1, 2]);
        check(json!("logrotate"), &[4]);
        check(json!(4), &[4]);
        check(json!("4"), &[4]);
        // A name comes before an id, and a namespace too.
        check(json!(1), &[3]);
        check(json!("1"), &[3]);
        check(json!("7"), &[5]);
        check(json!("/^w/"), &[1, 2]);
        check(json!("/rot/ate/"), &[4]);
        check(json!("/(?<!e)b$/"), &[5]);
        check(json!([2, "web", "api"]), &[2, 1, 0]);
        check(json!([]), &[]);
    }

    #[test]
    fn refusals() {
        let check = |target: Value, expected: &str| {
            assert_eq!(run(&target), Err(expected.to_owned()), "{target}");
        };
        check(json!("nope"), "process or namespace not found");
        check(json!("/x/i"), "process or namespace not found");
        check(json!("/WEB/"), "process name not found");
        check(json!(99), "99 : id unknown");
        check(json!("1.5"), "1.5 : id unknown");
        for text in
            ["", " ", " 0", "0 ", "+0", "-0", "00", "0x0", "0B1", "5.", ".5", "1e0", "-Infinity", "\u{feff}0"]
        {
            check(json!(text), &format!("{text} : id unknown"));
        }
        for text in ["nan", "inf", "infinity", "--0", "+", ".", "0x", "-0x0", "0xg", "1_0", "0 0"] {
            check(json!(text), "process or namespace not found");
        }
        check(json!(["api", "nope"]), "process or namespace not found");
        check(json!(null), "a process is named by a number or a string, not by null");
        check(json!({}), "a process is named by a number or a string, not by an object");
        check(json!([[1]]), "a process is named by a number or a string, not by an array in an array");
        assert!(run(&json!("/(/")).unwrap_err().starts_with("Invalid regular expression: /(/: "));
        let nothing = select(&Target::All, &[], Path::new("/"));
        assert_eq!(nothing, Err(NotFound::List));
    }

    #[test]
    fn kinds() {
        let kind = |text: &str| parse(&json!(text)).unwrap();
        assert!(matches!(kind("-"), Target::StandardInput));
        for file in ["a.json", "my.json.app", "/x.json/", "e.config.cjs", "p.yml", "all.yaml"] {
            assert!(matches!(kind(file), Target::ConfigFile(_)), "{file}");
        }
        assert!(matches!(kind("ecosystem.js"), Target::Name(_)));
        assert!(matches!(kind("infinity"), Target::Name(_)));
        assert!(matches!(kind("/"), Target::Name(_)));
        assert!(matches!(kind(""), Target::NameOrId(_)));
    }

    #[test]
    fn texts_of_verbs() {
        let id = NotFound::Id("99".to_owned());
        assert_eq!(id.message("stop"), "99 : id unknown");
        assert_eq!(id.message("delete"), "99 : id unknown");
        assert_eq!(id.message("restart"), "God db process id unknown");
        assert_eq!(id.message("reload"), "PM2 ID unknown");
        assert_eq!(NotFound::Name.message("reload"), "process or namespace not found");
    }

    #[test]
    fn description() {
        let check = |target: Value, expected: &[i64]| {
            assert_eq!(describe(&target, &processes()), Ok(expected.to_vec()), "{target}");
        };
        check(json!("web"), &[1, 2]);
        check(json!(1), &[1]);
        check(json!("1"), &[1, 3]);
        check(json!("front"), &[]);
        check(json!("all"), &[]);
        for text in ["00", " 0", "-0", "+0", ""] {
            check(json!(text), &[]);
        }
        assert!(describe(&json!(null), &[]).is_err());
        assert!(describe(&json!([1]), &[]).is_err());
    }

    #[test]
    fn summaries() {
        let check = |process: Value, expected: Option<(i64, &str, bool)>| {
            let found = ProcessSummary::from_process(&process);
            let found = found.map(|found| (found.pm_id, found.name, found.is_module));
            let expected = expected.map(|(id, name, module)| (id, name.to_owned(), module));
            assert_eq!(found, expected, "{process}");
        };
        check(json!({"pm_id": 3, "name": "a", "pm2_env": {"pmx_module": true}}), Some((3, "a", true)));
        check(json!({"pm2_env": {"pm_id": "4", "name": "b"}}), Some((4, "b", false)));
        check(json!({"pm_id": "_old_4", "pm2_env": {}}), None);
        check(json!({"pm_id": 1}), None);
        check(json!(null), None);
    }
}
