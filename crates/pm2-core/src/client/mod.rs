//! The client's side: connecting to a daemon, launching one when there is none, calling it.
//!
//! Works against the daemon of this project and against PM2's own. Modules that are installed in a home are
//! not started after a launch.

mod connection;
mod error;
pub mod launch;
mod outbox;
pub mod verbs;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep};

pub use crate::protocol::Reply;
pub use connection::Connection;
pub(crate) use error::io_code;
pub use error::{CallError, ConnectError, LaunchError};
use launch::{LaunchRequest, Lifeline};

use crate::home::{Endpoint, Home};

/// How long a busy socket is tried again.
const BUSY_LIMIT: Duration = Duration::from_secs(10);
/// Time between two tries.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// How to reach the daemon of a home.
#[derive(Debug, Clone)]
pub struct ConnectRequest {
    /// The home.
    pub home: Home,
    /// What to launch when no daemon is there; `None`: fail with [`ConnectError::NotRunning`] instead.
    pub launch: Option<LaunchOptions>,
}

/// How to launch a daemon.
#[derive(Debug, Clone)]
pub struct LaunchOptions {
    /// The executable `pm2-rs`.
    pub executable: PathBuf,
    /// The daemon's working directory.
    pub cwd: PathBuf,
    /// The daemon's environment.
    pub env: Vec<(String, String)>,
    /// Whether the daemon and its apps end with this process, or when the [`Connected`] is dropped.
    pub attached: bool,
}

/// A connection, and what had to be done for it.
#[derive(Debug)]
pub struct Connected {
    /// The connection.
    pub connection: Connection,
    /// Whether this call launched the daemon.
    pub launched: bool,
    /// Attached mode: what keeps the launched daemon alive.
    pub lifeline: Option<Lifeline>,
}

/// Connects to the daemon of a home, launching it when there is none. Must be called inside a tokio runtime.
///
/// Whether a daemon is there is decided by connecting, as PM2 does (specification `wire.md` §2.1). 50
/// processes that do this at once get one daemon.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(request: &ConnectRequest) -> Result<Connected, ConnectError> {
    let home = &request.home;
    home.check_sockets()?;
    let Some(options) = &request.launch else {
        return Ok(Connected { connection: open(&home.rpc).await?, launched: false, lifeline: None });
    };
    home.create()?;
    match open(&home.rpc).await {
        Err(ConnectError::NotRunning { .. }) => {}
        opened => {
            return Ok(Connected { connection: opened?, launched: false, lifeline: None });
        }
    }
    let launched = launch::launch(LaunchRequest {
        executable: &options.executable,
        home,
        cwd: &options.cwd,
        env: &options.env,
        attached: options.attached,
    })
    .await?;
    Ok(Connected {
        connection: open(&home.rpc).await?,
        launched: !launched.already,
        lifeline: launched.lifeline,
    })
}

/// Whether a daemon listens at this home; launches none.
///
/// Being connectable is the whole of PM2's liveness contract, so nothing is asked and nothing can hang.
///
/// # Errors
/// Anything but the absence of a daemon, see [`ConnectError`].
pub async fn ping(home: &Home) -> Result<bool, ConnectError> {
    match open(&home.rpc).await {
        Ok(_) => Ok(true),
        Err(ConnectError::NotRunning { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Connects; waits while so many others connect that the socket's queue is full.
async fn open(endpoint: &Endpoint) -> Result<Connection, ConnectError> {
    let deadline = Instant::now() + BUSY_LIMIT;
    loop {
        let error = match Connection::open(endpoint).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let endpoint = endpoint.clone();
        match error.kind() {
            io::ErrorKind::WouldBlock if Instant::now() < deadline => sleep(BUSY_PAUSE).await,
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                return Err(ConnectError::NotRunning { endpoint });
            }
            io::ErrorKind::PermissionDenied => return Err(ConnectError::Denied { endpoint }),
            _ => {
                let source = error;
                return Err(ConnectError::Socket { endpoint, source });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn tells_absence_from_denial() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"), &|_| None).unwrap();
        let request = ConnectRequest { home: home.clone(), launch: None };
        let code = async || connect(&request).await.unwrap_err().code().to_owned();
        assert_eq!(code().await, "PM2_NOT_RUNNING");
        assert!(!home.dir.exists(), "looking makes nothing");
        home.create().unwrap();
        let Endpoint::Unix(socket) = &home.rpc else {
            panic!("not a Unix socket");
        };
        let listener = UnixListener::bind(socket).unwrap();
        assert!(ping(&home).await.unwrap());
        assert!(!connect(&request).await.unwrap().launched);
        drop(listener);
        assert!(!ping(&home).await.unwrap(), "a socket nobody listens on");
        std::fs::remove_file(socket).unwrap();
        std::fs::write(&home.log_file, "").unwrap();
        let launch = LaunchOptions {
            executable: dir.path().join("nowhere"),
            cwd: dir.path().to_owned(),
            env: Vec::new(),
            attached: false,
        };
        let launching = ConnectRequest { home: home.clone(), launch: Some(launch) };
        let error = connect(&launching).await.unwrap_err();
        assert!(matches!(error, ConnectError::Launch(_)), "{error}");
    }
}
