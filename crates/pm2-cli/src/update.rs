//! `update`: the running daemon goes on with this executable.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use pm2_core::client::{CallError, ConnectError, ConnectRequest, Connection, Reply, connect};
use pm2_core::home::Home;
use serde_json::Value;
use tokio::time::timeout;

use crate::connected::{home, print, runtime};

/// How long the daemon may take to answer again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks for it and waits until the daemon answers again; launches none.
pub(crate) fn update() -> anyhow::Result<()> {
    let home = home()?;
    let executable = std::env::current_exe().context("cannot find this executable")?;
    let executable = executable.to_str().context("the path of this executable is no text")?.to_owned();
    runtime()?.block_on(async {
        let Some(connection) = connection(&home).await? else {
            return print("[PM2] No daemon is running\n");
        };
        let Reply::Methods(methods) = connection.methods().await.context("the daemon does not answer")? else {
            bail!("the daemon does not say what it can do");
        };
        let methods: Value = serde_json::from_str(methods.get()).context("the daemon's answer is no JSON")?;
        if methods.get("upgrade").is_none() {
            bail!(
                "the running daemon cannot be updated in place, it is npm pm2 or an early pm2-rs; save the list, kill \
                 the daemon and resurrect the apps instead"
            );
        }
        let before = version(&connection).await?;
        let argument = Value::from(vec![executable]).to_string();
        match connection.call("upgrade", &argument).await {
            Ok(Reply::Error { message, .. }) => bail!("{message}"),
            Ok(_) | Err(CallError::ConnectionLost { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        // Its sockets have never been away: whoever connects now waits for it.
        let Some(connection) = self::connection(&home).await? else {
            bail!("the daemon has ended, see {}", home.log_file.display());
        };
        let after = timeout(PATIENCE, version(&connection)).await;
        let after = after.map_err(|_| anyhow!("the daemon does not answer, see {}", home.log_file.display()))??;
        print(&format!("[PM2] Daemon updated in place: pm2-rs {before} -> {after}\n"))
    })
}

/// A connection to the daemon, if there is one.
async fn connection(home: &Home) -> anyhow::Result<Option<Connection>> {
    let request = ConnectRequest { home: home.clone(), launch: None };
    match connect(&request).await {
        Ok(connected) => Ok(Some(connected.connection)),
        Err(ConnectError::NotRunning { .. }) => Ok(None),
        Err(error) => Err(error).context("cannot reach the daemon"),
    }
}

async fn version(connection: &Connection) -> anyhow::Result<String> {
    let reply = connection.call("getOwnVersion", "[{}]").await.context("the daemon does not answer")?;
    let Reply::Success { args } = reply else { bail!("the daemon does not tell its version") };
    let versions: Vec<String> = serde_json::from_str(args.get()).context("the daemon's answer is no text")?;
    versions.into_iter().next().context("the daemon does not tell its version")
}
