//! Replacing a cluster worker without a gap: the successor serves before the worker stops to.
//!
//! The successor is there when it listens on everything the worker listens on, or says `ready` with `wait_ready`. If it ends
//! before that, or is not there in time, the worker stays and the reload fails: a bad version never takes a service
//! down. Otherwise the worker drains ([`Leaving`]) while the job goes on with the successor. Specification
//! `node-cluster-protocol.md` §9.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::handle::{Command, Farewell, Reply};
use super::kill::{self, KillPlan, Meanwhile};
use super::messages;
use super::policy::History;
use super::process::{self, Process};
use super::spec::AppSpec;
use super::task::{Job, State};
use super::update::Update;
use super::view::{Status, View};
use super::{Description, ending};
use crate::context::Context;
use crate::ipc::AppMessage;
use crate::sys::Exit;

/// What the error of a reload that was given up begins with; clients know it by that.
const ABORTED: &str = "Reload aborted";

/// A worker that was replaced and drains, in a task of its own.
pub(super) struct Leaving {
    task: JoinHandle<()>,
    hurry: watch::Sender<bool>,
}

impl Leaving {
    /// Whether it has gone.
    pub(super) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Lets it wait for no more clients, and waits until it has gone.
    pub(super) async fn end(self) {
        self.hurry.send_replace(true);
        // It can only fail by a panic.
        drop(self.task.await);
    }
}

/// The successor, until it is known to be one.
struct Candidate {
    process: Process,
    view: Mutex<View>,
    spec: Arc<AppSpec>,
    /// What it has to listen on.
    keys: BTreeSet<String>,
    n_listening: usize,
}

/// How the wait for it ended.
enum Outcome {
    Serves,
    Fails(String),
}

impl Job {
    /// Reloads a worker that is online; everything else is restarted.
    pub(super) async fn reload_for(
        &mut self,
        update: Update,
        farewell: Farewell,
        answer: oneshot::Sender<Reply>,
    ) -> ControlFlow<()> {
        let refuse = |answer: oneshot::Sender<Reply>, reason: String| {
            // The asking connection may have gone.
            drop(answer.send(Err(reason)));
            ControlFlow::Continue(())
        };
        let is_worker = matches!(&self.state, State::Online { process } if process.worker.is_some());
        let mut app = self.view.lock().description.app();
        update.clone().apply(&mut app);
        if let Err(reason) = AppSpec::check(&app) {
            return refuse(answer, reason);
        }
        let spec = Arc::new(AppSpec::read(&app));
        if !is_worker || !spec.cluster || !spec.runs_node() || self.context.is_end_announced() {
            return self.restart_for(update, answer).await;
        }
        if self.leaving.as_ref().is_some_and(|leaving| !leaving.is_over()) {
            let id = self.view.lock().id;
            return refuse(answer, format!("Reload already in progress for process id {id}, retry later"));
        }
        let mut view = self.view.lock().clone();
        let before = view.spec.clone();
        view.spec = spec.clone();
        view.description = Arc::new(Description::new(&app));
        view.restart_time += 1;
        view.restart_asked_for();
        view.launching();
        let name = spec.name.clone();
        let id = view.id;
        self.context.journal.log(format_args!("App [{name}:{id}] starting in -cluster mode-"));
        let process = match process::start(&self.context, view.clone()).await {
            Ok(process) => process,
            Err(error) => return refuse(answer, format!("{ABORTED}: {error}")),
        };
        let State::Online { process: old } = std::mem::replace(&mut self.state, State::Idle) else {
            unreachable!("checked above, and only this task changes the state");
        };
        view.pid = process.pid;
        view.logs = Some(Arc::downgrade(&process.files));
        view.version.clone_from(&process.version);
        let keys = match old.worker {
            Some(worker) => self.context.cluster.keys_of(worker).await,
            None => BTreeSet::new(),
        };
        let view = Mutex::new(view);
        let mut candidate = Candidate { process, view, spec, keys, n_listening: 0 };
        let (mut old, outcome) = self.wait_for(&mut candidate, old).await;
        match outcome {
            Outcome::Fails(reason) => {
                let text = format!("{ABORTED}: {reason}; the running process goes on");
                self.context.journal.error(format_args!("App [{name}:{id}] {text}"));
                self.discard(candidate).await;
                process::write_pid(&self.context, &before, old.pid);
                self.state = State::Online { process: old };
                self.publish("reload aborted");
                refuse(answer, text)
            }
            Outcome::Serves => {
                let Candidate { process, view, .. } = candidate;
                // As at any other start: it is only about to be online.
                self.context
                    .bus
                    .publish("process:event", || view.lock().process_event(Some("online"), false));
                let new = View { status: Status::Online, ..view.into_inner() };
                self.history = History::default();
                let old_view = {
                    let mut published = self.view.lock();
                    let old_view = View { replaced: true, ..published.clone() };
                    *published = new;
                    old_view
                };
                self.state = State::Online { process };
                self.follow_triggers();
                self.context.journal.log(format_args!("App [{name}:{id}] online"));
                let (hurry, hurried) = watch::channel(false);
                let context = self.context.clone();
                let counted = context.under_way.one();
                let task = tokio::spawn(async move {
                    let last = leave(&context, &mut old, old_view, farewell, hurried).await;
                    drop(answer.send(Ok(last)));
                    drop(counted);
                });
                self.leaving = Some(Leaving { task, hurry });
                ControlFlow::Continue(())
            }
        }
    }

    /// Serves both processes until the new one is there, or will not be.
    async fn wait_for(&mut self, candidate: &mut Candidate, mut old: Process) -> (Process, Outcome) {
        let spec = candidate.spec.clone();
        let must_serve = spec.wait_ready || !candidate.keys.is_empty();
        let limit = spec.listen_timeout.unwrap_or(self.context.settings.listen_timeout);
        let deadline = Instant::now() + limit;
        let mut orders_open = true;
        let mut old_exit = None;
        let mut new_exit = None;
        let blind = self.context.settings.blind_reload;
        let hurried = self.context.hurried();
        tokio::pin!(hurried);
        let outcome = loop {
            tokio::select! {
                biased;
                message = candidate.process.messages.recv(), if candidate.process.has_messages() => {
                    let Some(message) = message else { continue };
                    messages::take(&self.context, &candidate.view, &candidate.process.channel, &message);
                    if candidate.is_there_with(&message) {
                        break Outcome::Serves;
                    }
                }
                exit = &mut candidate.process.exit, if new_exit.is_none() => {
                    new_exit = Some(exit);
                    if blind {
                        // The worker serves as long as it would have otherwise.
                        continue;
                    }
                    let how = match exit {
                        Exit::Code(code) => format!("exited with code {code}"),
                        Exit::Signal(signal) => format!("was ended by signal {signal}"),
                    };
                    break Outcome::Fails(format!("the new process {how} before it was ready"));
                }
                message = old.messages.recv(), if old.has_messages() => {
                    if let Some(message) = message {
                        messages::take(&self.context, &self.view, &old.channel, &message);
                    }
                }
                exit = &mut old.exit, if old_exit.is_none() => old_exit = Some(exit),
                order = self.inbox.recv(), if orders_open => match order {
                    // It still gets signals; whoever wants an end or a start of it does not wait for this; the rest does.
                    Some(order) => if let Some(order) = ending::signal_now(&*self.context.host, order, Some(old.pid)) {
                        let is_decisive = matches!(order.command, Command::Stop | Command::Delete | Command::Restart(_));
                        self.deferred.push_back(order);
                        if is_decisive {
                            break Outcome::Fails("another command came before the new process was ready".to_owned());
                        }
                    },
                    None => orders_open = false,
                },
                () = &mut hurried => break Outcome::Fails("the daemon ends".to_owned()),
                () = tokio::time::sleep_until(deadline) => {
                    if must_serve && !blind {
                        let what = if spec.wait_ready { "said that it is ready" } else { "listened" };
                        break Outcome::Fails(format!("the new process has not {what} within {} ms", limit.as_millis()));
                    }
                    break Outcome::Serves;
                }
            }
        };
        // Whoever owns them next finds that out.
        for (process, exit) in [(&mut old, old_exit), (&mut candidate.process, new_exit)] {
            if let Some(exit) = exit {
                process.exit = Box::pin(std::future::ready(exit));
            }
        }
        (old, outcome)
    }

    /// Ends a new process that will not be the successor.
    async fn discard(&self, candidate: Candidate) {
        let Candidate { mut process, view, spec, .. } = candidate;
        let usual = KillPlan::new(&spec, &self.context.settings);
        let plan = KillPlan { by_message: false, tree: true, ..usual };
        end(&self.context, &mut process, &plan, &view, self.context.hurried()).await;
        process.last_words(&self.context).await;
        // What only this one listened on; the running process keeps its own.
        self.close_listeners().await;
    }
}

impl Candidate {
    /// Whether it is there with this message.
    fn is_there_with(&mut self, message: &AppMessage) -> bool {
        match message {
            AppMessage::Ready => self.spec.wait_ready,
            AppMessage::Listening(own) if !self.spec.wait_ready => {
                self.n_listening += 1;
                self.n_listening >= self.keys.len().max(1) && own.is_superset(&self.keys)
            }
            _ => false,
        }
    }
}

/// Lets a worker finish what it does, ends it, and gives its last state.
async fn leave(
    context: &Arc<Context>,
    process: &mut Process,
    view: View,
    farewell: Farewell,
    mut hurry: watch::Receiver<bool>,
) -> String {
    let spec = view.spec.clone();
    let view = Mutex::new(View { status: Status::Stopping, ..view });
    let mut plan = KillPlan::new(&spec, &context.settings);
    tokio::select! {
        () = drain(context, process, &view, &spec, plan.timeout) => {}
        () = context.hurried() => {}
        // Somebody wants an end: no more waiting for clients, but the app has its time.
        _ = hurry.wait_for(|hurry| *hurry) => {}
    }
    if farewell == Farewell::Message {
        plan.by_message = true;
        plan.timeout = context.settings.graceful_timeout;
    }
    let code = end(context, process, &plan, &view, context.hurried()).await;
    for message in process.last_words(context).await {
        messages::report(context, &view, &message);
    }
    let mut last = view.into_inner();
    last.exit_code = code.or(last.exit_code);
    last.exit_signal = None;
    if process.started.elapsed() < spec.min_uptime {
        last.unstable_restarts += 1;
    }
    // As at any other end that was asked for.
    context.bus.publish("process:event", || last.process_event(Some("exit"), false));
    last.status = Status::Stopped;
    last.pid = 0;
    context.bus.publish("process:event", || last.process_event(Some("exit"), false));
    last.proc_json(None)
}

/// Until the worker has answered everything and closed its channel, at most for `limit`.
async fn drain(
    context: &Context,
    process: &mut Process,
    view: &Mutex<View>,
    spec: &AppSpec,
    limit: Duration,
) {
    if let Some(worker) = process.worker {
        // Without the app runtime there is nobody in there who could let clients go.
        context.cluster.drain(worker, spec.pmx);
    }
    until_closed(context, process, view, limit).await;
}

/// Until a worker that drains has closed its channel, at most for `limit`.
pub(super) async fn until_closed(
    context: &Context,
    process: &mut Process,
    view: &Mutex<View>,
    limit: Duration,
) {
    let until_closed = async {
        while let Some(message) = process.messages.recv().await {
            messages::take(context, view, &process.channel, &message);
        }
    };
    // Whoever is not done by then is ended all the same.
    drop(tokio::time::timeout(limit, until_closed).await);
}

/// Ends a process that is no job's any more, with its tree and its output; gives its exit code.
async fn end(
    context: &Context,
    process: &mut Process,
    plan: &KillPlan,
    view: &Mutex<View>,
    hurried: impl Future<Output = ()>,
) -> Option<i64> {
    let (_nobody, mut orders) = mpsc::unbounded_channel::<()>();
    let channel = process.channel.clone();
    let ended = kill::end(&*context.host, process, plan, &context.journal, &mut orders, hurried, |event| {
        if let Meanwhile::Message(message) = event {
            messages::take(context, view, &channel, &message);
        }
    })
    .await;
    let written = process.output.drain().await;
    let shown = {
        let view = view.lock();
        format!("{}:{}", view.spec.name, view.id)
    };
    match ended {
        Ok(exit) => {
            if !written {
                context
                    .journal
                    .warn(format_args!("App [{shown}] its last output is still waiting to be written"));
            }
            let code = match exit {
                Exit::Code(code) => code,
                Exit::Signal(_) => 0,
            };
            context.journal.log(format_args!(
                "App [{shown}] replaced process {} exited with code [{code}]",
                process.pid
            ));
            Some(i64::from(code))
        }
        Err(_) => {
            context.journal.error(format_args!("App [{shown}] pid={} could not be stopped", process.pid));
            None
        }
    }
}
