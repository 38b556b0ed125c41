//! The host that makes the apps children of this very process.

use std::io;

use super::{ExitFuture, ProcessHost, Spawned};
use crate::sys::{Launch, poll_for_exit, spawn_process, wait_for_exit};

/// Children of the daemon itself; they are reaped one by one, never through `SIGCHLD`.
pub(crate) struct InProcessHost;

impl ProcessHost for InProcessHost {
    fn spawn(&self, launch: Launch) -> io::Result<Spawned> {
        let pid = spawn_process(&launch)?;
        Ok(Spawned { pid, exit: self.follow(pid) })
    }

    fn follow(&self, pid: i32) -> ExitFuture {
        Box::pin(async move {
            match wait_for_exit(pid).await {
                Ok(exit) => exit,
                // Without a watch the child cannot be told apart from one that ended: report it
                // so, once it really has, instead of losing it.
                Err(_) => poll_for_exit(pid).await,
            }
        })
    }
}
