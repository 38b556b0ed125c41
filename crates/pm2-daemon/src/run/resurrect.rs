//! Bringing the saved apps back, for a daemon that an init system has started.

use pm2_core::app::Map;
use pm2_core::client::verbs::{self, Caller, Session, VerbError};
use pm2_core::client::{ConnectRequest, connect};
use pm2_core::dump::DumpError;
use pm2_core::home::Home;

use crate::journal::Journal;

/// Restores the saved list over this daemon's own socket, so that it means what it means for every client. What goes
/// wrong is told in the log; a daemon without its apps is still one.
pub(super) async fn resurrect(home: Home, journal: Journal) {
    let session = match connect(&ConnectRequest { home: home.clone(), launch: None }).await {
        Ok(connected) => Session { connection: connected.connection, home },
        Err(error) => return journal.error(format_args!("cannot restore the saved apps: {error}")),
    };
    let variable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?.into()))
    };
    let env: Map = std::env::vars_os().filter_map(variable).collect();
    match verbs::resurrect(&session, &Caller { env, ..Caller::default() }).await {
        Ok(restored) => {
            for error in &restored.errors {
                journal.error(format_args!("cannot restore {error}"));
            }
            journal.log(format_args!("{} saved processes restored", restored.result.len()));
        }
        Err(VerbError::Dump(DumpError::Read { source, .. }))
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            journal.log("No saved processes");
        }
        Err(error) => journal.error(format_args!("cannot restore the saved apps: {error}")),
    }
}
