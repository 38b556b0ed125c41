//! Ends of the process, asked for or not, and what follows them.

use std::time::Duration;

use tokio::time::Instant;

use super::handle::{Command, Order};
use super::kill::{self, KillPlan, Meanwhile};
use super::policy::{self, Action, ExitFacts};
use super::process::Process;
use super::reload;
use super::task::{Job, State};
use super::view::Status;
use crate::clock::epoch_ms;
use crate::host::{Kin, ProcessHost};
use crate::sys::{self, Exit};

/// An app that stays away for longer does not keep its clients waiting: its sockets are closed meanwhile.
const LONG_WAIT: Duration = Duration::from_secs(5);

impl Job {
    /// Brings the job to `stopped`, whatever it does now.
    ///
    /// # Errors
    /// When something survived SIGKILL; the job is `errored` then.
    pub(super) async fn stop(&mut self) -> Result<(), String> {
        if let Some(leaving) = self.leaving.take() {
            leaving.end().await;
        }
        if self.process().is_some() {
            return self.end_process().await;
        }
        // A pending restart is cancelled with the state that held it.
        self.state = State::Idle;
        let ended = self.end_left_behind().await;
        {
            let mut view = self.view.lock();
            view.status = Status::Stopped;
            view.pid = 0;
        }
        self.close_listeners().await;
        ended
    }

    /// Ends those whom the last process has left behind, if the app wants its whole tree ended.
    ///
    /// # Errors
    /// When somebody survived SIGKILL.
    pub(super) async fn end_left_behind(&mut self) -> Result<(), String> {
        let Some(kin) = self.left_by.take() else { return Ok(()) };
        let context = self.context.clone();
        let plan = KillPlan::new(&self.spec(), &context.settings);
        let ended = kill::end_family(&*context.host, &kin, &plan, &context.journal, context.hurried()).await;
        ended.map_err(|_| {
            let view = self.view.lock();
            let text = format!(
                "app={} id={} processes that pid {} has left could not be stopped",
                view.spec.name, view.id, kin.root
            );
            context.journal.error(&text);
            text
        })
    }

    /// Lets a worker finish what it does while others of its app go on, so that scaling down loses nothing.
    pub(super) async fn let_clients_go(&mut self) {
        let spec = self.spec();
        let context = self.context.clone();
        let Job { state: State::Online { process }, inbox, deferred, view, .. } = self else { return };
        let Some(worker) = process.worker else { return };
        if context.is_ending() || !context.cluster.drain_if_served(worker, spec.pmx).await {
            return;
        }
        view.lock().status = Status::Stopping;
        let limit = KillPlan::new(&spec, &context.settings).timeout;
        let pid = process.pid;
        let closed = reload::until_closed(&context, process, view, limit);
        let hurried = context.hurried();
        tokio::pin!(closed, hurried);
        loop {
            tokio::select! {
                () = &mut closed => return,
                () = &mut hurried => return,
                order = inbox.recv() => match order.map(|order| signal_now(&*context.host, order, Some(pid))) {
                    // It was sent.
                    Some(None) => {}
                    Some(Some(order)) => {
                        let is_end = matches!(order.command, Command::Stop | Command::Delete);
                        deferred.push_back(order);
                        if is_end {
                            return;
                        }
                    }
                    None => return,
                },
            }
        }
    }

    /// Ends the running process tree, waits for its output, and leaves `stopped`, or `errored` when
    /// something survived SIGKILL.
    ///
    /// # Errors
    /// In the latter case.
    pub(super) async fn end_process(&mut self) -> Result<(), String> {
        let (State::Launching { mut process, .. } | State::Online { mut process }) = self.conclude_launch()
        else {
            return Ok(());
        };
        let spec = self.spec();
        let context = self.context.clone();
        {
            let mut view = self.view.lock();
            view.status = Status::Stopping;
            context.journal.log(format_args!("Stopping app:{} id:{}", view.spec.name, view.id));
        }
        let plan = KillPlan::new(&spec, &context.settings);
        let channel = process.channel.clone();
        let Job { inbox, deferred, view, .. } = self;
        let ended = kill::end(
            &*context.host,
            &mut process,
            &plan,
            &context.journal,
            inbox,
            context.hurried(),
            |event| match event {
                Meanwhile::Message(message) => super::messages::take(&context, view, &channel, &message),
                Meanwhile::Order(order, pid) => deferred.extend(signal_now(&*context.host, order, pid)),
            },
        )
        .await;
        let exit = match ended {
            Ok(exit) => Some(exit),
            Err(kill::Survivors { root }) => root,
        };
        if let Some(exit) = exit {
            let facts = self.facts(&process, exit);
            policy::count_unstable(&spec, &mut self.history, facts);
            {
                let mut view = self.view.lock();
                // It was asked for: not the signal's doing.
                view.exit_code = Some(match exit {
                    Exit::Code(code) => i64::from(code),
                    Exit::Signal(_) => 0,
                });
                view.exit_signal = None;
                view.unstable_restarts = self.history.unstable_restarts;
            }
            self.after_death(&mut process, exit).await;
            self.view.lock().pid = 0;
        }
        let result = if ended.is_ok() {
            context.journal.log(format_args!("pid={} msg=process tree killed", process.pid));
            self.set_status(Status::Stopped);
            self.publish("exit");
            Ok(())
        } else {
            let mut view = self.view.lock();
            let text =
                format!("app={} id={} pid={} could not be stopped", view.spec.name, view.id, process.pid);
            context.journal.error(&text);
            view.status = Status::Errored;
            Err(text)
        };
        self.close_listeners().await;
        if exit.is_none() {
            let (pid, worker) = (process.pid, process.worker);
            let exit = async move {
                let exit = (&mut process.exit).await;
                // It has its channel and its input until then.
                drop(process);
                exit
            };
            context.outlive(pid, worker, Box::pin(exit));
        }
        result
    }

    /// The process ended without being asked to.
    pub(super) async fn exited(&mut self, exit: Exit) {
        if matches!(self.state, State::Launching { .. }) {
            // It counts as ready at this moment.
            self.assume_ready();
            self.ready();
        }
        let (State::Launching { mut process, .. } | State::Online { mut process }) = self.conclude_launch()
        else {
            return;
        };
        self.after_death(&mut process, exit).await;
        let facts = self.facts(&process, exit);
        let spec = self.spec();
        let kin = Kin { root_ended: true, ..process.kin };
        let has_left = spec.treekill && !self.context.host.family(&kin, &[]).is_empty();
        if has_left {
            self.left_by = Some(kin);
        } else {
            self.context.host.leave(&kin);
        }
        if facts.uptime > self.context.settings.backoff_reset {
            self.history.last_delay_ms = None;
        }
        let action = if self.context.is_end_announced() {
            Action::Stay
        } else {
            policy::after_exit(&spec, &mut self.history, facts)
        };
        if let Action::GiveUp { unstable_restarts } = action {
            {
                let mut view = self.view.lock();
                view.unstable_restarts = unstable_restarts;
                view.pid = 0;
                view.status = Status::Errored;
            }
            self.context.journal.log(policy::gave_up(&spec, unstable_restarts));
            self.publish("restart overlimit");
            self.view.lock().created_at = None;
        }
        {
            let mut view = self.view.lock();
            view.unstable_restarts = self.history.unstable_restarts;
            view.exit_code = Some(policy::exit_code(exit));
            view.exit_signal = match exit {
                Exit::Signal(signal) => Some(sys::Signal(signal).name()),
                Exit::Code(_) => None,
            };
            view.pid = 0;
            if view.status != Status::Errored {
                view.status = Status::Stopped;
            }
        }
        let is_back_soon = match action {
            Action::Stay | Action::GiveUp { .. } => false,
            Action::RestartNow => true,
            Action::RestartAfter { delay, .. } => delay <= LONG_WAIT,
        };
        if !is_back_soon {
            self.close_listeners().await;
        }
        self.publish("exit");
        match action {
            Action::RestartNow => self.restart_by_itself().await,
            Action::RestartAfter { delay, backoff } => {
                let _ = self.end_left_behind().await;
                let mut view = self.view.lock();
                view.status = Status::WaitingRestart;
                if self.history.last_delay_ms.is_some() {
                    view.prev_restart_delay = self.history.last_delay_ms;
                }
                if backoff {
                    self.context.journal.log(format_args!(
                        "App [{}:{}] will restart in {}ms",
                        view.spec.name,
                        view.id,
                        delay.as_millis()
                    ));
                }
                drop(view);
                self.state = State::Waiting { at: Instant::now() + delay };
            }
            Action::Stay | Action::GiveUp { .. } => {}
        }
    }

    fn facts(&self, process: &Process, exit: Exit) -> ExitFacts {
        let since = |created: i64| {
            Duration::from_millis(u64::try_from(epoch_ms().saturating_sub(created)).unwrap_or_default())
        };
        ExitFacts {
            exit,
            is_done: process.is_done,
            uptime: process.started.elapsed(),
            age: self.view.lock().created_at.map(since),
        }
    }

    /// What every end has in common: last messages, last output, log line, pid file, first event.
    async fn after_death(&mut self, process: &mut Process, exit: Exit) {
        self.triggers.guard(&self.spec(), None);
        for message in process.last_words(&self.context).await {
            self.report(&message);
        }
        let written = process.output.drain().await;
        let stopping = {
            let mut view = self.view.lock();
            let journal = &self.context.journal;
            let (name, id) = (&view.spec.name, view.id);
            if !written {
                journal
                    .warn(format_args!("App [{name}:{id}] its last output is still waiting to be written"));
            }
            let (code, signal) = match exit {
                Exit::Code(code) => (code, "SIGINT".to_owned()),
                Exit::Signal(signal) => (0, sys::Signal(signal).name()),
            };
            journal.log(format_args!("App [{name}:{id}] exited with code [{code}] via signal [{signal}]"));
            view.axm_actions.clear();
            view.axm_monitor.clear();
            if let Some(path) = &view.spec.pid_file {
                // Somebody else may have removed it.
                drop(std::fs::remove_file(path));
            }
            view.status == Status::Stopping
        };
        if stopping {
            self.publish("exit");
        }
    }

    /// Closes the sockets that were kept for the next process.
    pub(super) async fn close_listeners(&self) {
        let job = self.view.lock().id;
        self.context.cluster.give_up(job).await;
    }
}

/// There is nobody to send a signal to; PM2's words.
pub(super) const NO_PROCESS: &str = "Error when sending signal (signal unknown)";

/// Why a signal was not sent.
pub(super) fn unsent(signal: sys::Signal, error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ESRCH) => NO_PROCESS.to_owned(),
        _ => format!("cannot send {}: {error}", signal.name()),
    }
}

/// While a process is being ended only a signal can be sent at once; everything else waits for the end.
pub(super) fn signal_now(host: &dyn ProcessHost, order: Order, pid: Option<i32>) -> Option<Order> {
    let (Command::Signal(signal), Some(pid)) = (&order.command, pid) else { return Some(order) };
    let sent = host.signal(pid, *signal).map_err(|error| unsent(*signal, &error));
    // The asking connection may have gone.
    drop(order.answer.send(sent.map(|()| String::new())));
    None
}
