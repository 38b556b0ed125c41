//! The task that owns one app instance: it alone starts, follows and ends the child, and writes the
//! published state.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::handle::{Command, JobHandle, Order, Reply};
use super::kill::{self, KillPlan};
use super::package;
use super::policy::{self, Action, ExitFacts, History};
use super::process::{self, Process, StartError};
use super::view::{Status, View};
use super::{AppSpec, Description, Update};
use crate::clock::epoch_ms;
use crate::cluster::Demand;
use crate::context::Context;
use crate::ipc::AppMessage;
use crate::sys::{Exit, send_signal};

/// Starts the task of a new job. Nothing runs until it is told to.
pub(crate) fn start(context: Arc<Context>, view: View) -> JobHandle {
    let (orders, inbox) = mpsc::unbounded_channel();
    let view = Arc::new(Mutex::new(view));
    let job = Job { context, view: view.clone(), inbox, state: State::Idle, history: History::default() };
    tokio::spawn(job.run());
    JobHandle { orders, view }
}

struct Job {
    context: Arc<Context>,
    view: Arc<Mutex<View>>,
    inbox: mpsc::UnboundedReceiver<Order>,
    state: State,
    history: History,
}

enum State {
    /// No process: stopped or errored.
    Idle,
    /// The process runs but has not said that it is ready.
    Launching {
        process: Process,
        deadline: Option<Instant>,
        answers: Vec<oneshot::Sender<Reply>>,
    },
    Online {
        process: Process,
    },
    /// A restart is due at that moment.
    Waiting {
        at: Instant,
    },
}

enum Event {
    Order(Order),
    /// All handles are gone: the daemon ends.
    Abandoned,
    Exited(Exit),
    Message(Option<AppMessage>),
    ReadyDeadline,
    RestartDue,
}

impl Job {
    async fn run(mut self) {
        loop {
            let flow = match self.next_event().await {
                Event::Order(order) => self.obey(order).await,
                Event::Abandoned => ControlFlow::Break(()),
                Event::Exited(exit) => {
                    self.exited(exit).await;
                    ControlFlow::Continue(())
                }
                Event::Message(Some(message)) => {
                    self.receive(message);
                    ControlFlow::Continue(())
                }
                // The app closed its channel; it goes on without.
                Event::Message(None) => ControlFlow::Continue(()),
                Event::ReadyDeadline => {
                    self.ready();
                    ControlFlow::Continue(())
                }
                Event::RestartDue => {
                    self.restart_by_itself();
                    ControlFlow::Continue(())
                }
            };
            if flow.is_break() {
                return;
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        async fn of_process(process: &mut Process) -> Event {
            let open = !process.messages.is_closed() || !process.messages.is_empty();
            tokio::select! {
                biased;
                message = process.messages.recv(), if open => match message {
                    Some(message) => Event::Message(Some(message)),
                    None => Event::Message(None),
                },
                exit = &mut process.exit => Event::Exited(exit),
            }
        }
        async fn of_state(state: &mut State) -> Event {
            match state {
                State::Idle => std::future::pending().await,
                State::Online { process } => of_process(process).await,
                State::Launching { process, deadline: None, .. } => of_process(process).await,
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
        tokio::select! {
            biased;
            order = self.inbox.recv() => order.map_or(Event::Abandoned, Event::Order),
            event = of_state(&mut self.state) => event,
        }
    }

    async fn obey(&mut self, order: Order) -> ControlFlow<()> {
        let Order { command, answer } = order;
        let reply = match command {
            Command::Start => return self.start_for(answer),
            Command::Restart(update) => return self.restart_for(update, answer).await,
            Command::Stop => {
                self.stop().await;
                Ok(self.view.lock().proc_json(None))
            }
            Command::Delete => {
                self.stop().await;
                let last = self.view.lock().proc_json(None);
                drop(answer.send(Ok(last)));
                return ControlFlow::Break(());
            }
            Command::ResetMeta => {
                let mut view = self.view.lock();
                self.history.unstable_restarts = 0;
                view.created_at = Some(epoch_ms());
                view.unstable_restarts = 0;
                view.restart_time = 0;
                Ok(String::new())
            }
            Command::Signal(signal) => match self.process() {
                Some(process) => send_signal(process.pid, signal)
                    .map(|()| String::new())
                    .map_err(|error| format!("cannot send {}: {error}", signal.name())),
                None => Ok(String::new()),
            },
            Command::Message(json) => match self.process() {
                Some(process) => process
                    .channel
                    .send(&json, None)
                    .map(|()| String::new())
                    .map_err(|error| error.to_string()),
                None => Err(self.offline()),
            },
            Command::Input(text) => match self.process() {
                Some(process) => {
                    process.write_input(&text).map(|()| String::new()).map_err(|error| error.to_string())
                }
                None => Err(self.offline()),
            },
            Command::ReopenLogs => match self.process() {
                Some(process) => {
                    process.files.reopen().map(|()| String::new()).map_err(|error| error.to_string())
                }
                None => Ok(String::new()),
            },
            Command::Unwatch => {
                self.change_app(|app| {
                    app.insert("watch".to_owned(), Value::Bool(false));
                });
                Ok(String::new())
            }
            Command::Monitor(on) => {
                self.view.lock().km_monitored = Some(on);
                Ok(String::new())
            }
        };
        // The asking connection may have gone; the command was carried out all the same.
        drop(answer.send(reply));
        ControlFlow::Continue(())
    }

    fn process(&mut self) -> Option<&mut Process> {
        match &mut self.state {
            State::Launching { process, .. } | State::Online { process } => Some(process),
            State::Idle | State::Waiting { .. } => None,
        }
    }

    fn offline(&self) -> String {
        format!("Process with ID <{}> offline.", self.view.lock().id)
    }

    fn spec(&self) -> Arc<AppSpec> {
        self.view.lock().spec.clone()
    }

    /// Rewrites the description.
    fn change_app(&mut self, change: impl FnOnce(&mut Map<String, Value>)) {
        let mut view = self.view.lock();
        let mut app = view.description.app();
        change(&mut app);
        view.spec = Arc::new(AppSpec::read(&app));
        view.description = Arc::new(Description::new(&app));
    }

    // ---- starting ----

    fn start_for(&mut self, answer: oneshot::Sender<Reply>) -> ControlFlow<()> {
        if self.process().is_some() {
            drop(answer.send(Err("process already online".to_owned())));
            return ControlFlow::Continue(());
        }
        self.launch(Some(answer))
    }

    async fn restart_for(&mut self, update: Update, answer: oneshot::Sender<Reply>) -> ControlFlow<()> {
        if self.context.is_closing() {
            let refusal = "[RestartProcessId] PM2 is being killed, stopping restart procedure...";
            drop(answer.send(Err(refusal.to_owned())));
            return ControlFlow::Continue(());
        }
        // First the counters: a process that is stopped before its `min_uptime` counts as unstable again.
        self.history = History::default();
        {
            let mut view = self.view.lock();
            view.created_at = Some(epoch_ms());
            view.unstable_restarts = 0;
            view.prev_restart_delay = Some(0);
        }
        if self.process().is_some() {
            self.end_process().await;
            self.view.lock().restart_time += 1;
        }
        if !update.is_empty() {
            self.change_app(|app| update.apply(app));
        }
        self.launch(Some(answer))
    }

    fn restart_by_itself(&mut self) {
        self.view.lock().restart_time += 1;
        // An entry that cannot be started is errored, and stays.
        let _ = self.launch(None);
    }

    /// Starts the process and answers when it counts as started. Breaks when the entry must vanish,
    /// because its log files cannot be opened at its very first start.
    fn launch(&mut self, answer: Option<oneshot::Sender<Reply>>) -> ControlFlow<()> {
        let first = {
            let mut view = self.view.lock();
            let now = epoch_ms();
            let first = view.pm_uptime.is_none();
            view.pm_uptime = Some(now);
            view.created_at.get_or_insert(now);
            view.status = Status::Launching;
            view.spawn_error = None;
            view.axm_actions.clear();
            view.axm_monitor.clear();
            view.axm_options.clear();
            let mode = if view.spec.cluster { "cluster" } else { "fork" };
            self.context
                .journal
                .log(format_args!("App [{}:{}] starting in -{mode} mode-", view.spec.name, view.id));
            first
        };
        let view = self.view.lock().clone();
        match process::start(&self.context, &view) {
            Ok(process) => {
                self.launched(process, answer);
                ControlFlow::Continue(())
            }
            Err(error) => {
                let text = error.to_string();
                self.context.journal.error(format_args!("App [{}:{}] {text}", view.spec.name, view.id));
                {
                    let mut view = self.view.lock();
                    view.status = Status::Errored;
                    view.pid = 0;
                    view.spawn_error = Some(text.clone());
                }
                self.state = State::Idle;
                self.close_listeners();
                let forget = first && matches!(error, StartError::Log(_));
                self.view.lock().forgotten = forget;
                if !forget {
                    self.publish("exit");
                }
                if let Some(answer) = answer {
                    drop(answer.send(Err(text)));
                }
                if forget { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
        }
    }

    fn launched(&mut self, process: Process, answer: Option<oneshot::Sender<Reply>>) {
        let spec = {
            let mut view = self.view.lock();
            view.pid = process.pid;
            view.version = package::version(&view.spec.script);
            view.spec.clone()
        };
        if let Some(path) = &spec.pid_file
            && let Err(error) = std::fs::write(path, process.pid.to_string())
        {
            self.context.journal.error(format_args!("cannot write the pid file {path}: {error}"));
        }
        let waits_for_worker = process.worker.is_some();
        let deadline = spec
            .wait_ready
            .then(|| Instant::now() + spec.listen_timeout.unwrap_or(self.context.settings.listen_timeout));
        self.state = State::Launching { process, deadline, answers: answer.into_iter().collect() };
        if !spec.wait_ready && !waits_for_worker {
            self.ready();
        }
    }

    /// The process counts as started: answers whoever asked for it.
    fn ready(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::Launching { process, answers, .. } => {
                self.publish("online");
                let text = {
                    let mut view = self.view.lock();
                    view.status = Status::Online;
                    self.context.journal.log(format_args!("App [{}:{}] online", view.spec.name, view.id));
                    view.spawned_json()
                };
                for answer in answers {
                    drop(answer.send(Ok(text.clone())));
                }
                State::Online { process }
            }
            other => other,
        };
    }

    // ---- ending ----

    /// Brings the job to `stopped`, whatever it does now.
    async fn stop(&mut self) {
        if self.process().is_some() {
            self.end_process().await;
        } else {
            // A pending restart is cancelled with the state that held it.
            self.state = State::Idle;
            let mut view = self.view.lock();
            view.status = Status::Stopped;
            view.pid = 0;
            drop(view);
            self.close_listeners();
        }
    }

    /// Ends the running process tree, waits for its output, and leaves `stopped` (or `errored` when
    /// something survived SIGKILL).
    async fn end_process(&mut self) {
        let (State::Launching { mut process, .. } | State::Online { mut process }) = self.conclude_launch()
        else {
            return;
        };
        let spec = self.spec();
        let settings = &self.context.settings;
        {
            let mut view = self.view.lock();
            view.status = Status::Stopping;
            self.context.journal.log(format_args!("Stopping app:{} id:{}", view.spec.name, view.id));
        }
        let plan = KillPlan {
            signal: settings.kill_signal,
            by_message: spec.shutdown_with_message || settings.kill_use_message,
            timeout: spec.kill_timeout.unwrap_or(settings.kill_timeout),
            tree: spec.treekill,
        };
        let context = self.context.clone();
        let ended = kill::end(&mut process, &plan, &context.journal, |message| self.report(&message)).await;
        match ended {
            Ok(exit) => {
                self.after_death(&mut process, exit).await;
                let facts = self.facts(&process, exit);
                policy::count_unstable(&spec, &mut self.history, facts);
                self.context.journal.log(format_args!("pid={} msg=process tree killed", process.pid));
                {
                    let mut view = self.view.lock();
                    // It was asked for: not the signal's doing.
                    view.exit_code = Some(match exit {
                        Exit::Code(code) => i64::from(code),
                        Exit::Signal(_) => 0,
                    });
                    view.exit_signal = None;
                    view.unstable_restarts = self.history.unstable_restarts;
                    view.status = Status::Stopped;
                    view.pid = 0;
                }
                self.publish("exit");
            }
            Err(kill::Survivors) => {
                let mut view = self.view.lock();
                self.context.journal.error(format_args!(
                    "app={} id={} pid={} could not be stopped",
                    view.spec.name, view.id, process.pid
                ));
                view.status = Status::Errored;
            }
        }
        self.forget_worker(&process, false);
        if ended.is_err() {
            // Whenever it does end, it must not stay as a zombie.
            tokio::spawn(process.exit);
        }
    }

    /// Takes the state; a start that is still waited for counts as done, as in PM2.
    fn conclude_launch(&mut self) -> State {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Launching { process, answers, .. } => {
                let text = {
                    let mut view = self.view.lock();
                    view.status = Status::Online;
                    view.spawned_json()
                };
                for answer in answers {
                    drop(answer.send(Ok(text.clone())));
                }
                State::Online { process }
            }
            other => other,
        }
    }

    /// The process ended without being asked to.
    async fn exited(&mut self, exit: Exit) {
        let (State::Launching { mut process, .. } | State::Online { mut process }) = self.conclude_launch()
        else {
            return;
        };
        self.after_death(&mut process, exit).await;
        let facts = self.facts(&process, exit);
        let spec = self.spec();
        if facts.uptime > self.context.settings.backoff_reset {
            self.history.last_delay_ms = None;
        }
        let action = if self.context.is_closing() {
            Action::Stay
        } else {
            policy::after_exit(&spec, &mut self.history, facts)
        };
        {
            let mut view = self.view.lock();
            view.unstable_restarts = self.history.unstable_restarts;
            view.exit_code = Some(policy::exit_code(exit));
            view.exit_signal = match exit {
                Exit::Signal(signal) => Some(crate::sys::Signal(signal).name()),
                Exit::Code(_) => None,
            };
            if self.history.last_delay_ms.is_some() {
                view.prev_restart_delay = self.history.last_delay_ms;
            }
            view.pid = 0;
            view.status = match action {
                Action::RestartAfter { .. } => Status::WaitingRestart,
                Action::GiveUp { .. } => Status::Errored,
                Action::Stay | Action::RestartNow => Status::Stopped,
            };
        }
        self.forget_worker(&process, !matches!(action, Action::Stay | Action::GiveUp { .. }));
        if let Action::GiveUp { unstable_restarts } = action {
            self.view.lock().created_at = None;
            self.context.journal.log(format_args!(
                "Script {} had too many unstable restarts ({unstable_restarts}). Stopped. \"errored\"",
                spec.script
            ));
            self.publish("restart overlimit");
        }
        self.publish("exit");
        match action {
            Action::RestartNow => self.restart_by_itself(),
            Action::RestartAfter { delay, backoff } => {
                if backoff {
                    let view = self.view.lock();
                    self.context.journal.log(format_args!(
                        "App [{}:{}] will restart in {}ms",
                        view.spec.name,
                        view.id,
                        delay.as_millis()
                    ));
                }
                self.state = State::Waiting { at: Instant::now() + delay };
            }
            Action::Stay | Action::GiveUp { .. } => {}
        }
    }

    fn facts(&self, process: &Process, exit: Exit) -> ExitFacts {
        let since = |created| Duration::from_millis(u64::try_from(epoch_ms() - created).unwrap_or_default());
        ExitFacts { exit, uptime: process.started.elapsed(), age: self.view.lock().created_at.map(since) }
    }

    /// What every end has in common: last messages, last output, log line, pid file, first event.
    async fn after_death(&mut self, process: &mut Process, exit: Exit) {
        while let Ok(message) = process.messages.try_recv() {
            self.report(&message);
        }
        process.output.drain().await;
        let stopping = {
            let mut view = self.view.lock();
            let (code, signal) = match exit {
                Exit::Code(code) => (code, "SIGINT".to_owned()),
                Exit::Signal(signal) => (0, crate::sys::Signal(signal).name()),
            };
            self.context.journal.log(format_args!(
                "App [{}:{}] exited with code [{code}] via signal [{signal}]",
                view.spec.name, view.id
            ));
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

    fn forget_worker(&self, process: &Process, keep_listeners: bool) {
        if let Some(worker) = process.worker {
            self.context.cluster.lock().leave(worker, keep_listeners);
        }
        if !keep_listeners {
            self.close_listeners();
        }
    }

    fn close_listeners(&self) {
        let spec = self.spec();
        if spec.cluster {
            self.context.cluster.lock().close_unused(&spec.name);
        }
    }

    // ---- messages ----

    fn receive(&mut self, message: AppMessage) {
        let (AppMessage::Cluster(_) | AppMessage::Handle | AppMessage::Ready) = &message else {
            return self.report(&message);
        };
        let spec = self.spec();
        let Some(process) = self.process() else { return };
        let (channel, worker) = (process.channel.clone(), process.worker);
        match &message {
            AppMessage::Cluster(frame) => {
                let Some(worker) = worker else { return };
                let demand = self.context.cluster.lock().receive(&spec.name, worker, frame);
                match demand {
                    Demand::Online if !spec.wait_ready => self.ready(),
                    Demand::Answer { frame, descriptor } => {
                        if let Err(error) = channel.send(&frame, descriptor) {
                            self.context
                                .journal
                                .error(format_args!("cannot answer a worker of {}: {error}", spec.name));
                        }
                    }
                    Demand::Online | Demand::Listening | Demand::Nothing => {}
                }
            }
            AppMessage::Handle => {
                // The handle itself is closed by not being received; the sender waits for this line.
                let _ = channel.send(r#"{"cmd":"NODE_HANDLE_ACK"}"#, None);
            }
            _ => {
                self.report(&message);
                if spec.wait_ready {
                    self.ready();
                }
            }
        }
    }

    /// Messages that only change the published state or go to the bus.
    fn report(&self, message: &AppMessage) {
        let bus = &self.context.bus;
        match message {
            AppMessage::NodeVersion(version) => self.view.lock().node_version = Some(version.clone()),
            AppMessage::Ready => self.publish_raw("\"ready\""),
            AppMessage::Raw(text) => self.publish_raw(text),
            AppMessage::Typed { kind, data } => {
                if self.view.lock().take_axm(kind, data) {
                    return;
                }
                bus.publish(kind, || {
                    let process = self.view.lock().identity_json(false);
                    format!(r#"{{"at":{},"data":{data},"process":{process}}}"#, epoch_ms())
                });
            }
            AppMessage::Cluster(_) | AppMessage::Handle => {}
        }
    }

    fn publish_raw(&self, text: &str) {
        self.context.bus.publish("process:msg", || {
            let process = self.view.lock().identity_json(false);
            format!(r#"{{"at":{},"raw":{text},"process":{process}}}"#, epoch_ms())
        });
    }

    fn publish(&self, event: &str) {
        self.context.bus.publish("process:event", || self.view.lock().process_event(event, false));
    }
}
