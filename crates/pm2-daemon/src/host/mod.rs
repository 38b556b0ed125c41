//! The seam between supervision and the operating system's processes.
//!
//! The supervisor never spawns or waits itself. A host starts a process with a given layout of
//! descriptors and later says how it ended; whether it does so in this process or in a keeper that
//! outlives the engine is its own affair.

mod in_process;

use std::future::Future;
use std::io;
use std::pin::Pin;

pub(crate) use in_process::InProcessHost;

use crate::sys::{Exit, Launch};

/// The end of a process, once.
pub(crate) type ExitFuture = Pin<Box<dyn Future<Output = Exit> + Send + Sync>>;

/// A started process.
pub(crate) struct Spawned {
    pub(crate) pid: i32,
    pub(crate) exit: ExitFuture,
}

/// Starts processes and reports their ends.
pub(crate) trait ProcessHost: Send + Sync {
    /// Starts one process as the leader of its own session. The child's ends of the descriptors are
    /// closed here when the call returns.
    ///
    /// # Errors
    /// What the operating system said; no process exists then.
    fn spawn(&self, launch: Launch) -> io::Result<Spawned>;

    /// The end of a process that this host has started, perhaps for an earlier image of this program, and that nobody
    /// has heard of yet.
    fn follow(&self, pid: i32) -> ExitFuture;
}
