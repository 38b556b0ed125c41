//! The running daemon as its connections see it: the supervisor, and the way to end it all.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::clock::epoch_ms;
use crate::job::Command;
use crate::supervisor::Supervisor;

/// Why the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A client asked for it; that process is told by SIGQUIT.
    Killed { notify: Option<i32> },
    /// SIGTERM, SIGINT or SIGQUIT.
    Signal,
    /// The script that a no-daemon engine belongs to has ended.
    OwnerGone,
}

/// Shared by all connections.
pub(crate) struct Engine {
    pub(crate) supervisor: Supervisor,
    /// Epoch ms of the daemon's start.
    pub(crate) started_at: i64,
    ending: Mutex<Option<oneshot::Sender<Ending>>>,
}

impl Engine {
    /// An engine, and the receiver of the reason for its end.
    pub(crate) fn new(supervisor: Supervisor) -> (Arc<Engine>, oneshot::Receiver<Ending>) {
        let (ending, ended) = oneshot::channel();
        let engine = Engine { supervisor, started_at: epoch_ms(), ending: Mutex::new(Some(ending)) };
        (Arc::new(engine), ended)
    }

    /// Asks for the end; only the first reason counts.
    pub(crate) fn end(&self, ending: Ending) {
        self.supervisor.context.begin_end();
        if let Some(sender) = self.ending.lock().take() {
            // The receiver is gone only when the end has begun.
            let _ = sender.send(ending);
        }
    }

    /// Makes every app's log files follow their paths again.
    pub(crate) fn reload_logs(&self) {
        let journal = self.supervisor.context.journal.clone();
        journal.log("Reloading logs...");
        for job in self.supervisor.jobs() {
            let reopened = job.ask(Command::ReopenLogs);
            let journal = journal.clone();
            tokio::spawn(async move {
                if let Err(error) = reopened.await {
                    journal.error(error);
                }
            });
        }
    }
}
