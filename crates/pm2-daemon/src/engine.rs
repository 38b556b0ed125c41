//! The running daemon as its connections see it: the supervisor, and the way to end it all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use pm2_core::logs::numbered;
use tokio::sync::{mpsc, oneshot};

use crate::job::Command;
use crate::supervisor::Supervisor;
use crate::tally::{Gate, Tally};
use crate::upgrade::{Upgrade, Upgrades};

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
    /// Bytes of replies that have not left.
    pub(crate) unsent: Tally,
    /// Shut, no command and no connection is looked at.
    pub(crate) gate: Gate,
    /// For [`crate::upgrade`].
    pub(crate) upgrades: Upgrades,
    ending: Mutex<Option<oneshot::Sender<Ending>>>,
}

/// What the engine asks of whoever runs it.
pub(crate) struct Wishes {
    /// The reason for its end.
    pub(crate) ended: oneshot::Receiver<Ending>,
    /// Programs that are to run in this process's place.
    pub(crate) upgrades: mpsc::Receiver<Upgrade>,
}

impl Engine {
    /// An engine that was started at that moment (epoch ms).
    pub(crate) fn new(supervisor: Supervisor, started_at: i64) -> (Arc<Engine>, Wishes) {
        let (ending, ended) = oneshot::channel();
        let (upgrades, wanted) = Upgrades::new();
        let engine = Engine {
            supervisor,
            started_at,
            unsent: Tally::default(),
            gate: Gate::opened(),
            upgrades,
            ending: Mutex::new(Some(ending)),
        };
        (Arc::new(engine), Wishes { ended, upgrades: wanted })
    }

    /// Asks for the end; only the first reason counts.
    pub(crate) fn end(&self, ending: Ending) {
        self.supervisor.context.begin_end();
        if let Some(sender) = self.ending.lock().take() {
            // The receiver is gone only when the end has begun.
            let _ = sender.send(ending);
        }
    }

    /// Makes every app's logs go on in files with higher numbers.
    ///
    /// # Errors
    /// The first log that could not; it goes on where it is.
    pub(crate) async fn continue_logs(&self) -> Result<(), String> {
        self.supervisor.context.journal.log("Rotating logs...");
        let jobs = self.supervisor.jobs();
        let mut paths = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for path in jobs.iter().flat_map(|job| job.peek(|view| view.log_paths())) {
            // What is no file, like a terminal, has no successor.
            let is_file = std::fs::metadata(&path).map_or(true, |data| data.is_file());
            if is_file && !paths.contains_key(&path) {
                let next = numbered::next_path(Path::new(&path), &taken);
                paths.insert(path, next.to_string_lossy().into_owned());
                taken.insert(next);
            }
        }
        let paths = Arc::new(paths);
        let moves: Vec<_> = jobs.iter().map(|job| job.ask(Command::MoveLogs(paths.clone()))).collect();
        let mut result = Ok(());
        for moved in moves {
            result = result.and(moved.await.map(drop));
        }
        result
    }

    /// Makes every app's log files follow their paths again.
    pub(crate) fn reload_logs(&self) {
        let journal = self.supervisor.context.journal.clone();
        journal.log("Reloading logs...");
        self.supervisor.context.logs.shared.settings.look();
        for job in self.supervisor.jobs() {
            journal.log(format_args!("Reloading logs for process id {}", job.peek(|view| view.id)));
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
