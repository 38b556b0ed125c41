//! The hidden subcommand `daemon`.

use anyhow::Context;
use pm2_core::home::Home;
use pm2_daemon::{Outcome, Predecessor, Ready, RunOptions};

use crate::connected::print;

/// Serves the home that the environment names until it is ended, reporting to whoever started this process, or goes on
/// with what this process was before.
pub(crate) fn run(options: RunOptions) -> anyhow::Result<()> {
    // SAFETY: first thing after the arguments were read; there is one thread, and nothing has opened a descriptor yet.
    let predecessor = unsafe { Predecessor::from_environment() };
    let mut ready = match &predecessor {
        // SAFETY: as above.
        Some(_) => unsafe { Ready::of_predecessor() },
        // SAFETY: as above; the predecessor's descriptors are not there.
        None => unsafe { Ready::from_environment() },
    };
    let home = Home::from_env(&|key| std::env::var(key).ok()).context("cannot tell PM2_HOME")?;
    let result = pm2_daemon::run(&home, options, predecessor, &mut ready);
    ready.conclude(&result);
    if let Outcome::AlreadyRunning { pid } = result.context("the daemon could not serve")? {
        let pid = pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
        eprintln!("a daemon (pid {pid}) already serves {}", home.dir.display());
    }
    Ok(())
}

/// Says whether this executable can go on with what a daemon leaves.
pub(crate) fn reads_state(version: u32) -> anyhow::Result<()> {
    let statement = pm2_daemon::reads_state(version).with_context(|| {
        format!("pm2-rs {} cannot read the state of version {version}", pm2_core::VERSION)
    })?;
    print(&format!("{statement}\n"))
}
