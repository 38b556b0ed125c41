//! A connection to the daemon of this shell's home, for one command.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use pm2_core::client::verbs::Session;
use pm2_core::client::{ConnectRequest, LaunchOptions, connect};
use pm2_core::home::Home;

/// Connects, launching a daemon when there is none, and works with it.
pub(crate) fn with_session(work: impl AsyncFnOnce(Session) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let home = home()?;
    let request = ConnectRequest {
        home: home.clone(),
        launch: Some(LaunchOptions {
            executable: std::env::current_exe().context("cannot find this executable")?,
            cwd: folder(),
            env: environment(),
            attached: false,
        }),
    };
    runtime()?.block_on(async {
        let connected = connect(&request).await.context("cannot reach or launch the daemon")?;
        work(Session { connection: connected.connection, home }).await
    })
}

/// The home the environment names.
pub(crate) fn home() -> anyhow::Result<Home> {
    Home::from_env(&|key| std::env::var(key).ok()).context("cannot tell PM2_HOME")
}

/// The working directory.
pub(crate) fn folder() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
}

/// The environment, as far as it is text.
pub(crate) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")
}

/// Writes to standard output; a reader that has gone is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}
