//! Starting and restarting, up to the moment when the process counts as started.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Update;
use super::handle::Reply;
use super::policy::{self, Action, History};
use super::process::{self, Process, StartError};
use super::spec::AppSpec;
use super::task::{Job, State};
use super::view::Status;
use crate::supervisor::ENDING;

impl Job {
    pub(super) async fn start_for(&mut self, answer: oneshot::Sender<Reply>) -> ControlFlow<()> {
        if self.process().is_some() {
            drop(answer.send(Err("process already online".to_owned())));
            return ControlFlow::Continue(());
        }
        // Somebody has looked after it.
        self.history.n_quick = 0;
        self.launch(Some(answer)).await
    }

    /// Stops the process if there is one, applies the update, and starts.
    pub(super) async fn restart_for(
        &mut self,
        update: Update,
        answer: oneshot::Sender<Reply>,
    ) -> ControlFlow<()> {
        let refuse = |answer: oneshot::Sender<Reply>, reason: String| {
            drop(answer.send(Err(reason)));
            ControlFlow::Continue(())
        };
        if self.context.is_end_announced() {
            let reason = "[RestartProcessId] PM2 is being killed, stopping restart procedure...";
            return refuse(answer, reason.to_owned());
        }
        // An update that cannot be used must not cost the running process.
        let mut app = self.view.lock().description.app();
        let changes = !update.is_empty();
        update.apply(&mut app);
        if let Err(reason) = AppSpec::check(&app) {
            return refuse(answer, reason);
        }

        // First the counters: a process that is stopped before its `min_uptime` counts as unstable again.
        self.history = History::default();
        self.view.lock().restart_asked_for();
        if self.process().is_some() {
            if let Err(reason) = self.end_process().await {
                return refuse(answer, reason);
            }
            self.view.lock().restart_time += 1;
        } else {
            self.close_listeners().await;
        }
        if changes {
            self.change_app(|current| *current = app);
        }
        self.launch(Some(answer)).await
    }

    pub(super) async fn restart_by_itself(&mut self) {
        if self.context.is_end_announced() {
            self.state = State::Idle;
            return self.set_status(Status::Stopped);
        }
        self.view.lock().restart_time += 1;
        // An entry that was running before never vanishes.
        let _ = self.launch(None).await;
    }

    /// Starts the process and answers when it counts as started. Breaks when the entry must vanish,
    /// because its log files cannot be opened at its very first start.
    async fn launch(&mut self, answer: Option<oneshot::Sender<Reply>>) -> ControlFlow<()> {
        if self.context.is_ending() {
            self.state = State::Idle;
            self.set_status(Status::Stopped);
            if let Some(answer) = answer {
                drop(answer.send(Err(ENDING.to_owned())));
            }
            return ControlFlow::Continue(());
        }
        // They may have what the next process needs: a port, a lock.
        let _ = self.end_left_behind().await;
        let (view, first) = {
            let mut view = self.view.lock();
            let first = view.pm_uptime.is_none();
            view.launching();
            let mode = if view.spec.cluster { "cluster" } else { "fork" };
            let journal = &self.context.journal;
            journal.log(format_args!("App [{}:{}] starting in -{mode} mode-", view.spec.name, view.id));
            (view.clone(), first)
        };
        match process::start(&self.context, view).await {
            Ok(process) => {
                self.launched(process, answer);
                ControlFlow::Continue(())
            }
            Err(error) => self.not_launched(&error, first, answer).await,
        }
    }

    fn launched(&mut self, process: Process, answer: Option<oneshot::Sender<Reply>>) {
        let spec = {
            let mut view = self.view.lock();
            view.pid = process.pid;
            view.logs = Some(Arc::downgrade(&process.files));
            view.process_tree = view.spec.treekill.then_some(process.kin.tracking(&*self.context.host));
            view.version.clone_from(&process.version);
            view.spec.clone()
        };
        // A worker is there when its side of the cluster module says so; neither that nor the app's
        // own word is waited for without end.
        let waits = spec.wait_ready || process.worker.is_some();
        let limit = spec.listen_timeout.unwrap_or(self.context.settings.listen_timeout);
        let deadline = waits.then(|| Instant::now() + limit);
        self.state = State::Launching { process, deadline, answers: answer.into_iter().collect() };
        self.asked_to_stop = false;
        self.has_run = true;
        self.triggers.forget_times();
        self.follow_triggers();
        if !waits {
            self.ready();
        }
    }

    async fn not_launched(
        &mut self,
        error: &StartError,
        first: bool,
        answer: Option<oneshot::Sender<Reply>>,
    ) -> ControlFlow<()> {
        let text = error.to_string();
        let spec = self.spec();
        let action = match &answer {
            Some(_) => Action::Stay,
            None => policy::after_failed_restart(&spec, &mut self.history),
        };
        let forget = first && matches!(error, StartError::Log(_));
        {
            let mut view = self.view.lock();
            self.context.journal.error(format_args!("App [{}:{}] {text}", view.spec.name, view.id));
            if let Action::GiveUp { unstable_restarts } = action {
                self.context.journal.log(policy::gave_up(&view.spec, unstable_restarts));
                view.created_at = None;
            }
            view.pid = 0;
            view.spawn_error = Some(text.clone());
            view.unstable_restarts = self.history.unstable_restarts;
            view.forgotten = forget;
            view.status = Status::Errored;
        }
        self.state = State::Idle;
        if let Action::RestartAfter { delay, .. } = action {
            self.set_status(Status::WaitingRestart);
            self.state = State::Waiting { at: Instant::now() + delay };
        } else {
            self.close_listeners().await;
        }
        if matches!(action, Action::GiveUp { .. }) {
            self.publish("restart overlimit");
        }
        if !forget {
            self.publish("exit");
        }
        if let Some(answer) = answer {
            drop(answer.send(Err(text)));
        }
        if forget { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// It will count as started although it has not said so: the answer to its start tells.
    pub(super) fn assume_ready(&self) {
        let State::Launching { deadline: Some(_), .. } = &self.state else { return };
        let mut view = self.view.lock();
        view.ready_assumed = true;
        self.context.journal.warn(format_args!(
            "App [{}:{}] has not said that it is ready, it is taken for online",
            view.spec.name, view.id
        ));
    }

    /// The process counts as started: answers whoever asked for it.
    pub(super) fn ready(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::Launching { process, answers, .. } => {
                self.publish("online");
                let text = {
                    let mut view = self.view.lock();
                    view.status = Status::Online;
                    self.context.journal.log(format_args!("App [{}:{}] online", view.spec.name, view.id));
                    view.spawned_json()
                };
                self.started(answers, &text);
                State::Online { process }
            }
            other => other,
        };
    }

    /// Tells everybody that it is started, before anything else is told of it.
    fn started(&mut self, answers: Vec<oneshot::Sender<Reply>>, text: &str) {
        if std::mem::take(&mut self.is_new) {
            self.tell("start", true);
        }
        for answer in answers {
            // Whoever asked may have gone.
            drop(answer.send(Ok(text.to_owned())));
        }
    }

    /// Takes the state; a start that is still waited for counts as done, as in PM2.
    pub(super) fn conclude_launch(&mut self) -> State {
        // Stopped before it could say more.
        if let State::Launching { deadline: Some(_), .. } = &self.state {
            self.view.lock().ready_assumed = true;
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Launching { process, answers, .. } => {
                let text = {
                    let mut view = self.view.lock();
                    view.status = Status::Online;
                    view.spawned_json()
                };
                self.started(answers, &text);
                State::Online { process }
            }
            other => other,
        }
    }
}
