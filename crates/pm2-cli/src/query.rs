//! Commands that ask the daemon: `ping`, `jlist`, `kill`.

use anyhow::Context;
use pm2_core::client::verbs::{self, Session};
use pm2_core::client::{ConnectError, ConnectRequest, connect};

use crate::connected::{home, print, runtime, with_session};

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
