//! The hidden subcommand `daemon`.

use anyhow::Context;
use pm2_core::home::Home;
use pm2_daemon::{Outcome, Ready, RunOptions};

/// Serves the home that the environment names until it is ended.
pub(crate) fn run_daemon(options: RunOptions, ready: &mut Ready) -> anyhow::Result<()> {
    let home = Home::from_env(&|key| std::env::var(key).ok()).context("cannot tell PM2_HOME")?;
    let result = pm2_daemon::run(&home, options, ready);
    ready.conclude(&result);
    if let Outcome::AlreadyRunning { pid } = result.context("the daemon could not serve")? {
        let pid = pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
        eprintln!("a daemon (pid {pid}) already serves {}", home.dir.display());
    }
    Ok(())
}

/// As [`run_daemon`], reporting to whoever started this process.
pub(crate) fn run(options: RunOptions) -> anyhow::Result<()> {
    // SAFETY: first thing after the arguments were read; nothing has opened a descriptor or started a thread yet.
    let mut ready = unsafe { Ready::from_environment() };
    run_daemon(options, &mut ready)
}
