//! Who serves a home: whoever holds its lock.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use pm2_core::home::{Endpoint, Home};

use super::{DaemonError, read_pid};
use crate::handover::{Descriptors, Kept};

/// How long a daemon that finds the lock taken waits for the other one to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The lock of a home, held for as long as this lives.
pub(super) struct Lock(Flock<File>);

impl Lock {
    /// Takes the lock; `None` when another daemon serves. While another daemon holds it, that one is starting (soon it
    /// answers), serving, or ending (soon the lock is free).
    ///
    /// # Errors
    /// When the file cannot be used, or whoever holds it does not answer.
    pub(super) async fn take(home: &Home) -> Result<Option<Lock>, DaemonError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(lock) = try_lock(&home.lock_file)? {
                // A daemon of npm's pm2 takes no lock; it is alive if it answers.
                return Ok((!answers(&home.rpc).await).then_some(Lock(lock)));
            }
            if answers(&home.rpc).await {
                return Ok(None);
            }
            if tokio::time::Instant::now() > deadline {
                return Err(DaemonError::Unresponsive {
                    path: home.lock_file.clone(),
                    pid: read_pid(&home.pid_file),
                });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The lock as data; it stays held here, and by whoever has the descriptor.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub(super) fn freeze(&self, descriptors: &mut Descriptors) -> io::Result<Kept> {
        Ok(descriptors.keep(self.0.try_clone()?))
    }

    /// The lock that was frozen.
    ///
    /// # Errors
    /// When it was not kept.
    pub(super) fn thaw(lock: Kept, descriptors: &mut Descriptors) -> io::Result<Lock> {
        let file = File::from(descriptors.take(lock)?);
        // It is held already: that is a quality of the open file.
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        lock.map(Lock).map_err(|(_, errno)| errno.into())
    }
}

fn try_lock(path: &Path) -> Result<Option<Flock<File>>, DaemonError> {
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |action, source| DaemonError::File { action, path: path.to_owned(), source };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| failed("open", error))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(failed("lock", errno.into())),
    }
}

async fn answers(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Unix(path) => tokio::net::UnixStream::connect(path).await.is_ok(),
        Endpoint::Tcp(address) => tokio::net::TcpStream::connect(address).await.is_ok(),
    }
}
