//! Commands that ask the daemon: `ping`, `jlist`, `kill`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use pm2_core::client::verbs::{self, Session};
use pm2_core::client::{ConnectError, ConnectRequest, LaunchOptions, connect};
use pm2_core::home::Home;

/// Asks for a sign of life.
pub(crate) fn ping() -> anyhow::Result<()> {
    with_session(async |session| {
        session.call("ping", &serde_json::json!({})).await.context("the daemon does not answer")?;
        print("{ msg: 'pong' }\n")
    })
}

/// Prints the process list as one line of JSON, without a newline, as PM2 does.
pub(crate) fn list() -> anyhow::Result<()> {
    with_session(async |session| {
        let list = verbs::list(&session).await.context("cannot get the process list")?;
        print(list.get())
    })
}

/// Ends the daemon and its apps; launches none to do so.
pub(crate) fn kill() -> anyhow::Result<()> {
    let home = home()?;
    runtime()?.block_on(async {
        let request = ConnectRequest { home: home.clone(), launch: None };
        match connect(&request).await {
            Ok(connected) => verbs::kill(&Session { connection: connected.connection, home })
                .await
                .context("cannot end the daemon"),
            Err(ConnectError::NotRunning { .. }) => Ok(()),
            Err(error) => Err(error).context("cannot reach the daemon"),
        }
    })?;
    print("[PM2] [v] All Applications Stopped\n[PM2] [v] PM2 Daemon Stopped\n")
}

fn with_session(ask: impl AsyncFnOnce(Session) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let home = home()?;
    let request = ConnectRequest {
        home: home.clone(),
        launch: Some(LaunchOptions {
            executable: std::env::current_exe().context("cannot find this executable")?,
            cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            env: environment(),
            attached: false,
        }),
    };
    runtime()?.block_on(async {
        let connected = connect(&request).await.context("cannot reach or launch the daemon")?;
        ask(Session { connection: connected.connection, home }).await
    })
}

fn home() -> anyhow::Result<Home> {
    Home::from_env(&|key| std::env::var(key).ok()).context("cannot tell PM2_HOME")
}

fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")
}

/// Writes to standard output; a reader that has gone is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}
