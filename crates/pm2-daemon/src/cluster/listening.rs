//! Where workers listen: binding, joining, leaving, and the end of a listener.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::Interest;
use mio::unix::SourceFd;

use super::Policy;
use super::channel::{Asked, Held};
use super::frames::{self, WorkerFrame};
use super::listener::{GroupSocket, Listener, Member, Place, Way};
use super::pace::{Pace, TICK};
use super::primary::{Primary, Source, Timer};
use super::socket::{self, Wanted};
use crate::sys::{Steering, steer};

/// How long a listener waits for the successor of its last worker.
const MAX_DESERTED: Duration = Duration::from_secs(30);
/// How long workers may take to close their copies of the sockets of a listener that was closed.
const LEFT: Duration = Duration::from_secs(2);

/// An address is about to be free.
pub(super) struct NotYet;

impl Primary {
    /// The keys of the sockets that a worker has.
    pub(super) fn keys_of(&self, worker: u64) -> BTreeSet<String> {
        self.listeners
            .values()
            .filter(|listener| listener.has(worker))
            .map(|listener| listener.key.clone())
            .collect()
    }

    /// Whether others serve wherever a worker listens.
    pub(super) fn is_served_without(&self, worker: u64) -> bool {
        let serves = |id: u64| id != worker && self.workers.get(&id).is_some_and(|other| other.is_live());
        let mut own = self.listeners.values().filter(|listener| listener.has(worker)).peekable();
        own.peek().is_some()
            && own.all(|listener| listener.members.iter().any(|member| serves(member.worker)))
    }

    /// A worker wants to listen.
    ///
    /// # Errors
    /// [`NotYet`]: a worker that has just closed its server may still hold the address.
    pub(super) fn query(&mut self, worker: u64, frame: &WorkerFrame<'_>) -> Result<(), NotYet> {
        let Some(state) = self.workers.get(&worker) else { return Ok(()) };
        if state.leaving {
            return Ok(());
        }
        let app = state.info.app.clone();
        let key = frame.wanted_key();
        let ack = frame.seq.unwrap_or_default();
        let seq = self.seq();
        match self.join(worker, &key, frame) {
            Ok(listener) => self.welcome(worker, listener, ack, seq),
            Err((error, _)) if error.kind() == io::ErrorKind::AddrInUse && self.was_left(frame) => {
                return Err(NotYet);
            }
            Err((error, why)) => {
                self.journal.error(format_args!("App [{app}] cannot listen on {why}"));
                let errno = -error.raw_os_error().unwrap_or(libc::EINVAL);
                let key = serde_json::Value::from(key).to_string();
                self.send(worker, frames::refused(&key, ack, errno, seq));
            }
        }
        Ok(())
    }

    /// Whether a listener at that place was closed so lately that a worker may still have its copy of the socket.
    fn was_left(&self, frame: &WorkerFrame<'_>) -> bool {
        let place = Place::of(frame);
        self.left.iter().any(|(left, at)| *left == place && at.elapsed() < LEFT)
    }

    /// Makes the worker a member of the listener for that key; the error is for the worker, the text for the log.
    fn join(
        &mut self,
        worker: u64,
        key: &str,
        frame: &WorkerFrame<'_>,
    ) -> Result<usize, (io::Error, String)> {
        let Some(info) = self.workers.get(&worker).map(|state| &state.info) else {
            return Err((io::Error::from_raw_os_error(libc::EINVAL), key.to_owned()));
        };
        let (app, job) = (info.app.clone(), info.job);
        // By its job, too: a reload may change the name.
        let is_ours = |listener: &Listener| {
            listener.app == app
                || listener.kept_for.contains(&job)
                || listener
                    .members
                    .iter()
                    .any(|member| self.workers.get(&member.worker).is_some_and(|other| other.info.job == job))
        };
        let found = self.listeners.iter().find(|(_, listener)| listener.key == key && is_ours(listener));
        let id = match found {
            Some((_, listener)) if listener.has(worker) => {
                // Node takes a key for one server of a worker.
                let error = io::Error::from_raw_os_error(libc::EADDRINUSE);
                return Err((error, format!("{key} twice in one process")));
            }
            Some((id, _)) => *id,
            None => self.bind(worker, key, frame)?,
        };
        if let Some(listener) = self.listeners.get_mut(&id) {
            listener.app = app;
            listener.kept_for.remove(&job);
            listener.deserted = None;
            listener.members.push(Member { worker, rests_until: None });
            if listener.data.is_none() {
                listener.data = frame.data().map(str::to_owned);
            }
        }
        Ok(id)
    }

    fn bind(
        &mut self,
        worker: u64,
        key: &str,
        frame: &WorkerFrame<'_>,
    ) -> Result<usize, (io::Error, String)> {
        let Some(info) = self.workers.get(&worker).map(|state| state.info.clone()) else {
            return Err((io::Error::from_raw_os_error(libc::EINVAL), key.to_owned()));
        };
        let wanted = Wanted {
            address: frame.address.as_deref(),
            port: frame.port.unwrap_or(0),
            address_type: frame.address_type(),
            backlog: frame.backlog(),
            flags: frame.flags(),
            foreign: info.foreign,
            names_descriptor: frame.names_descriptor(),
            readable_all: frame.readable_all(),
            writable_all: frame.writable_all(),
            grouped: false,
        };
        let place = Place::of(frame);
        let grouped = info.policy == Policy::Hybrid && !info.sticky && matches!(place, Place::Tcp(_));
        let wanted = Wanted { grouped, ..wanted };
        let (first, path) = socket::bind(&wanted).map_err(|error| {
            let owner = self.listeners.values().find(|listener| listener.place == place);
            let who = owner
                .filter(|_| error.kind() == io::ErrorKind::AddrInUse)
                .map_or(String::new(), |owner| format!(", the app {} listens there", owner.app));
            let what = if wanted.names_descriptor { "a descriptor, which it does not share" } else { key };
            let text = format!("{what}: {error}{who}");
            (error, text)
        })?;
        let is_datagram = matches!(place, Place::Udp(_));
        let way = if is_datagram || (info.policy == Policy::Shared && !info.sticky) {
            Way::Share
        } else if grouped && steer(first.as_fd(), &Steering::First).is_ok() {
            Way::Steer
        } else {
            // Also where the system cannot steer.
            Way::Deal
        };
        let id = self.next_listener;
        self.next_listener += 1;
        let listener = Listener {
            app: info.app.clone(),
            key: key.to_owned(),
            place,
            way,
            sticky: info.sticky,
            backlog: wanted.backlog,
            shown_address: socket::shown_address(&first),
            sockets: vec![GroupSocket::new(first.into(), None)],
            data: None,
            members: Vec::new(),
            kept_for: BTreeSet::new(),
            deserted: None,
            waiting: VecDeque::new(),
            pace: Pace::new(self.limits.direct_above, Instant::now()),
            steering: Steering::First,
            last: 0,
            out_of_descriptors: None,
            path,
        };
        self.listeners.insert(id, listener);
        if way != Way::Share {
            self.watch(id, 0, true);
        }
        Ok(id)
    }

    /// Answers a worker that has become a member.
    fn welcome(&mut self, worker: u64, id: usize, ack: u64, seq: u64) {
        let own = self.own_socket(worker, id);
        // When the worker hears of it, all is as it will be.
        self.members_changed(id);
        let Some(listener) = self.listeners.get(&id) else { return };
        let key = serde_json::Value::from(listener.key.as_str()).to_string();
        let data = listener.data.as_deref();
        match own.and_then(|n| listener.sockets.get(n)) {
            Some(own) => {
                let kind =
                    if matches!(listener.place, Place::Udp(_)) { "dgram.Native" } else { "net.Native" };
                let frame = frames::with_handle(kind, &frames::listens(&key, ack, data, None, seq));
                let socket = own.socket.clone();
                let asked = Asked { listener: id, ack, n_failed: 0 };
                let held = Held { line: frame, socket, asked };
                self.with_channel(worker, |channel| channel.send_socket(held));
            }
            None => {
                let frame = frames::listens(&key, ack, data, listener.shown_address.as_deref(), seq);
                self.send(worker, frame);
            }
        }
    }

    /// The number of the socket that a member is given; `None` where it is only dealt connections.
    fn own_socket(&mut self, worker: u64, id: usize) -> Option<usize> {
        let listener = self.listeners.get_mut(&id)?;
        match listener.way {
            Way::Deal => None,
            Way::Share => Some(0),
            Way::Steer => {
                let free = (1..listener.sockets.len()).find(|n| listener.sockets[*n].owner.is_none());
                if let Some(n) = free {
                    listener.sockets[n].owner = Some(worker);
                    self.watch(id, n, false);
                    return Some(n);
                }
                let first = socket2::SockRef::from(&listener.sockets[0].socket);
                match socket::bind_beside(&first, listener.backlog) {
                    Ok(socket) => {
                        listener.sockets.push(GroupSocket::new(socket.into(), Some(worker)));
                        Some(listener.sockets.len() - 1)
                    }
                    Err(error) => {
                        let key = &listener.key;
                        self.journal
                            .warn(format_args!("no socket of its own on {key} for a worker: {error}"));
                        None
                    }
                }
            }
        }
    }

    /// A worker has no descriptor left for the socket that it asked for.
    pub(super) fn cannot_have(&mut self, worker: u64, asked: Asked) {
        let seq = self.seq();
        let Some(listener) = self.listeners.get(&asked.listener) else { return };
        let key = serde_json::Value::from(listener.key.as_str()).to_string();
        let app = listener.app.clone();
        self.journal.error(format_args!("App [{app}] cannot listen on {key}: it has no descriptors left"));
        self.send(worker, frames::refused(&key, asked.ack, -libc::EMFILE, seq));
        self.desert(worker, asked.listener, false);
    }

    /// Begins or ends to be told of connections that wait on a socket.
    pub(super) fn watch(&mut self, id: usize, n: usize, watched: bool) {
        let Some(socket) = self.listeners.get_mut(&id).and_then(|listener| listener.sockets.get_mut(n))
        else {
            return;
        };
        let raw = socket.socket.as_raw_fd();
        socket.ready = false;
        let token = Source::Socket { listener: id, n }.token();
        let result = if watched {
            self.registry.register(&mut SourceFd(&raw), token, Interest::READABLE)
        } else {
            self.registry.deregister(&mut SourceFd(&raw))
        };
        if let Err(error) = result {
            self.journal.error(format_args!("cannot watch a listening socket: {error}"));
        }
    }

    /// A worker has closed a server by itself.
    pub(super) fn closed(&mut self, worker: u64, key: &str) {
        let found = self.listeners.iter().find(|(_, listener)| listener.key == key && listener.has(worker));
        if let Some(id) = found.map(|(id, _)| *id) {
            let is_replaced = self.workers.get(&worker).is_some_and(|state| state.leaving);
            self.desert(worker, id, is_replaced);
        }
    }

    /// A worker listens nowhere any more, without having said so; its job may come back.
    pub(super) fn desert_all(&mut self, worker: u64) {
        let ids: Vec<usize> =
            self.listeners.iter().filter(|(_, listener)| listener.has(worker)).map(|(id, _)| *id).collect();
        for id in ids {
            self.desert(worker, id, true);
        }
    }

    fn desert(&mut self, worker: u64, id: usize, may_come_back: bool) {
        let Some(job) = self.workers.get(&worker).map(|state| state.info.job) else { return };
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        listener.members.retain(|member| member.worker != worker);
        let listeners = &self.listeners;
        let listens = |worker: u64| listeners.values().any(|listener| listener.has(worker));
        // Somebody of its job who listens somewhere has decided already whether here, too.
        let has_successor = self
            .workers
            .iter()
            .any(|(id, other)| *id != worker && other.info.job == job && other.is_live() && listens(*id));
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        if may_come_back && !has_successor {
            listener.kept_for.insert(job);
        }
        let own = listener.socket_of(worker);
        if let Some(n) = own {
            listener.sockets[n].owner = None;
            // What waits there is the daemon's to deal.
            self.watch(id, n, true);
        }
        self.members_changed(id);
        self.settle(id);
    }

    /// A worker gets no connections any more; its servers close when it has been told to.
    pub(super) fn leave_rotation(&mut self, worker: u64) {
        if let Some(state) = self.workers.get_mut(&worker) {
            state.leaving = true;
        }
        let ids: Vec<usize> =
            self.listeners.iter().filter(|(_, listener)| listener.has(worker)).map(|(id, _)| *id).collect();
        for id in ids {
            self.members_changed(id);
        }
    }

    /// A job will have no worker for a while.
    pub(super) fn give_up(&mut self, job: u32) {
        let ids: Vec<usize> = self.listeners.keys().copied().collect();
        for id in ids {
            if let Some(listener) = self.listeners.get_mut(&id) {
                listener.kept_for.remove(&job);
            }
            self.settle(id);
        }
    }

    /// Closes a listener that nobody uses or will use.
    fn settle(&mut self, id: usize) {
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        if !listener.members.is_empty() {
            return;
        }
        if listener.kept_for.is_empty() {
            self.close(id);
        } else if listener.deserted.is_none() {
            listener.deserted = Some(Instant::now());
            self.later(MAX_DESERTED, Timer::Desert(id));
        }
    }

    pub(super) fn close_deserted(&mut self, id: usize, now: Instant) {
        let Some(since) = self.listeners.get(&id).and_then(|listener| listener.deserted) else { return };
        let waited = now.duration_since(since);
        if waited < MAX_DESERTED {
            // It was used in between.
            return self.later(MAX_DESERTED.saturating_sub(waited), Timer::Desert(id));
        }
        self.close(id);
    }

    fn close(&mut self, id: usize) {
        if let Some(listener) = self.listeners.remove(&id) {
            self.left.retain(|(_, at)| at.elapsed() < LEFT);
            self.left.push((listener.place.clone(), Instant::now()));
            for (n, socket) in listener.sockets.iter().enumerate() {
                // A worker that still ends may hold it open.
                if listener.way != Way::Share && (n == 0 || socket.owner.is_none()) {
                    drop(self.registry.deregister(&mut SourceFd(&socket.socket.as_raw_fd())));
                }
            }
        }
    }

    /// Steers new connections to those who can take them now.
    pub(super) fn members_changed(&mut self, id: usize) {
        let wanted = self.wanted_steering(id);
        if let Some((listener, wanted)) = self.listeners.get(&id).zip(wanted)
            && listener.steering != wanted
        {
            self.steer(id, wanted);
        }
    }

    /// Where new connections should go; `None` where that is not the daemon's to decide.
    pub(super) fn wanted_steering(&self, id: usize) -> Option<Steering> {
        let listener = self.listeners.get(&id).filter(|listener| listener.way == Way::Steer)?;
        let live: Vec<u64> = listener
            .members
            .iter()
            .map(|member| member.worker)
            .filter(|worker| self.workers.get(worker).is_some_and(|state| state.is_live()))
            .collect();
        Some(listener.steering_for(&live))
    }

    pub(super) fn steer(&mut self, id: usize, wanted: Steering) {
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        if let Err(error) = steer(listener.sockets[0].socket.as_fd(), &wanted) {
            let key = &listener.key;
            return self.journal.error(format_args!("cannot steer connections to {key}: {error}"));
        }
        listener.steering = wanted;
        self.later(TICK, Timer::Look(id));
    }
}
