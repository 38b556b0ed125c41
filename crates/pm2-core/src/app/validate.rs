//! Accepted spellings to canonical names, with conversions and PM2's messages.

use serde_json::Value;

use super::coerce::{self, type_name};
use super::cron::{CronError, check_cron};
use super::options::{Kind, OPTIONS, OptionSpec};
use super::{AppError, Map};

/// Which of PM2's readers an option object is for.
///
/// Both accept every canonical name and alias. PM2's second one accepts aliases only, so that here they come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// An app object, as in a configuration file.
    Object,
    /// The options beside a script name: `watchDelay` is in seconds, `watch: []` is off,
    /// `scriptArgs` and `rawArgs` (what follows `--`) are arguments, and there are no other environments.
    Script,
}

const HINT_MODE: &str = "it should be \"cluster\"(\"cluster_mode\") or \"fork\"(\"fork_mode\") only";
const HINT_SCHEDULING: &str = "it should be \"hybrid\", \"rr\" or \"shared\" only";
const HINT_SIZE: &str = "it should be a NUMBER - byte, \"[NUMBER]G\"(Gigabyte), \"[NUMBER]M\"(Megabyte) or \"[NUMBER]K\"(Kilobyte)";
const HINT_TIME: &str = "it should be a NUMBER - milliseconds, \"[NUMBER]h\"(hours), \"[NUMBER]m\"(minutes) or \"[NUMBER]s\"(seconds)";
const MIN_UPTIME_MS: f64 = 100.0;
const DATE_FORMAT_OF_TIME: &str = "YYYY-MM-DDTHH:mm:ss";

/// Canonical options of what was written, in table order, then the `env_<name>` objects.
///
/// The first spelling with a value wins, in an object the canonical name, then the aliases in table order.
/// `null` and empty text count as absent; other falsy values are values where the option can have them, and
/// absent where it cannot. Unknown names are dropped. No defaults are filled in.
///
/// # Errors
/// [`AppError::Cron`] alone, or [`AppError::Invalid`] with all messages joined by `,`.
pub fn validate(entry: &Map, spelling: Spelling) -> Result<Map, AppError> {
    let mut app = Map::new();
    let mut messages = Vec::new();
    // The name of the user is not for the description to say.
    for option in OPTIONS.iter().filter(|option| option.name != "username") {
        let Some(value) = written(entry, option, spelling) else {
            continue;
        };
        if option.name == "cron_restart" {
            check_cron_value(&value)?;
        }
        match convert(option, value) {
            Ok(value) => {
                app.insert(option.name.to_owned(), value);
            }
            Err(message) => messages.push(message),
        }
    }
    let environments = entry.iter().filter(|_| spelling == Spelling::Object);
    for (key, value) in environments {
        if !is_environment_key(key) || value.is_null() {
            continue;
        }
        if value.is_object() || value.is_string() {
            app.insert(key.clone(), value.clone());
        } else {
            messages.push(type_message(key, &["[object Object]", "[object String]"], value));
        }
    }
    if !messages.is_empty() {
        return Err(AppError::Invalid(messages.join(",")));
    }
    apply_consequences(&mut app);
    Ok(app)
}

/// Whether the key is an alternative environment, `env_<name>` without blanks.
fn is_environment_key(key: &str) -> bool {
    key.strip_prefix("env_").is_some_and(|name| !name.contains(char::is_whitespace))
}

/// The value under the first spelling that has one.
fn written(entry: &Map, option: &OptionSpec, spelling: Spelling) -> Option<Value> {
    if spelling == Spelling::Script && option.name == "args" {
        return script_arguments(entry);
    }
    let names: Vec<&str> = match (spelling, option.name) {
        (_, "script") => vec!["script", "cmd", "command", "exec"],
        (Spelling::Object, name) => std::iter::once(name).chain(option.aliases.iter().copied()).collect(),
        (Spelling::Script, name) => option.aliases.iter().copied().chain([name]).collect(),
    };
    let mut emptied = None;
    let found = names.into_iter().find_map(|name| match entry.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.is_empty() => {
            emptied = Some(Value::String(String::new()));
            None
        }
        Some(value) if is_falsy(value) && convert(option, value.clone()).is_err() => None,
        Some(value) => Some((name, value.clone())),
    });
    let (name, value) = match found {
        Some(found) => found,
        // Clearing a list is something one can mean; an empty name or path is not.
        None => return emptied.filter(|_| matches!(option.kind, Kind::List | Kind::SwitchListOrText)),
    };
    Some(match (spelling, name) {
        (Spelling::Script, "watchDelay") => seconds_to_ms(value),
        (Spelling::Script, "watch") if value == Value::Array(Vec::new()) => Value::Bool(false),
        (_, "instances") => instances(value),
        _ => value,
    })
}

/// What follows `--` in `rawArgs`, else `scriptArgs`, else `args`.
fn script_arguments(entry: &Map) -> Option<Value> {
    if let Some(Value::Array(words)) = entry.get("rawArgs")
        && let Some(dashes) = words.iter().position(|word| word == "--")
        && dashes + 1 < words.len()
    {
        return Some(Value::Array(words[dashes + 1..].to_vec()));
    }
    ["scriptArgs", "args"].iter().filter_map(|name| entry.get(*name)).find(|value| !value.is_null()).cloned()
}

/// `false` or 0. PM2 loses all of these; files that rely on it must go on working where the option cannot have them.
fn is_falsy(value: &Value) -> bool {
    *value == Value::Bool(false) || value.as_f64() == Some(0.0)
}

fn seconds_to_ms(value: Value) -> Value {
    coerce::number(&value)
        .and_then(|seconds| coerce::number_from_f64(seconds.as_f64()? * 1000.0))
        .map_or(value, Value::Number)
}

/// `max` becomes 0, the number that stands for all CPUs.
fn instances(value: Value) -> Value {
    match value {
        Value::String(text) if text.trim().eq_ignore_ascii_case("max") => Value::from(0),
        other => other,
    }
}

fn check_cron_value(value: &Value) -> Result<(), AppError> {
    match value {
        Value::String(text) if coerce::number(value).is_none() => Ok(check_cron(text)?),
        _ => match coerce::number(value) {
            // Off.
            Some(number) if number.as_f64() == Some(0.0) => Ok(()),
            Some(_) if value.is_string() => Ok(check_cron(value.as_str().unwrap_or_default())?),
            _ => Err(CronError::NotText.into()),
        },
    }
}

fn convert(option: &OptionSpec, value: Value) -> Result<Value, String> {
    let name = option.name;
    let wrong_type = |value: &Value| type_message(name, option.kind.type_names(), value);
    match (option.kind, &value) {
        (Kind::Text, Value::String(_))
        | (Kind::Switch | Kind::SwitchOrText | Kind::SwitchListOrText | Kind::Rotation, Value::Bool(_))
        | (Kind::SwitchOrText | Kind::SwitchListOrText, Value::String(_))
        | (Kind::SwitchListOrText | Kind::List | Kind::Array, Value::Array(_))
        | (Kind::Object | Kind::Rotation, Value::Object(_)) => Ok(value),
        (Kind::List, Value::String(text)) => Ok(coerce::split_words(text).into()),
        (Kind::Mode, Value::String(text)) => match text.as_str() {
            "cluster" | "cluster_mode" => Ok("cluster_mode".into()),
            "fork" | "fork_mode" => Ok("fork_mode".into()),
            _ => Err(hint_message(name, HINT_MODE)),
        },
        (Kind::Scheduling, Value::String(text)) => match text.as_str() {
            "hybrid" | "rr" | "shared" | "none" => Ok(value),
            _ => Err(hint_message(name, HINT_SCHEDULING)),
        },
        (Kind::ExitCodes, Value::Array(_)) => Ok(coerce::number(&value).map_or(value, Value::Number)),
        (Kind::Number(_) | Kind::Count | Kind::ExitCodes | Kind::TextOrNumber, _)
            if coerce::number(&value).is_some() =>
        {
            let number = coerce::number(&value).ok_or_else(|| wrong_type(&value))?;
            let minimum = (option.kind == Kind::Count).then_some(0.0);
            at_least(name, number, minimum)
        }
        (Kind::TextOrNumber, Value::String(_)) => Ok(value),
        (Kind::Size | Kind::Time, _) if coerce::number(&value).is_some() => {
            let number = coerce::number(&value).ok_or_else(|| wrong_type(&value))?;
            let minimum = (option.kind == Kind::Time).then_some(MIN_UPTIME_MS);
            at_least(name, number, minimum)
        }
        (Kind::Size, Value::String(text)) => {
            coerce::size(text).map(Value::Number).ok_or_else(|| hint_message(name, HINT_SIZE))
        }
        (Kind::Time, Value::String(text)) => {
            coerce::time(text).map(Value::Number).ok_or_else(|| hint_message(name, HINT_TIME))
        }
        _ => Err(wrong_type(&value)),
    }
}

fn at_least(name: &str, number: serde_json::Number, minimum: Option<f64>) -> Result<Value, String> {
    match (minimum, number.as_f64()) {
        (Some(minimum), Some(found)) if found < minimum && found != 0.0 => {
            Err(format!("The minimum of \"{name}\" is {minimum}, but now is {number}"))
        }
        _ => Ok(Value::Number(number)),
    }
}

fn type_message(name: &str, expected: &[&str], value: &Value) -> String {
    format!("Expect \"{name}\" to be a typeof {}, but now is {}", expected.join(" / "), type_name(value))
}

fn hint_message(name: &str, hint: &str) -> String {
    format!("Verify \"{name}\" with regex failed, {hint}")
}

/// Options that only stand for values of other options.
fn apply_consequences(app: &mut Map) {
    let is = |app: &Map, name: &str, on: bool| app.get(name) == Some(&Value::Bool(on));
    if is(app, "time", true) {
        app.insert("log_date_format".into(), DATE_FORMAT_OF_TIME.into());
    }
    if is(app, "automation", false) {
        app.insert("pmx".into(), false.into());
    }
    if is(app, "deep_monitoring", true) {
        app.insert("trace".into(), true.into());
    }
    if is(app, "disable_trace", true) {
        app.insert("trace".into(), false.into());
    }
    if is(app, "execute_command", true) {
        app.insert("exec_mode".into(), "fork_mode".into());
    }
    for consumed in ["deep_monitoring", "disable_trace", "execute_command"] {
        app.shift_remove(consumed);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(entry: Value, spelling: Spelling) -> Result<Value, String> {
        let Value::Object(entry) = entry else { panic!("not an object: {entry}") };
        validate(&entry, spelling).map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn objects() {
        let check = |entry: Value, expected: Value| {
            assert_eq!(run(entry.clone(), Spelling::Object), Ok(expected), "{entry}");
        };
        check(json!({"exec": "a.js"}), json!({"script": "a.js"}));
        check(json!({"cmd": "a.js"}), json!({"script": "a.js"}));
        check(json!({"script": "", "command": "b"}), json!({"script": "b"}));
        check(json!({"script": "a", "cmd": "b"}), json!({"script": "a"}));
        check(json!({"exec": "a", "cmd": "b"}), json!({"script": "b"}));
        // … where the option can have them.
        let falsy =
            json!({"kill_timeout": false, "cron": false, "out": false, "node_args": 0, "name": false});
        check(falsy, json!({}));
        check(json!({"out_file": false, "output": "x.log"}), json!({"out_file": "x.log"}));
        check(json!({"min_uptime": 0}), json!({"min_uptime": 0}));
        // Falsy values are values.
        check(
            json!({"max_restarts": 0, "maxRestarts": 3, "kill_timeout": 0, "wait_ready": false}),
            json!({"wait_ready": false, "kill_timeout": 0, "max_restarts": 0}),
        );
        check(json!({"merge_logs": false}), json!({"merge_logs": false}));
        check(json!({"mergeLogs": false}), json!({"merge_logs": false}));
        // First spelling in table order, empty text is absent.
        check(
            json!({"error": "a.log", "err_log": "b.log", "error_file": ""}),
            json!({"error_file": "b.log"}),
        );
        check(json!({"name": "", "namespace": null, "foo": 1, "PORT": 5, "node-args": "x"}), json!({}));
        check(json!({"args": "", "watch": ""}), json!({"args": [], "watch": ""}));
        check(json!({"args": ["a", 5, "b c"]}), json!({"args": ["a", 5, "b c"]}));
        check(json!({"args": "a 'b c'"}), json!({"args": ["a", "b c"]}));
        check(json!({"watchDelay": 2}), json!({"watch_delay": 2}));
        check(json!({"watch": []}), json!({"watch": []}));
        check(json!({"instances": "max"}), json!({"instances": 0}));
        check(json!({"instances": "3"}), json!({"instances": 3}));
        check(json!({"instances": [3]}), json!({"instances": 3}));
        check(json!({"instances": ""}), json!({}));
        check(json!({"max_memory_restart": "100M"}), json!({"max_memory_restart": 104_857_600}));
        check(json!({"max_memory_restart": 100.5}), json!({"max_memory_restart": 100.5}));
        check(json!({"min_uptime": "0s"}), json!({"min_uptime": 0}));
        check(json!({"kill_timeout": "1.5"}), json!({"kill_timeout": 1.5}));
        check(json!({"stop_exit_codes": "42"}), json!({"stop_exit_codes": 42}));
        check(json!({"stop_exit_codes": [42]}), json!({"stop_exit_codes": 42}));
        check(json!({"stop_exit_codes": ["42", 43]}), json!({"stop_exit_codes": ["42", 43]}));
        check(json!({"stop_exit_codes": []}), json!({"stop_exit_codes": []}));
        check(json!({"exec_mode": "cluster"}), json!({"exec_mode": "cluster_mode"}));
        check(json!({"execMode": "fork_mode"}), json!({"exec_mode": "fork_mode"}));
        check(json!({"exec_mode": "cluster", "execute_command": true}), json!({"exec_mode": "fork_mode"}));
        check(
            json!({"time": true, "log_date_format": "YY"}),
            json!({"log_date_format": "YYYY-MM-DDTHH:mm:ss", "time": true}),
        );
        check(json!({"automation": false}), json!({"automation": false, "pmx": false}));
        check(json!({"deepMonitoring": true}), json!({"trace": true}));
        check(json!({"disable_trace": true}), json!({"trace": false}));
        check(json!({"cron": "0"}), json!({"cron_restart": 0}));
        check(json!({"cron": 0}), json!({"cron_restart": 0}));
        check(json!({"cron": "* * * * *"}), json!({"cron_restart": "* * * * *"}));
        check(json!({"user": "nobody", "gid": "5"}), json!({"uid": "nobody", "gid": 5}));
        check(
            json!({"env_": {"B": 1}, "env_a b": {"A": 1}, "env_x": "text"}),
            json!({"env_": {"B": 1}, "env_x": "text"}),
        );
    }

    #[test]
    fn options_beside_a_script() {
        let check = |entry: Value, expected: Value| {
            assert_eq!(run(entry.clone(), Spelling::Script), Ok(expected), "{entry}");
        };
        check(
            json!({"max_restarts": 5, "killTimeout": 0, "maxRestarts": 6}),
            json!({"kill_timeout": 0, "max_restarts": 6}),
        );
        check(json!({"watchDelay": 2}), json!({"watch_delay": 2000}));
        check(json!({"watch_delay": 100, "watchDelay": 1}), json!({"watch_delay": 1000}));
        check(json!({"env_p": {"A": 1}, "env_file": "x", "env_x": 5}), json!({}));
        check(json!({"watchDelay": "2"}), json!({"watch_delay": 2000}));
        check(json!({"watch_delay": 2}), json!({"watch_delay": 2}));
        check(json!({"watch": []}), json!({"watch": false}));
        check(json!({"args": "a b"}), json!({"args": ["a", "b"]}));
        check(json!({"args": "q", "scriptArgs": ["a"]}), json!({"args": ["a"]}));
        check(json!({"scriptArgs": ["a"], "rawArgs": ["x", "--", "y"]}), json!({"args": ["y"]}));
        check(json!({"scriptArgs": ["a"], "rawArgs": ["x"]}), json!({"args": ["a"]}));
    }

    #[test]
    fn messages() {
        let check = |entry: Value, expected: &str| {
            assert_eq!(run(entry, Spelling::Object), Err(expected.to_owned()));
        };
        check(
            json!({"name": 5}),
            "Expect \"name\" to be a typeof [object String], but now is [object Number]",
        );
        check(
            json!({"autorestart": "true", "cwd": 5, "env_x": true}),
            "Expect \"cwd\" to be a typeof [object String], but now is [object Number],\
             Expect \"autorestart\" to be a typeof [object Boolean], but now is [object String],\
             Expect \"env_x\" to be a typeof [object Object] / [object String], but now is [object Boolean]",
        );
        check(
            json!({"max_restarts": "1s"}),
            "Expect \"max_restarts\" to be a typeof [object Number], but now is [object String]",
        );
        check(json!({"max_restarts": -1}), "The minimum of \"max_restarts\" is 0, but now is -1");
        check(json!({"min_uptime": "10"}), "The minimum of \"min_uptime\" is 100, but now is 10");
        check(
            json!({"stop_exit_codes": "42,43"}),
            "Expect \"stop_exit_codes\" to be a typeof [object Array] / [object Number], but now is [object String]",
        );
        check(
            json!({"exec_mode": "Cluster"}),
            "Verify \"exec_mode\" with regex failed, it should be \"cluster\"(\"cluster_mode\") or \"fork\"(\"fork_mode\") only",
        );
        check(
            json!({"max_memory_restart": "100m"}),
            "Verify \"max_memory_restart\" with regex failed, it should be a NUMBER - byte, \"[NUMBER]G\"(Gigabyte), \"[NUMBER]M\"(Megabyte) or \"[NUMBER]K\"(Kilobyte)",
        );
        check(
            json!({"min_uptime": "1d"}),
            "Verify \"min_uptime\" with regex failed, it should be a NUMBER - milliseconds, \"[NUMBER]h\"(hours), \"[NUMBER]m\"(minutes) or \"[NUMBER]s\"(seconds)",
        );
        check(
            json!({"filter_env": {}, "ignore_watch": 5, "pmx": 1}),
            "Expect \"filter_env\" to be a typeof [object Boolean] / [object Array] / [object String], but now is [object Object],\
             Expect \"ignore_watch\" to be a typeof [object Array] / [object String], but now is [object Number],\
             Expect \"pmx\" to be a typeof [object Boolean] / [object String], but now is [object Number]",
        );
        check(
            json!({"env": "A=1"}),
            "Expect \"env\" to be a typeof [object Object], but now is [object String]",
        );
        check(
            json!({"instances": "foo"}),
            "Expect \"instances\" to be a typeof [object Number], but now is [object String]",
        );
        check(json!({"cron": 5}), "Cron pattern error: CronPattern: Pattern has to be of type string.");
        check(
            json!({"cron": "5", "name": 1}),
            "Cron pattern error: CronPattern: invalid configuration format ('5'), exacly five or six space separated parts required.",
        );
    }
}
