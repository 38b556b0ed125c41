//! The table of start options: names, other spellings, types, defaults, help.
//!
//! The order is PM2's and decides the order of error messages and of the keys in the process
//! object. Specification `options.md` §3.

use serde_json::{Value, json};

use super::Map;

/// One start option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptionSpec {
    /// Canonical name, as in the process object.
    pub name: &'static str,
    /// Other accepted spellings, in the order they are looked at.
    pub aliases: &'static [&'static str],
    /// Accepted types and conversion.
    pub kind: Kind,
    /// Value stored when the option is absent.
    pub default: DefaultValue,
    /// One line of help, with unit and effective default.
    pub doc: &'static str,
}

/// Type of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Text or number.
    TextOrNumber,
    /// Boolean.
    Switch,
    /// Boolean or text.
    SwitchOrText,
    /// Boolean, array or text.
    SwitchListOrText,
    /// Number in that unit, or text that is one.
    Number(Unit),
    /// Number that is not negative.
    Count,
    /// Bytes: number, or text with `K`, `M` or `G`.
    Size,
    /// Milliseconds, at least 100: number, or text with `h`, `m` or `s`.
    Time,
    /// Array, or text split on blanks.
    List,
    /// Array only.
    Array,
    /// Exit codes: array or number.
    ExitCodes,
    /// Object.
    Object,
    /// `cluster`, `fork`, `cluster_mode` or `fork_mode`.
    Mode,
    /// Boolean, or an object with settings of pm2-logrotate.
    Rotation,
    /// `hybrid`, `rr`, `shared`, or `none`, Node's word for the latter.
    Scheduling,
}

/// What the numbers of an option count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A plain number.
    One,
    /// Milliseconds.
    Millisecond,
    /// Bytes.
    Byte,
}

impl Kind {
    /// What a number of this kind counts.
    #[must_use]
    pub fn unit(self) -> Unit {
        match self {
            Self::Number(unit) => unit,
            Self::Time => Unit::Millisecond,
            Self::Size => Unit::Byte,
            _ => Unit::One,
        }
    }

    /// Accepted JavaScript types, in the order the messages name them.
    #[must_use]
    pub fn type_names(self) -> &'static [&'static str] {
        match self {
            Self::Text | Self::Mode | Self::Scheduling => &["[object String]"],
            Self::TextOrNumber => &["[object String]", "[object Number]"],
            Self::Switch => &["[object Boolean]"],
            Self::SwitchOrText => &["[object Boolean]", "[object String]"],
            Self::SwitchListOrText => &["[object Boolean]", "[object Array]", "[object String]"],
            Self::Number(_) | Self::Count => &["[object Number]"],
            Self::Size => &["[object String]", "[object Number]"],
            Self::Time => &["[object Number]", "[object String]"],
            Self::List => &["[object Array]", "[object String]"],
            Self::Array => &["[object Array]"],
            Self::ExitCodes => &["[object Array]", "[object Number]"],
            Self::Object => &["[object Object]"],
            Self::Rotation => &["[object Boolean]", "[object Object]"],
        }
    }
}

/// Value an option gets when nobody set it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DefaultValue {
    /// The option stays absent.
    None,
    /// A boolean.
    Switch(bool),
    /// A number.
    Number(u32),
    /// A text.
    Text(&'static str),
    /// An empty array.
    EmptyList,
    /// An empty object.
    EmptyObject,
}

impl DefaultValue {
    /// The default as JSON; `None` when the option stays absent.
    #[must_use]
    pub fn value(self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Switch(on) => Some(Value::Bool(on)),
            Self::Number(number) => Some(json!(number)),
            Self::Text(text) => Some(json!(text)),
            Self::EmptyList => Some(json!([])),
            Self::EmptyObject => Some(Value::Object(Map::new())),
        }
    }
}

const fn option(
    name: &'static str,
    aliases: &'static [&'static str],
    kind: Kind,
    default: DefaultValue,
    doc: &'static str,
) -> OptionSpec {
    OptionSpec { name, aliases, kind, default, doc }
}

/// The option with this canonical name.
#[must_use]
pub fn find(name: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|option| option.name == name)
}

/// Every start option, in PM2's order.
pub const OPTIONS: &[OptionSpec] = &[
    option(
        "script",
        &["exec"],
        Kind::Text,
        DefaultValue::None,
        "Path of the script, a command in PATH, or a shell command if it contains a space. `cmd` and `command` count when there is no script.",
    ),
    option(
        "name",
        &[],
        Kind::Text,
        DefaultValue::None,
        "Name of the process. Absent: the script's file name without its last extension.",
    ),
    option(
        "name_prefix",
        &["namePrefix"],
        Kind::Text,
        DefaultValue::None,
        "Stored; acts only when given beside a configuration file.",
    ),
    option(
        "filter_env",
        &["filterEnv"],
        Kind::SwitchListOrText,
        DefaultValue::None,
        "Inherited variables to leave out: an array drops names containing one of its texts, a text drops that name, `true` keeps only the basic ones.",
    ),
    option(
        "namespace",
        &[],
        Kind::Text,
        DefaultValue::Text("default"),
        "Group the process belongs to; usable as a target.",
    ),
    option("install_url", &["installUrl"], Kind::Text, DefaultValue::None, "Bookkeeping of modules."),
    option(
        "cwd",
        &[],
        Kind::Text,
        DefaultValue::None,
        "Working directory; relative to the caller's. Absent: the caller's.",
    ),
    option("args", &[], Kind::List, DefaultValue::None, "Arguments of the process."),
    option(
        "exec_interpreter",
        &["interpreter", "execInterpreter"],
        Kind::Text,
        DefaultValue::None,
        "Program that runs the script; `none` runs the script itself. Absent: chosen by extension.",
    ),
    option(
        "node_args",
        &["interpreter_args", "interpreterArgs", "nodeArgs"],
        Kind::List,
        DefaultValue::EmptyList,
        "Arguments of the interpreter, before the script.",
    ),
    option(
        "out_file",
        &["out_log", "output", "out", "outFile"],
        Kind::Text,
        DefaultValue::None,
        "File for standard output; `NULL` for none. Absent: `<home>/logs/<name>-out.log`.",
    ),
    option(
        "error_file",
        &["err_log", "err_file", "err", "error", "errorFile"],
        Kind::Text,
        DefaultValue::None,
        "File for standard error; `NULL` for none. Absent: `<home>/logs/<name>-error.log`.",
    ),
    option(
        "log_file",
        &["log", "logFile"],
        Kind::SwitchOrText,
        DefaultValue::None,
        "A third file with both streams; `true` for `<home>/logs/<name>.log`. Absent: none.",
    ),
    option(
        "disable_logs",
        &["disableLogs"],
        Kind::Switch,
        DefaultValue::None,
        "`true` writes no log at all. Absent: false.",
    ),
    option(
        "log_rotate",
        &["logRotate"],
        Kind::Rotation,
        DefaultValue::None,
        "Not an option of PM2. Rotates the logs: `true`, or an object with settings of pm2-logrotate for this app, such \
         as `{max_size: '10M', retain: 30, compress: true}`; `false` spares them. Absent: as `pm2-logrotate` in \
         `module_conf.json` says.",
    ),
    option(
        "log_type",
        &["logType"],
        Kind::Text,
        DefaultValue::None,
        "`json` writes one JSON object per line.",
    ),
    option(
        "log_date_format",
        &["logDateFormat"],
        Kind::Text,
        DefaultValue::None,
        "Date put before each line, in day.js letters. Absent: no date.",
    ),
    option(
        "time",
        &[],
        Kind::Switch,
        DefaultValue::None,
        "`true` stands for the date format `YYYY-MM-DDTHH:mm:ss`. Absent: false.",
    ),
    option("env", &[], Kind::Object, DefaultValue::EmptyObject, "Environment, laid over the caller's."),
    option(
        "max_memory_restart",
        &["maxMemoryRestart"],
        Kind::Size,
        DefaultValue::None,
        "Bytes, or a number with `K`, `M`, `G`; above it the process is restarted.",
    ),
    option(
        "pid_file",
        &["pid", "pidFile"],
        Kind::Text,
        DefaultValue::None,
        "File for the process number. Absent: `<home>/pids/<name>.pid`.",
    ),
    option(
        "restart_delay",
        &["restartDelay"],
        Kind::Number(Unit::Millisecond),
        DefaultValue::None,
        "Wait before an automatic restart, ms. Absent: 0.",
    ),
    option(
        "exp_backoff_restart_delay",
        &["expBackoffRestartDelay"],
        Kind::Number(Unit::Millisecond),
        DefaultValue::None,
        "First wait before an automatic restart, ms; grows by half each time up to 15 000.",
    ),
    option(
        "source_map_support",
        &["sourceMapSupport"],
        Kind::Switch,
        DefaultValue::None,
        "Stored, without effect.",
    ),
    option(
        "disable_source_map_support",
        &["disableSourceMapSupport"],
        Kind::Switch,
        DefaultValue::None,
        "`true` leaves source maps off in Node apps. Absent: false.",
    ),
    option(
        "wait_ready",
        &["waitReady"],
        Kind::Switch,
        DefaultValue::None,
        "`true`: online once the process sends `ready`. Absent: false.",
    ),
    option(
        "instances",
        &[],
        Kind::Number(Unit::One),
        DefaultValue::Number(1),
        "Number of processes; `max` or 0 for one per CPU, negative for that many fewer.",
    ),
    option(
        "kill_timeout",
        &["killTimeout"],
        Kind::Number(Unit::Millisecond),
        DefaultValue::None,
        "Wait between the stop signal and SIGKILL, ms. Absent: 1600.",
    ),
    option(
        "shutdown_with_message",
        &["shutdownWithMessage"],
        Kind::Switch,
        DefaultValue::None,
        "`true` stops by the message `shutdown` instead of a signal. Absent: false.",
    ),
    option(
        "listen_timeout",
        &["listenTimeout"],
        Kind::Number(Unit::Millisecond),
        DefaultValue::None,
        "Longest wait for a process to be ready, ms. Absent: 3000.",
    ),
    option(
        "cron_restart",
        &["cron", "cronRestart"],
        Kind::TextOrNumber,
        DefaultValue::None,
        "Cron pattern of five or six fields at which to restart; `0` for off.",
    ),
    option(
        "cron_starts_stopped",
        &["cronStartsStopped"],
        Kind::Switch,
        DefaultValue::None,
        "Not an option of PM2. `true`: the cron pattern also starts an app that somebody has stopped, as it does in PM2. \
         Absent: false.",
    ),
    option(
        "merge_logs",
        &["combine_logs", "mergeLogs"],
        Kind::Switch,
        DefaultValue::None,
        "`true` puts no id into the names of log files. Absent: true for a single process that is not in cluster mode.",
    ),
    option("vizion", &[], Kind::Switch, DefaultValue::Switch(true), "Whether git metadata may be looked up."),
    option(
        "autostart",
        &[],
        Kind::Switch,
        DefaultValue::Switch(true),
        "`false` lists the process without starting it.",
    ),
    option(
        "autorestart",
        &[],
        Kind::Switch,
        DefaultValue::Switch(true),
        "`false` leaves the process stopped after it exits.",
    ),
    option(
        "stop_exit_codes",
        &["stopExitCodes"],
        Kind::ExitCodes,
        DefaultValue::None,
        "Exit codes after which it is not restarted.",
    ),
    option(
        "watch_delay",
        &["watchDelay"],
        Kind::Number(Unit::Millisecond),
        DefaultValue::None,
        "Quiet time before a restart by watch, ms; the spelling `watchDelay` beside a script name is in seconds.",
    ),
    option(
        "watch",
        &[],
        Kind::SwitchListOrText,
        DefaultValue::None,
        "`true` or `[]` watches the working directory, else the given paths. Absent: false.",
    ),
    option(
        "ignore_watch",
        &["ignoreWatch"],
        Kind::List,
        DefaultValue::None,
        "Paths not to watch. Absent: dot files and `node_modules`.",
    ),
    option(
        "watch_options",
        &["watchOptions"],
        Kind::Object,
        DefaultValue::None,
        "Options of the file watcher.",
    ),
    option(
        "min_uptime",
        &["minUptime"],
        Kind::Time,
        DefaultValue::None,
        "A shorter run counts as unstable; ms or a number with `h`, `m`, `s`, at least 100. Absent: 1000.",
    ),
    option(
        "max_restarts",
        &["maxRestarts"],
        Kind::Count,
        DefaultValue::None,
        "Unstable runs in a row after which the process is given up. Absent: 16.",
    ),
    option(
        "execute_command",
        &["executeCommand"],
        Kind::Switch,
        DefaultValue::None,
        "`true` forces fork mode.",
    ),
    option(
        "exec_mode",
        &["execMode"],
        Kind::Mode,
        DefaultValue::None,
        "`cluster` or `fork`. Absent: cluster for Node apps with `instances`, else fork.",
    ),
    option("force", &[], Kind::Switch, DefaultValue::None, "`true` starts a script that already runs again."),
    option(
        "append_env_to_name",
        &["appendEnvToName"],
        Kind::Switch,
        DefaultValue::None,
        "`true` ends the name with the chosen environment. Absent: false.",
    ),
    option("post_update", &["postUpdate"], Kind::Array, DefaultValue::None, "Commands run after `pull`."),
    option(
        "trace",
        &[],
        Kind::Switch,
        DefaultValue::None,
        "Tracing by the agent; nothing is installed for it.",
    ),
    option(
        "disable_trace",
        &["disableTrace"],
        Kind::Switch,
        DefaultValue::None,
        "`true` sets `trace` to false.",
    ),
    option("v8", &[], Kind::Switch, DefaultValue::None, "Accepted, without effect."),
    option(
        "event_loop_inspector",
        &["eventLoopInspector"],
        Kind::Switch,
        DefaultValue::None,
        "Accepted, without effect.",
    ),
    option(
        "deep_monitoring",
        &["deepMonitoring"],
        Kind::Switch,
        DefaultValue::None,
        "`true` sets `trace` to true.",
    ),
    option(
        "increment_var",
        &["incrementVar"],
        Kind::Text,
        DefaultValue::None,
        "Variable that grows by one per instance.",
    ),
    option(
        "instance_var",
        &["instanceVar"],
        Kind::Text,
        DefaultValue::Text("NODE_APP_INSTANCE"),
        "Variable that holds the number of the instance.",
    ),
    option(
        "pmx",
        &[],
        Kind::SwitchOrText,
        DefaultValue::Switch(true),
        "`false` loads no runtime into Node apps.",
    ),
    option("automation", &[], Kind::Switch, DefaultValue::Switch(true), "`false` sets `pmx` to false."),
    option(
        "treekill",
        &[],
        Kind::Switch,
        DefaultValue::Switch(true),
        "`false` signals only the main process.",
    ),
    option("port", &[], Kind::Number(Unit::One), DefaultValue::None, "Variable `PORT` of the app."),
    option("username", &[], Kind::Text, DefaultValue::None, "Informative; always the caller's user."),
    option(
        "uid",
        &["user"],
        Kind::TextOrNumber,
        DefaultValue::None,
        "User to run as, name or number; root only.",
    ),
    option(
        "gid",
        &[],
        Kind::TextOrNumber,
        DefaultValue::None,
        "Group to run as, name or number. Absent: the user's.",
    ),
    option(
        "unhandled_rejections",
        &["unhandledRejections"],
        Kind::Text,
        DefaultValue::None,
        "Not an option of PM2. `strict`: Node's own rule for unhandled rejections instead of logging them and going on.",
    ),
    option(
        "scheduling_policy",
        &["schedulingPolicy"],
        Kind::Scheduling,
        DefaultValue::None,
        "Not an option of PM2. How connections come to the workers of a cluster app. `hybrid`: in turn, at high rates \
         straight from the kernel; `rr`: always in turn; `shared`: whoever is first. Absent: `hybrid`.",
    ),
    option(
        "sticky",
        &[],
        Kind::Switch,
        DefaultValue::None,
        "Not an option of PM2. `true`: the same worker of a cluster app serves all connections of a client address, \
         as WebSocket libraries with long polling need it. Absent: false.",
    ),
    option("windowsHide", &[], Kind::Switch, DefaultValue::Switch(true), "No console window on Windows."),
    option(
        "kill_retry_time",
        &["killRetryTime"],
        Kind::Number(Unit::Millisecond),
        DefaultValue::Number(100),
        "How often a dying process is looked at, ms.",
    ),
    option(
        "write",
        &[],
        Kind::Switch,
        DefaultValue::None,
        "`true` beside a script writes the options into the file `<name>-pm2.json`, which can be started like any other.",
    ),
    option(
        "io",
        &[],
        Kind::Object,
        DefaultValue::None,
        "Configuration of the agent; variable `io` of the app as JSON text.",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_spelling_means_two_options() {
        let mut seen = HashSet::new();
        for option in OPTIONS {
            assert!(seen.insert(option.name), "{}", option.name);
            for alias in option.aliases {
                assert!(seen.insert(alias), "{alias}");
            }
        }
    }

    #[test]
    fn every_option_has_help() {
        for option in OPTIONS {
            assert!(option.doc.ends_with('.'), "{}", option.name);
        }
    }
}
