//! What a job does by itself: restarts by pattern, for too much memory, for changed files.

use std::ops::ControlFlow;
use std::path::Path;

use tokio::sync::oneshot;

use super::Update;
use super::handle::Farewell;
use super::task::{Job, State};
use super::triggers::Trigger;

impl Job {
    /// Follows what the description says of triggers.
    pub(super) fn follow_triggers(&mut self) {
        let spec = self.spec();
        let id = self.view.lock().id;
        if let Err(reason) = self.triggers.follow(&spec) {
            self.context.journal.error(format_args!("App [{}:{id}] {reason}", spec.name));
        }
        // An app that is listed as stopped from the start is not followed until it is started.
        let plan = spec.watch.as_ref().filter(|_| self.has_run);
        if let Err(reason) = self.triggers.watch(plan, &self.context.watches) {
            self.context.journal.error(format_args!("App [{}:{id}] {reason}", spec.name));
        }
        let pid = self.process().map(|process| process.pid);
        self.triggers.guard(&spec, pid);
    }

    /// Does what a trigger is for. Breaks when the job is over.
    pub(super) async fn react_to(&mut self, trigger: Trigger) -> ControlFlow<()> {
        if self.context.is_end_announced() {
            return ControlFlow::Continue(());
        }
        match trigger {
            Trigger::Cron => self.restart_by_pattern().await,
            Trigger::Change(path) => self.restart_for_change(&path).await,
            Trigger::Memory { used, limit } => self.restart_for_memory(used, limit).await,
        }
    }

    async fn restart_by_pattern(&mut self) -> ControlFlow<()> {
        let spec = self.spec();
        // PM2 starts it, which surprises whoever has stopped it.
        if self.asked_to_stop && matches!(self.state, State::Idle) && !spec.cron_starts_stopped {
            return ControlFlow::Continue(());
        }
        let id = self.view.lock().id;
        self.context.journal.log(format_args!("App [{}:{id}] restarted by its cron pattern", spec.name));
        let (answer, _) = oneshot::channel();
        self.restart_for(Update::default(), answer).await
    }

    async fn restart_for_change(&mut self, path: &Path) -> ControlFlow<()> {
        let name = self.spec().name.clone();
        self.context
            .journal
            .log(format_args!("Change detected on path {} for app {name} - restarting", path.display()));
        let (answer, _) = oneshot::channel();
        let flow = self.restart_for(Update::default(), answer).await;
        self.triggers.forget_changes();
        flow
    }

    async fn restart_for_memory(&mut self, used: u64, limit: u64) -> ControlFlow<()> {
        let State::Online { process } = &self.state else { return ControlFlow::Continue(()) };
        let pid = process.pid;
        let id = self.view.lock().id;
        let what = format!("(current_memory={used} max_memory_limit={limit} [octets])");
        self.context.journal.log(format_args!(
            "[PM2][WORKER] Process {id} restarted because it exceeds --max-memory-restart value {what}"
        ));
        self.publish("memory limit");
        let (answer, _) = oneshot::channel();
        let flow = self.reload_for(Update::default(), Farewell::Usual, answer).await;
        if self.process().is_some_and(|process| process.pid == pid) {
            self.triggers.be_patient();
        }
        flow
    }
}
