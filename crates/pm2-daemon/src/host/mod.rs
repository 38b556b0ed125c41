//! The seam between supervision and the operating system's processes.
//!
//! The supervisor never spawns, waits or signals itself. A host starts a process with a given layout of
//! descriptors, later says how it ended, and finds whoever it has started in its turn; whether it does so in this
//! process or in a keeper that outlives the engine is its own affair.

mod family;
mod groups;
mod in_process;
#[cfg(test)]
pub(crate) mod scripted;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

pub(crate) use family::Kin;
pub(crate) use in_process::InProcessHost;

use crate::sys::{Exit, Launch, ProcessWatch, Signal};

/// The end of a process, once.
pub(crate) type ExitFuture = Pin<Box<dyn Future<Output = Exit> + Send + Sync>>;

/// A started process.
pub(crate) struct Spawned {
    pub(crate) pid: i32,
    pub(crate) exit: ExitFuture,
    /// The control group that it is in, if that was made for it.
    pub(crate) group: Option<PathBuf>,
}

/// How processes are found that an app has started and that are not its children any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tracking {
    /// Each app's process has a control group of its own, which nobody leaves; orphans are the daemon's, too.
    Cgroup,
    /// Orphans become children of the daemon, which tells them apart by their session and their variables.
    Subreaper,
    /// By their process group alone.
    Group,
}

impl Tracking {
    /// As the process list shows it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Tracking::Cgroup => "cgroup",
            Tracking::Subreaper => "subreaper",
            Tracking::Group => "group",
        }
    }
}

/// Starts processes and reports their ends.
pub(crate) trait ProcessHost: Send + Sync {
    /// Starts one process as the leader of a process group. The child's ends of the descriptors are
    /// closed here when the call returns.
    ///
    /// # Errors
    /// What the operating system said; no process exists then.
    fn spawn(&self, launch: Launch) -> io::Result<Spawned>;

    /// How descendants are found of a process that has no control group.
    fn tracking(&self) -> Tracking;

    /// The end of a process that this host has started, perhaps for an earlier image of this program, and that nobody
    /// has heard of yet.
    fn follow(&self, pid: i32) -> ExitFuture;

    /// Sends a signal to a process that this host has started and whose end nobody has heard of yet.
    ///
    /// # Errors
    /// `ESRCH` when it is gone, `EPERM` when it has become somebody else's.
    fn signal(&self, pid: i32, signal: Signal) -> io::Result<()>;

    /// Everyone whom a process has started, itself or through others, and who lives, each parent after its children;
    /// without those that are known. Whoever has lost its parent is found as far as [`Tracking`] goes.
    fn family(&self, of: &Kin, known: &[Box<dyn Relative>]) -> Vec<Box<dyn Relative>>;

    /// Nobody asks for this family any more; what was kept for it goes when the last one has ended.
    fn leave(&self, family: &Kin);
}

/// A process that an app has started, itself or through others: no child of the host's, and perhaps nobody's.
pub(crate) trait Relative: Send + Sync {
    fn pid(&self) -> i32;

    /// Whether it has ended.
    fn is_gone(&self) -> bool;

    /// Sends a signal to exactly this process; an ended one is no error.
    fn signal(&self, signal: Signal);

    /// Completes when it has ended.
    fn gone(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// What is left of one that has ended goes, if that is the host's to do.
    fn reap(&self);
}

impl Relative for ProcessWatch {
    fn pid(&self) -> i32 {
        ProcessWatch::pid(self)
    }

    fn is_gone(&self) -> bool {
        ProcessWatch::is_gone(self)
    }

    fn signal(&self, signal: Signal) {
        ProcessWatch::signal(self, signal);
    }

    fn gone(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(ProcessWatch::gone(self))
    }

    fn reap(&self) {
        ProcessWatch::reap(self);
    }
}
