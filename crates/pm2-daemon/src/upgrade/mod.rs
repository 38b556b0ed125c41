//! Running another program in the daemon's place: same process, same apps, same sockets.
//!
//! [`ask`] finds out whether that program could go on at all, and waits for a quiet moment. [`perform`] freezes the daemon
//! and runs the program; when that fails, the daemon thaws and goes on as if nothing had been. [`Predecessor`] is the
//! other side.

mod check;
mod perform;
mod predecessor;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

pub use check::reads_state;
pub(crate) use perform::{Image, perform};
pub use predecessor::Predecessor;

use crate::engine::Engine;
use crate::handover::FreezeError;

/// How long commands that are under way are waited for while others come.
const QUIET: Duration = Duration::from_secs(30);

/// Why the old program goes on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error("another upgrade is under way")]
    UnderWay,
    #[error("the daemon ends")]
    Ending,
    #[error("its own executable is unknown, a path must be named")]
    Unknown,
    #[error("{} is not absolute", .0.display())]
    Relative(PathBuf),
    #[error("{} cannot be run: {source}", program.display())]
    NotRun { program: PathBuf, source: io::Error },
    #[error("{} does not go on with what this daemon leaves: {said}", program.display())]
    Unable { program: PathBuf, said: String },
    #[error("some apps take too long to start or to stop")]
    Busy,
    #[error(transparent)]
    NotFrozen(#[from] FreezeError),
    #[error("the daemon was sent a signal")]
    Signalled,
    #[error("its state cannot be written down: {0}")]
    State(io::Error),
}

/// A program that is to run in this process's place.
pub(crate) struct Upgrade {
    pub(crate) program: PathBuf,
    failed: oneshot::Sender<UpgradeError>,
}

impl Upgrade {
    /// Tells whoever asked.
    pub(crate) fn has_failed(self, error: UpgradeError) {
        // The asking connection may have gone.
        drop(self.failed.send(error));
    }
}

/// Where upgrades are asked for, one at a time.
pub(crate) struct Upgrades {
    wanted: mpsc::Sender<Upgrade>,
    is_under_way: AtomicBool,
    /// The file that this program was started from.
    own: Option<PathBuf>,
}

impl Upgrades {
    /// And where they arrive.
    pub(crate) fn new() -> (Upgrades, mpsc::Receiver<Upgrade>) {
        let (wanted, arriving) = mpsc::channel(1);
        // Now: when the file is replaced, the system knows only that the old one is gone.
        let own = std::env::current_exe().ok();
        (Upgrades { wanted, is_under_way: AtomicBool::new(false), own }, arriving)
    }
}

/// Runs a program in the daemon's place: this one, as its file is now, or the one named. Returns only when that failed.
pub(crate) async fn ask(engine: &Arc<Engine>, program: Option<PathBuf>) -> UpgradeError {
    if engine.upgrades.is_under_way.swap(true, Ordering::Relaxed) {
        return UpgradeError::UnderWay;
    }
    let Err(error) = try_upgrade(engine, program).await;
    engine.upgrades.is_under_way.store(false, Ordering::Relaxed);
    error
}

async fn try_upgrade(
    engine: &Arc<Engine>,
    program: Option<PathBuf>,
) -> Result<std::convert::Infallible, UpgradeError> {
    let program = program.or_else(|| engine.upgrades.own.clone()).ok_or(UpgradeError::Unknown)?;
    if !program.is_absolute() {
        return Err(UpgradeError::Relative(program));
    }
    check::check(&engine.supervisor.context, &program).await?;
    // Nobody is held up by this; if there never is a quiet moment, one is made.
    drop(timeout(QUIET, engine.supervisor.context.under_way.zero()).await);
    let (failed, failure) = oneshot::channel();
    engine.upgrades.wanted.send(Upgrade { program, failed }).await.map_err(|_| UpgradeError::Ending)?;
    Err(failure.await.unwrap_or(UpgradeError::Ending))
}
