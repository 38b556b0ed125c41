//! The first lines of a daemon in pm2.log.

use pm2_core::home::Home;

use crate::journal::Journal;
use crate::settings::Settings;

/// Writes who runs where, field by field as PM2 does, specification `logs.md` §7.
pub(super) fn write(home: &Home, settings: &Settings, journal: &Journal) {
    let rule = "=".repeat(79);
    journal.log(&rule);
    journal.log(format_args!("{:-<79}", "--- New PM2 Daemon started "));
    let fields = [
        ("Time", chrono::Local::now().to_string()),
        ("PM2 version", pm2_core::PM2_VERSION.to_owned()),
        ("pm2-rs version", pm2_core::VERSION.to_owned()),
        ("Current arch", std::env::consts::ARCH.to_owned()),
        ("PM2 home", home.dir.display().to_string()),
        ("PM2 PID file", home.pid_file.display().to_string()),
        ("RPC socket file", home.rpc.to_string()),
        ("BUS socket file", home.bus.to_string()),
        ("Application log path", home.logs_dir.display().to_string()),
        ("Process dump file", home.dump_file.display().to_string()),
        ("SIGTERM timeout", settings.kill_timeout.as_millis().to_string()),
    ];
    for (key, value) in fields {
        journal.log(format_args!("{key:<20} : {value}"));
    }
    journal.log(rule);
}
