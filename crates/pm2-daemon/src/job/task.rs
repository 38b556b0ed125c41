//! The task that owns one app instance: it alone starts, follows and ends the child, and writes the
//! published state. Its parts: [`super::launching`], [`super::ending`], [`super::messages`].

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::ending;
use super::freeze::Frozen;
use super::handle::{Command, JobHandle, Order, Reply};
use super::policy::History;
use super::process::Process;
use super::reload::Leaving;
use super::triggers::{Trigger, Triggers};
use super::view::{Status, View};
use super::{AppSpec, Description};
use crate::clock::epoch_ms;
use crate::context::Context;
use crate::host::Kin;
use crate::ipc::AppMessage;
use crate::sys::Exit;

/// Starts the task of a new job. Nothing runs until it is told to.
pub(crate) fn start(context: Arc<Context>, view: View) -> JobHandle {
    // Listed as stopped although it would have been started: somebody had stopped it.
    let asked_to_stop = view.spec.autostart && view.spec.autorestart;
    start_with(context, view, Past { asked_to_stop, ..Past::default() })
}

/// What has become of a job so far.
#[derive(Default)]
pub(super) struct Past {
    pub(super) state: State,
    pub(super) history: History,
    pub(super) triggers: Triggers,
    pub(super) left_by: Option<Kin>,
    pub(super) has_run: bool,
    pub(super) asked_to_stop: bool,
}

/// Starts the task of a job with a past.
pub(super) fn start_with(context: Arc<Context>, view: View, past: Past) -> JobHandle {
    let (orders, inbox) = mpsc::unbounded_channel();
    let view = Arc::new(Mutex::new(view));
    let Past { state, history, triggers, left_by, has_run, asked_to_stop } = past;
    let job = Job {
        context,
        view: view.clone(),
        inbox,
        deferred: VecDeque::new(),
        state,
        history,
        leaving: None,
        left_by,
        triggers,
        has_run,
        is_new: false,
        asked_to_stop,
    };
    tokio::spawn(job.run());
    JobHandle { orders, view }
}

pub(super) struct Job {
    pub(super) context: Arc<Context>,
    pub(super) view: Arc<Mutex<View>>,
    pub(super) inbox: mpsc::UnboundedReceiver<Order>,
    /// Orders that came while the process was being ended.
    pub(super) deferred: VecDeque<Order>,
    pub(super) state: State,
    pub(super) history: History,
    /// The worker that was replaced last, while it drains.
    pub(super) leaving: Option<Leaving>,
    /// The last process that has ended by itself, if it has left somebody behind.
    pub(super) left_by: Option<Kin>,
    pub(super) triggers: Triggers,
    /// It was started at least once.
    pub(super) has_run: bool,
    /// Its `start` is to be published when it counts as started.
    pub(super) is_new: bool,
    /// It is stopped because somebody wanted that.
    pub(super) asked_to_stop: bool,
}

#[derive(Default)]
pub(super) enum State {
    /// No process: stopped or errored.
    #[default]
    Idle,
    /// The process runs but has not said that it is ready.
    Launching { process: Process, deadline: Option<Instant>, answers: Vec<oneshot::Sender<Reply>> },
    /// The process runs.
    Online { process: Process },
    /// A restart is due at that moment.
    Waiting { at: Instant },
}

enum Event {
    Order(Order),
    /// All handles are gone: the daemon ends.
    Abandoned,
    Exited(Exit),
    Message(AppMessage),
    /// The app closed its channel; it goes on without.
    ChannelClosed,
    ReadyDeadline,
    RestartDue,
    Triggered(Trigger),
}

impl Job {
    /// Until it is deleted or frozen.
    pub(super) async fn run(mut self) {
        self.follow_triggers();
        loop {
            match self.next_event().await {
                Event::Order(Order { command: Command::Freeze(to), .. }) => match to.send(Frozen(self)) {
                    Ok(()) => return,
                    // Whoever asked has lost patience.
                    Err(Frozen(job)) => self = job,
                },
                Event::Order(order) => {
                    if self.obey(order).await.is_break() {
                        return;
                    }
                }
                Event::Abandoned => return,
                // What takes its time is counted; commands are where they come from.
                Event::Exited(exit) => {
                    let _counted = self.context.under_way.one();
                    self.exited(exit).await;
                }
                Event::Message(message) => self.receive(&message),
                Event::ChannelClosed => {}
                Event::ReadyDeadline => {
                    self.assume_ready();
                    self.ready();
                }
                Event::RestartDue => {
                    let _counted = self.context.under_way.one();
                    self.restart_by_itself().await;
                }
                Event::Triggered(trigger) => {
                    let _counted = self.context.under_way.one();
                    if self.react_to(trigger).await.is_break() {
                        return;
                    }
                }
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        async fn of_process(process: &mut Process) -> Event {
            tokio::select! {
                biased;
                message = process.messages.recv(), if process.has_messages() => message.map_or(Event::ChannelClosed, Event::Message),
                exit = &mut process.exit => Event::Exited(exit),
            }
        }
        async fn of_state(state: &mut State) -> Event {
            match state {
                State::Idle => std::future::pending().await,
                State::Online { process } | State::Launching { process, deadline: None, .. } => {
                    of_process(process).await
                }
                State::Launching { process, deadline: Some(deadline), .. } => tokio::select! {
                    biased;
                    event = of_process(process) => event,
                    () = tokio::time::sleep_until(*deadline) => Event::ReadyDeadline,
                },
                State::Waiting { at } => {
                    tokio::time::sleep_until(*at).await;
                    Event::RestartDue
                }
            }
        }
        if let Some(order) = self.deferred.pop_front() {
            return Event::Order(order);
        }
        tokio::select! {
            biased;
            order = self.inbox.recv() => order.map_or(Event::Abandoned, Event::Order),
            event = of_state(&mut self.state) => event,
            trigger = self.triggers.next() => Event::Triggered(trigger),
        }
    }

    /// Carries out a command and answers it; breaks when the job is over.
    async fn obey(&mut self, order: Order) -> ControlFlow<()> {
        let Order { command, answer } = order;
        let reply = match command {
            Command::Start => return self.start_for(answer).await,
            Command::StartNew => {
                self.is_new = true;
                let flow = self.start_for(answer).await;
                // One that could not be started is not announced later.
                self.is_new &= matches!(self.state, State::Launching { .. });
                return flow;
            }
            Command::Restart(update) => return self.restart_for(update, answer).await,
            Command::Reload(update, farewell) => return self.reload_for(update, farewell, answer).await,
            Command::Input(text) => {
                match self.process() {
                    Some(process) => process.input.write(text, answer),
                    // The asking connection may have gone.
                    None => drop(answer.send(Err(self.offline()))),
                }
                return ControlFlow::Continue(());
            }
            Command::Stop => {
                self.asked_to_stop = true;
                // What could not be stopped is shown as errored, as PM2 does.
                let _ = self.stop().await;
                Ok(self.view.lock().proc_json(None))
            }
            Command::Delete => {
                self.let_clients_go().await;
                let _ = self.stop().await;
                let last = self.view.lock().proc_json(None);
                drop(answer.send(Ok(last)));
                return ControlFlow::Break(());
            }
            Command::ResetMeta => {
                let mut view = self.view.lock();
                self.history.unstable_restarts = 0;
                self.history.n_quick = 0;
                view.created_at = Some(epoch_ms());
                view.unstable_restarts = 0;
                view.restart_time = 0;
                Ok(String::new())
            }
            // As npm pm2 words it.
            Command::Signal(_) if matches!(self.state, State::Waiting { .. }) => {
                Err(ending::NO_PROCESS.to_owned())
            }
            Command::Signal(signal) => match self.process() {
                Some(process) => {
                    let pid = process.pid;
                    let sent = self.context.host.signal(pid, signal);
                    sent.map(|()| String::new()).map_err(|error| ending::unsent(signal, &error))
                }
                None => Ok(String::new()),
            },
            Command::Message(json) => match self.process() {
                Some(process) => {
                    process.channel.send_for(&json, answer);
                    return ControlFlow::Continue(());
                }
                None => Err(self.offline()),
            },
            Command::Trigger { action, text } => {
                self.view.lock().begin_action(&action);
                return Box::pin(self.obey(Order { command: Command::Message(text), answer })).await;
            }
            Command::ReopenLogs => self.reopen_logs().await,
            Command::MoveLogs(paths) => self.move_logs(&paths).await,
            Command::Watch(on) => {
                self.change_app(|app| {
                    app.insert("watch".to_owned(), Value::Bool(on));
                });
                Ok(String::new())
            }
            Command::Monitor(on) => {
                self.view.lock().km_monitored = Some(on);
                Ok(String::new())
            }
            Command::Freeze(_) => unreachable!("the loop does that"),
        };
        // The asking connection may have gone; the command was carried out all the same.
        drop(answer.send(reply));
        ControlFlow::Continue(())
    }

    pub(super) fn process(&mut self) -> Option<&mut Process> {
        match &mut self.state {
            State::Launching { process, .. } | State::Online { process } => Some(process),
            State::Idle | State::Waiting { .. } => None,
        }
    }

    fn offline(&self) -> String {
        format!("Process with ID <{}> offline.", self.view.lock().id)
    }

    pub(super) fn spec(&self) -> Arc<AppSpec> {
        self.view.lock().spec.clone()
    }

    pub(super) fn set_status(&self, status: Status) {
        self.view.lock().status = status;
    }

    /// Rewrites the description.
    pub(super) fn change_app(&mut self, change: impl FnOnce(&mut Map<String, Value>)) {
        let mut view = self.view.lock();
        let mut app = view.description.app();
        change(&mut app);
        view.spec = Arc::new(AppSpec::read(&app));
        view.description = Arc::new(Description::new(&app));
        drop(view);
        self.follow_triggers();
    }

    /// Publishes a `process:event` of this job.
    pub(super) fn publish(&self, event: &str) {
        self.tell(event, false);
    }

    pub(super) fn tell(&self, event: &str, manually: bool) {
        self.context.bus.publish("process:event", || self.view.lock().process_event(Some(event), manually));
    }
}
