//! What the daemon's environment sets, read once at its start.

use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::{Limits, Policy};
use crate::sys::{Signal, signal_by_name};

/// Defaults of behaviour, specification `wire.md` §1.4.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Time between the stop signal and SIGKILL for apps without `kill_timeout`; `PM2_KILL_TIMEOUT`, 1600 ms.
    pub(crate) kill_timeout: Duration,
    /// The stop signal; `PM2_KILL_SIGNAL`, SIGINT.
    pub(crate) kill_signal: Signal,
    /// Stop with the message `shutdown` instead of a signal; `PM2_KILL_USE_MESSAGE`.
    pub(crate) kill_use_message: bool,
    /// Longest wait for readiness; `PM2_GRACEFUL_LISTEN_TIMEOUT`, 3000 ms.
    pub(crate) listen_timeout: Duration,
    /// Longest wait for a worker that was told to finish; `PM2_GRACEFUL_TIMEOUT`, 8000 ms.
    pub(crate) graceful_timeout: Duration,
    /// Go on with a reload whatever becomes of the new worker, as PM2 does; `PM2_RS_BLIND_RELOAD`.
    pub(crate) blind_reload: bool,
    /// How connections are given to workers of apps that do not say; `NODE_CLUSTER_SCHED_POLICY`, as Node reads it:
    /// `rr` or `none`. Absent: hybrid.
    pub(crate) scheduling_policy: Policy,
    /// `PM2_RS_CLUSTER_WINDOW`, 4 connections on their way to a worker, and `PM2_RS_CLUSTER_DIRECT_ABOVE`, 1000 new
    /// connections per second on an address, above which they are not dealt any more; 0 = they never are.
    pub(crate) cluster: Limits,
    /// Uptime that resets the back-off; `EXP_BACKOFF_RESET_TIMER`, 30 000 ms.
    pub(crate) backoff_reset: Duration,
    /// Name of the instance variable for all apps; `PM2_PROCESS_INSTANCE_VAR`.
    pub(crate) instance_variable: Option<String>,
    /// Arguments for every interpreter; `PM2_NODE_OPTIONS`, split at blanks.
    pub(crate) node_options: Vec<String>,
    /// Prefix of the daemon's log lines, day.js; `PM2_LOG_DATE_FORMAT`.
    pub(crate) log_date_format: String,
    /// User and group that own the sockets; `PM2_SOCKET_USER` and `PM2_SOCKET_GROUP`, both needed.
    pub(crate) socket_owner: Option<(u32, u32)>,
    /// How many CPUs `instances: 0` means.
    pub(crate) n_cpus: usize,
    /// Give each app a control group where the system lets us; `PM2_RS_CGROUPS`, yes unless it is `0`.
    pub(crate) cgroups: bool,
    /// Folder for the app runtime's file.
    pub(crate) runtime_folder: PathBuf,
}

impl Settings {
    /// Reads the settings; values that cannot be used count as absent.
    pub(crate) fn read(home: &std::path::Path, get: &dyn Fn(&str) -> Option<String>) -> Settings {
        let ms = |key: &str, absent: u64| {
            let value = get(key).and_then(|text| text.trim().parse().ok()).filter(|ms| *ms > 0);
            Duration::from_millis(value.unwrap_or(absent))
        };
        let count = |key: &str| get(key).and_then(|text| text.trim().parse().ok());
        let id = |key: &str| get(key).and_then(|text| text.parse().ok());
        Settings {
            kill_timeout: ms("PM2_KILL_TIMEOUT", 1600),
            kill_signal: get("PM2_KILL_SIGNAL")
                .and_then(|name| signal_by_name(&name))
                .unwrap_or(Signal::INTERRUPT),
            kill_use_message: get("PM2_KILL_USE_MESSAGE").is_some_and(|value| !value.is_empty()),
            listen_timeout: ms("PM2_GRACEFUL_LISTEN_TIMEOUT", 3000),
            graceful_timeout: ms("PM2_GRACEFUL_TIMEOUT", 8000),
            blind_reload: get("PM2_RS_BLIND_RELOAD").is_some_and(|value| !value.is_empty()),
            scheduling_policy: get("NODE_CLUSTER_SCHED_POLICY")
                .and_then(|name| Policy::by_name(&name))
                .unwrap_or_default(),
            cluster: Limits {
                window: count("PM2_RS_CLUSTER_WINDOW").filter(|window| *window > 0).unwrap_or(4) as usize,
                direct_above: count("PM2_RS_CLUSTER_DIRECT_ABOVE").unwrap_or(1000),
            },
            backoff_reset: ms("EXP_BACKOFF_RESET_TIMER", 30_000),
            instance_variable: get("PM2_PROCESS_INSTANCE_VAR").filter(|name| !name.is_empty()),
            node_options: get("PM2_NODE_OPTIONS")
                .map(|text| text.split_ascii_whitespace().map(str::to_owned).collect())
                .unwrap_or_default(),
            log_date_format: get("PM2_LOG_DATE_FORMAT").unwrap_or_else(|| "YYYY-MM-DDTHH:mm:ss".to_owned()),
            socket_owner: id("PM2_SOCKET_USER").zip(id("PM2_SOCKET_GROUP")),
            n_cpus: std::thread::available_parallelism().map_or(1, usize::from),
            cgroups: get("PM2_RS_CGROUPS").as_deref() != Some("0"),
            runtime_folder: home.to_owned(),
        }
    }
}
