//! The host that makes the apps children of this very process.

use std::io;

use super::{ProcessHost, Spawned};
use crate::sys::{Exit, Launch, spawn_process, wait_for_exit};

/// Children of the daemon itself; they are reaped one by one, never through `SIGCHLD`.
pub(crate) struct InProcessHost;

impl ProcessHost for InProcessHost {
    fn spawn(&self, launch: Launch) -> io::Result<Spawned> {
        let pid = spawn_process(&launch)?;
        let exit = async move {
            match wait_for_exit(pid).await {
                Ok(exit) => exit,
                // Without a watch the child cannot be told apart from one that ended: report it
                // so, once it really has, instead of losing it.
                Err(_) => wait_by_polling(pid).await,
            }
        };
        Ok(Spawned { pid, exit: Box::pin(exit) })
    }
}

/// Waits without a descriptor, for the moment when the daemon has none left.
async fn wait_by_polling(pid: i32) -> Exit {
    loop {
        let mut status = 0;
        // SAFETY: `status` is writable; WNOHANG never blocks.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        if waited == pid {
            return if libc::WIFSIGNALED(status) {
                Exit::Signal(libc::WTERMSIG(status))
            } else {
                Exit::Code(libc::WEXITSTATUS(status))
            };
        }
        if waited < 0 {
            return Exit::Code(0);
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
