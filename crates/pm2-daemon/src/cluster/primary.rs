//! The state of the cluster's thread: workers, what they say, and when they come and go.
//!
//! Where they listen is in [`super::listening`], who gets which connection in [`super::dealing`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use tokio::sync::mpsc;

use super::channel::{Channel, Held, Pause};
use super::frames::{self, WorkerFrame};
use super::listener::{Connection, Listener, Place};
use super::{Command, Limits, WorkerInfo};
use crate::ipc::{AppMessage, Line, parse};
use crate::journal::Journal;

/// Reads of one channel before others have their turn.
const MAX_READS: usize = 16;
/// Reads of the channel of a process that has ended; its last words fit into far fewer.
const MAX_LAST_READS: usize = 64;
/// How long idle connections stay open for a request that may be on its way; less than the usual `kill_timeout`.
const IDLE_MS: u64 = 1000;
/// When a full queue is tried again.
const DELIVER_AGAIN: Duration = Duration::from_millis(1);
/// When an address is tried again that is not free yet.
const ASK_AGAIN: Duration = Duration::from_millis(5);
/// When a channel is tried again that the system refuses descriptors for.
const SEND_AGAIN: Duration = Duration::from_millis(10);

pub(super) struct Primary {
    pub(super) registry: Registry,
    pub(super) journal: Journal,
    pub(super) limits: Limits,
    pub(super) workers: BTreeMap<u64, Worker>,
    pub(super) listeners: BTreeMap<usize, Listener>,
    pub(super) next_listener: usize,
    pub(super) next_seq: u64,
    timers: Vec<(Instant, Timer)>,
    /// Channels that were not read to their end.
    pub(super) unread: BTreeSet<u64>,
    /// Wishes for addresses that an own listener has just left, as frames of a worker.
    pub(super) postponed: Vec<(u64, String)>,
    /// Listening sockets for which their workers had no descriptor.
    pub(super) missed_sockets: Vec<(u64, Held)>,
    /// Where listeners were closed, and when.
    pub(super) left: Vec<(Place, Instant)>,
    buffer: Vec<u8>,
}

pub(super) struct Worker {
    pub(super) info: WorkerInfo,
    pub(super) channel: Option<Channel>,
    pub(super) deliver: Option<mpsc::Sender<AppMessage>>,
    /// What the job has no room for.
    pub(super) undelivered: VecDeque<AppMessage>,
    /// Connections that were handed to it and that it has not taken.
    pub(super) unaccepted: VecDeque<Unaccepted>,
    /// It gets nothing new.
    pub(super) leaving: bool,
    /// It had no descriptors left.
    pub(super) rests_until: Option<Instant>,
}

impl Worker {
    pub(super) fn is_live(&self) -> bool {
        self.channel.is_some() && !self.leaving
    }
}

/// A connection on its way; the daemon's copy lives until a worker has accepted it.
pub(super) struct Unaccepted {
    pub(super) seq: u64,
    pub(super) listener: usize,
    pub(super) connection: Connection,
    pub(super) since: Instant,
}

/// What is to be done later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// Give a job what it had no room for.
    Deliver(u64),
    /// Write to a channel again.
    Send(u64),
    /// See whether a connection that had to wait can go.
    Deal,
    /// Accept where there was no descriptor for it.
    Accept,
    /// Send listening sockets again that have not arrived.
    Resend,
    /// Try the addresses again that were not free yet.
    Ask,
    /// Look at the rate of a listener and at its workers' queues.
    Look(usize),
    /// Nobody has come back to a listener.
    Desert(usize),
}

/// What a number of the poll stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Waker,
    Channel(u64),
    Socket { listener: usize, n: usize },
}

impl Source {
    pub(super) fn token(self) -> Token {
        Token(match self {
            Source::Waker => 0,
            Source::Channel(worker) => worker as usize * 2 + 1,
            Source::Socket { listener, n } => ((listener + 1) << 16 | n) * 2,
        })
    }

    pub(super) fn of(token: Token) -> Source {
        let Token(number) = token;
        match (number & 1, number >> 1) {
            (1, worker) => Source::Channel(worker as u64),
            (_, 0) => Source::Waker,
            (_, socket) => Source::Socket { listener: (socket >> 16) - 1, n: socket & 0xffff },
        }
    }
}

impl Primary {
    pub(super) fn new(registry: Registry, journal: Journal, limits: Limits) -> Primary {
        Primary {
            registry,
            journal,
            limits,
            workers: BTreeMap::new(),
            listeners: BTreeMap::new(),
            next_listener: 0,
            next_seq: 0,
            timers: Vec::new(),
            unread: BTreeSet::new(),
            postponed: Vec::new(),
            left: Vec::new(),
            missed_sockets: Vec::new(),
            buffer: vec![0; 64 * 1024],
        }
    }

    pub(super) fn seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq
    }

    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Attach { worker, info, stream, outbox, deliver } => {
                let channel = Channel::new(stream, outbox);
                self.watch_channel(worker, &channel, &info.app);
                let worker_state = Worker {
                    info,
                    channel: Some(channel),
                    deliver: Some(deliver),
                    undelivered: VecDeque::new(),
                    unaccepted: VecDeque::new(),
                    leaving: false,
                    rests_until: None,
                };
                self.workers.insert(worker, worker_state);
            }
            Command::Flush(worker) => self.flush(worker),
            Command::Drain { worker, has_runtime } => self.drain(worker, has_runtime),
            Command::DrainIfServed { worker, has_runtime, drains } => {
                let is_served = self.is_served_without(worker);
                if is_served {
                    self.drain(worker, has_runtime);
                }
                let _ = drains.send(is_served);
            }
            Command::Leave { worker, left } => {
                let messages = self.leave(worker);
                // Whoever asked may have gone.
                drop(left.send(messages));
            }
            Command::GiveUp { job, done } => {
                self.give_up(job);
                let _ = done.send(());
            }
            Command::Keys { worker, keys } => drop(keys.send(self.keys_of(worker))),
            Command::Freeze { .. } => unreachable!("the thread does that"),
        }
    }

    /// Begins to be told when a channel changes.
    pub(super) fn watch_channel(&self, worker: u64, channel: &Channel, app: &str) {
        let registered = self.registry.register(
            &mut SourceFd(&channel.raw()),
            Source::Channel(worker).token(),
            Interest::READABLE | Interest::WRITABLE,
        );
        if let Err(error) = registered {
            self.journal.error(format_args!("App [{app}] cannot watch its channel: {error}"));
        }
    }

    fn drain(&mut self, worker: u64, has_runtime: bool) {
        self.leave_rotation(worker);
        let frame = if has_runtime { frames::drain(IDLE_MS) } else { frames::disconnect(self.seq()) };
        self.send(worker, frame);
    }

    /// The socket of a channel has changed.
    pub(super) fn channel_ready(&mut self, worker: u64) {
        self.flush(worker);
        self.read(worker);
    }

    /// What was left undone in the last round. Says whether there is more.
    pub(super) fn go_on(&mut self, now: Instant) -> bool {
        for worker in std::mem::take(&mut self.unread) {
            self.read(worker);
        }
        let more = self.accept(now);
        self.deal(now);
        more || !self.unread.is_empty()
    }

    fn read(&mut self, worker: u64) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut n_reads = 0;
        while let Some(state) = self.workers.get_mut(&worker) {
            // A job that is not listened to holds its app up.
            if !state.undelivered.is_empty() {
                break;
            }
            if n_reads == MAX_READS {
                self.unread.insert(worker);
                break;
            }
            n_reads += 1;
            if self.read_once(worker, &mut buffer).is_err() {
                break;
            }
        }
        self.buffer = buffer;
    }

    fn read_once(&mut self, worker: u64, buffer: &mut [u8]) -> Result<(), Pause> {
        let channel = self.workers.get_mut(&worker).and_then(|state| state.channel.as_mut());
        let Some(channel) = channel else { return Err(Pause::Closed) };
        let mut lines = Vec::new();
        let result = channel.read(buffer, |line| lines.push(line));
        for line in lines {
            self.line(worker, line);
        }
        if result == Err(Pause::Closed) {
            self.disconnected(worker);
        }
        result
    }

    fn line(&mut self, worker: u64, line: Vec<u8>) {
        if line == frames::ACKNOWLEDGED {
            return self.acknowledged(worker);
        }
        if let Some((seq, accepted)) = frames::answer_to_connection(&line) {
            return self.answered(worker, seq, accepted);
        }
        match parse(line) {
            Some(Line::Handle(message)) => {
                // The handle itself was closed by not being received; the sender waits for this line.
                self.send(worker, String::from_utf8_lossy(frames::ACKNOWLEDGED).into_owned());
                if let Some(message) = message {
                    self.deliver(worker, message);
                }
            }
            Some(Line::Message(message)) => self.deliver(worker, message),
            Some(Line::Cluster(text)) => {
                // What is not a frame concerns nobody.
                if let Ok(frame) = serde_json::from_str(&text) {
                    self.frame(worker, &frame, &text);
                }
            }
            Some(Line::Acknowledged) => self.acknowledged(worker),
            Some(Line::Missing) => self.missing(worker),
            Some(Line::Drained) => {
                let frame = frames::disconnect(self.seq());
                self.send(worker, frame);
            }
            None => {}
        }
    }

    fn frame(&mut self, worker: u64, frame: &WorkerFrame<'_>, text: &str) {
        if let (Some(ack), Some(accepted)) = (frame.ack, frame.accepted) {
            return self.answered(worker, ack, accepted);
        }
        match frame.act.as_deref() {
            Some("online") => self.deliver(worker, AppMessage::Online),
            Some("queryServer") => self.ask(worker, frame, text),
            Some("listening") => {
                let keys = self.keys_of(worker);
                self.deliver(worker, AppMessage::Listening(keys));
            }
            Some("close") => {
                if let Some(key) = &frame.key {
                    self.closed(worker, key);
                }
            }
            Some("exitedAfterDisconnect" | "suicide") => {
                self.leave_rotation(worker);
                let answer = frames::acknowledge(frame.seq.unwrap_or_default(), self.seq());
                self.send(worker, answer);
            }
            _ => {}
        }
    }

    fn ask(&mut self, worker: u64, frame: &WorkerFrame<'_>, text: &str) {
        if self.query(worker, frame).is_err() {
            self.postponed.push((worker, text.to_owned()));
            self.later(ASK_AGAIN, Timer::Ask);
        }
    }

    fn ask_again(&mut self) {
        for (worker, text) in std::mem::take(&mut self.postponed) {
            if let Ok(frame) = serde_json::from_str(&text) {
                self.ask(worker, &frame, &text);
            }
        }
    }

    fn acknowledged(&mut self, worker: u64) {
        let Some(channel) = self.workers.get_mut(&worker).and_then(|state| state.channel.as_mut()) else {
            return;
        };
        channel.answered();
        self.flush(worker);
    }

    pub(super) fn send(&mut self, worker: u64, line: String) {
        self.with_channel(worker, |channel| channel.send(line));
    }

    pub(super) fn flush(&mut self, worker: u64) {
        self.with_channel(worker, Channel::flush);
    }

    pub(super) fn with_channel(
        &mut self,
        worker: u64,
        act: impl FnOnce(&mut Channel) -> std::io::Result<()>,
    ) {
        let channel = self.workers.get_mut(&worker).and_then(|state| state.channel.as_mut());
        if channel.is_some_and(|channel| act(channel).is_err()) {
            self.later(SEND_AGAIN, Timer::Send(worker));
        }
    }

    fn deliver(&mut self, worker: u64, message: AppMessage) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        let Some(deliver) = state.deliver.as_ref().filter(|_| state.undelivered.is_empty()) else {
            return state.undelivered.push_back(message);
        };
        if let Err(mpsc::error::TrySendError::Full(message)) = deliver.try_send(message) {
            state.undelivered.push_back(message);
            self.later(DELIVER_AGAIN, Timer::Deliver(worker));
        }
    }

    fn deliver_again(&mut self, worker: u64) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        let Some(deliver) = &state.deliver else { return };
        while let Some(message) = state.undelivered.pop_front() {
            match deliver.try_send(message) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(message)) => {
                    state.undelivered.push_front(message);
                    return self.later(DELIVER_AGAIN, Timer::Deliver(worker));
                }
                // The job is over.
                Err(mpsc::error::TrySendError::Closed(_)) => state.undelivered.clear(),
            }
        }
        if state.channel.is_some() {
            self.unread.insert(worker);
        } else {
            // With it the job learns that the channel is closed.
            state.deliver = None;
        }
    }

    /// A worker's channel is closed: what it had not accepted goes to others.
    fn disconnected(&mut self, worker: u64) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        let Some(channel) = state.channel.take() else { return };
        // Closing it would do the same.
        drop(self.registry.deregister(&mut SourceFd(&channel.raw())));
        drop(channel);
        if state.undelivered.is_empty() {
            state.deliver = None;
        }
        while let Some(Unaccepted { listener, connection, .. }) = state.unaccepted.pop_back() {
            if let Some(listener) = self.listeners.get_mut(&listener) {
                listener.waiting.push_front(connection);
            }
        }
        self.desert_all(worker);
    }

    /// A worker's process has ended, after its last words, which are given where its job had no room for them.
    fn leave(&mut self, worker: u64) -> Vec<AppMessage> {
        let mut buffer = std::mem::take(&mut self.buffer);
        // A child that the process left may hold the channel and go on writing.
        for _ in 0..MAX_LAST_READS {
            if self.read_once(worker, &mut buffer).is_err() {
                break;
            }
        }
        self.buffer = buffer;
        // The end of the channel may be held open by a child that the process left.
        self.disconnected(worker);
        self.workers.remove(&worker).map(|state| state.undelivered.into()).unwrap_or_default()
    }

    pub(super) fn later(&mut self, after: Duration, timer: Timer) {
        let at = Instant::now() + after;
        match self.timers.iter_mut().find(|(_, other)| *other == timer) {
            Some((earlier, _)) => *earlier = at.min(*earlier),
            None => self.timers.push((at, timer)),
        }
    }

    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.timers.iter().map(|(at, _)| *at).min()
    }

    pub(super) fn fire(&mut self, now: Instant) {
        let due: Vec<Timer> =
            self.timers.extract_if(.., |(at, _)| *at <= now).map(|(_, timer)| timer).collect();
        for timer in due {
            match timer {
                Timer::Deliver(worker) => self.deliver_again(worker),
                Timer::Send(worker) => self.flush(worker),
                // Done in every round.
                Timer::Deal | Timer::Accept => {}
                Timer::Ask => self.ask_again(),
                Timer::Resend => self.resend(),
                Timer::Look(listener) => self.look(listener, now),
                Timer::Desert(listener) => self.close_deserted(listener, now),
            }
        }
    }

    /// A connection's descriptor for a worker.
    pub(super) fn hand_over(&mut self, worker: u64, listener: usize, connection: Connection, now: Instant) {
        let seq = self.seq();
        let Some(key) = self.listeners.get(&listener).map(|listener| &listener.key) else { return };
        let frame = frames::connection(&serde_json::Value::from(key.as_str()).to_string(), seq);
        let socket: Rc<_> = connection.socket.clone();
        if let Some(state) = self.workers.get_mut(&worker) {
            state.unaccepted.push_back(Unaccepted { seq, listener, connection, since: now });
        }
        self.with_channel(worker, |channel| channel.send_connection(frame, seq, socket));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_numbers() {
        for source in [
            Source::Waker,
            Source::Channel(1),
            Source::Channel(u64::from(u32::MAX)),
            Source::Socket { listener: 0, n: 0 },
            Source::Socket { listener: 700, n: 65 },
        ] {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}
