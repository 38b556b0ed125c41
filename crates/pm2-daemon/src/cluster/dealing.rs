//! Who gets which connection.

use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::channel::{Answered, Asked, Held};
use super::choice::{self, Candidate};
use super::listener::{Connection, Listener, Way};
use super::pace::TICK;
use super::primary::{Primary, Timer, Worker};
use crate::sys::{Steering, accept, n_unaccepted};

/// Connections accepted from one socket before others have their turn.
const MAX_ACCEPTS: usize = 32;
/// Looks in a row at a worker's queue that does not move before others take what waits in it.
const MAX_STUCK: u32 = 5;
/// Hand-overs of one connection that may fail for want of descriptors.
const MAX_FAILED: u8 = 6;
/// How long a worker without descriptors is left alone.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(200);
/// How long a server that refused a connection is left alone.
const REFUSED: Duration = Duration::from_millis(20);
/// How long a client waits for the one worker of its address.
const MAX_STICKY: Duration = Duration::from_secs(1);
/// When a connection that nobody can take is looked at again.
const DEAL_AGAIN: Duration = Duration::from_millis(20);

impl Primary {
    /// Connections may wait on a socket.
    pub(super) fn socket_ready(&mut self, id: usize, n: usize) {
        if let Some(socket) = self.listeners.get_mut(&id).and_then(|listener| listener.sockets.get_mut(n)) {
            socket.ready = socket.owner.is_none();
        }
    }

    /// Takes connections for which there is somebody. Says whether more may wait.
    pub(super) fn accept(&mut self, now: Instant) -> bool {
        let is_ready = |listener: &Listener| listener.sockets.iter().any(|socket| socket.ready);
        let ids: Vec<usize> =
            self.listeners.iter().filter(|(_, listener)| is_ready(listener)).map(|(id, _)| *id).collect();
        let mut more = false;
        for id in ids {
            more |= self.accept_on(id, now);
        }
        more
    }

    fn accept_on(&mut self, id: usize, now: Instant) -> bool {
        let Some(listener) = self.listeners.get_mut(&id) else { return false };
        if listener.out_of_descriptors.is_some_and(|until| until > now) {
            return false;
        }
        let workers = &self.workers;
        if !listener.members.iter().any(|member| workers.get(&member.worker).is_some_and(Worker::is_live)) {
            // The system keeps them until somebody comes.
            return false;
        }
        let mut is_changed = false;
        let mut failure = None;
        for n in 0..listener.sockets.len() {
            match take(listener, n, now) {
                Ok(changed) => is_changed |= changed,
                Err(error) => failure = Some(error),
            }
        }
        listener.out_of_descriptors = failure.as_ref().map(|_| now + OUT_OF_DESCRIPTORS);
        let more = listener.sockets.iter().any(|socket| socket.ready) && !listener.is_full();
        if let Some(error) = &failure {
            let key = &listener.key;
            self.journal.error(format_args!("cannot accept connections on {key}: {error}"));
            self.later(OUT_OF_DESCRIPTORS, Timer::Accept);
        }
        if is_changed {
            self.members_changed(id);
        }
        more && failure.is_none()
    }

    /// Gives what waits to whoever can take it.
    pub(super) fn deal(&mut self, now: Instant) {
        let ids: Vec<usize> = self
            .listeners
            .iter()
            .filter(|(_, listener)| !listener.waiting.is_empty())
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let mut n = 0;
            while let Some(listener) = self.listeners.get_mut(&id) {
                let Some(connection) = listener.waiting.get(n) else { break };
                let chosen = choose(listener, connection, &self.workers, self.limits.window, now);
                let Some(worker) = chosen else {
                    if listener.sticky {
                        // It waits for its own worker; the next one may have another.
                        n += 1;
                        continue;
                    }
                    break;
                };
                listener.last = worker;
                let Some(connection) = listener.waiting.remove(n) else { break };
                self.hand_over(worker, id, connection, now);
            }
            if self.listeners.get(&id).is_some_and(|listener| !listener.waiting.is_empty()) {
                // Somebody may have rested by then.
                self.later(DEAL_AGAIN, Timer::Deal);
            }
        }
    }

    /// A worker has taken a connection, or has not.
    pub(super) fn answered(&mut self, worker: u64, seq: u64, accepted: bool) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        let Some(at) = state.unaccepted.iter().position(|unaccepted| unaccepted.seq == seq) else { return };
        let Some(answered) = state.unaccepted.remove(at) else { return };
        if accepted {
            return;
        }
        let Some(listener) = self.listeners.get_mut(&answered.listener) else { return };
        if let Some(member) = listener.members.iter_mut().find(|member| member.worker == worker) {
            member.rests_until = Some(Instant::now() + REFUSED);
        }
        listener.waiting.push_front(answered.connection);
    }

    /// A descriptor has not arrived: the worker has no room for one.
    pub(super) fn missing(&mut self, worker: u64) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        let missed = state.channel.as_mut().and_then(|channel| channel.answered());
        state.rests_until = Some(Instant::now() + OUT_OF_DESCRIPTORS);
        let seq = match missed {
            Some(Answered::Connection(seq)) => seq,
            Some(Answered::Socket(held)) => return self.socket_missing(worker, held),
            None => return,
        };
        let Some(at) = state.unaccepted.iter().position(|unaccepted| unaccepted.seq == seq) else { return };
        let Some(mut missed) = state.unaccepted.remove(at) else { return };
        let app = state.info.app.clone();
        missed.connection.n_failed += 1;
        if missed.connection.n_failed > MAX_FAILED {
            let text = "its workers have no descriptors left for a connection, which was closed";
            self.journal.error(format_args!("App [{app}] {text}"));
        } else if let Some(listener) = self.listeners.get_mut(&missed.listener) {
            listener.waiting.push_front(missed.connection);
        }
        self.flush(worker);
    }

    fn socket_missing(&mut self, worker: u64, held: Held) {
        let asked = Asked { n_failed: held.asked.n_failed + 1, ..held.asked };
        if asked.n_failed > MAX_FAILED {
            return self.cannot_have(worker, asked);
        }
        self.missed_sockets.push((worker, Held { asked, ..held }));
        self.later(OUT_OF_DESCRIPTORS, Timer::Resend);
        self.flush(worker);
    }

    /// Sends the sockets again that have not arrived.
    pub(super) fn resend(&mut self) {
        for (worker, held) in std::mem::take(&mut self.missed_sockets) {
            self.with_channel(worker, |channel| channel.send_socket(held));
        }
    }

    /// While connections go straight to the workers, and until the last of those is accepted: how many there are, and
    /// whether somebody lets them wait.
    pub(super) fn look(&mut self, id: usize, now: Instant) {
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        let is_direct = matches!(listener.steering, Steering::Spread { first_every: Some(_), .. });
        let is_changed = is_direct && listener.pace.look(now);
        let mut n_left = 0;
        for n in 1..listener.sockets.len() {
            let socket = &mut listener.sockets[n];
            let Some(owner) = socket.owner else { continue };
            let n_waiting = n_unaccepted(socket.socket.as_fd()).unwrap_or(0);
            let moves = n_waiting == 0 || n_waiting < socket.n_waiting;
            socket.n_stuck = if moves { 0 } else { socket.n_stuck + 1 };
            socket.n_waiting = n_waiting;
            n_left += n_waiting;
            if socket.n_stuck >= MAX_STUCK && listener.members.iter().any(|member| member.worker != owner) {
                relieve(listener, n, n_waiting, now);
            }
        }
        let has_others = listener.members.len() > 1;
        if is_changed {
            self.members_changed(id);
        }
        if is_direct || (n_left > 0 && has_others) {
            self.later(TICK, Timer::Look(id));
        }
    }
}

/// Accepts from a socket that is the daemon's to accept from. Says whether the way of connections has changed.
fn take(listener: &mut Listener, n: usize, now: Instant) -> std::io::Result<bool> {
    let mut is_changed = false;
    for _ in 0..MAX_ACCEPTS {
        if !listener.sockets[n].ready || listener.is_full() {
            break;
        }
        match accept(listener.sockets[n].socket.as_fd()) {
            Ok(socket) => {
                is_changed |= listener.way == Way::Steer && listener.pace.count(now);
                push(listener, socket, now);
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => return Err(error),
                Some(libc::EAGAIN) => listener.sockets[n].ready = false,
                // The client has gone, or its network.
                _ => {}
            },
        }
    }
    Ok(is_changed)
}

/// Takes what waits for a worker that does not look.
fn relieve(listener: &mut Listener, n: usize, n_waiting: u32, now: Instant) {
    for _ in 0..n_waiting {
        if listener.is_full() {
            return;
        }
        let Ok(socket) = accept(listener.sockets[n].socket.as_fd()) else { return };
        push(listener, socket, now);
    }
}

fn push(listener: &mut Listener, socket: std::os::fd::OwnedFd, now: Instant) {
    let address = listener
        .sticky
        .then(|| socket2::SockRef::from(&socket).peer_addr().ok()?.as_socket().map(|address| address.ip()))
        .flatten();
    let connection = Connection { socket: Rc::new(socket), address, since: now, n_failed: 0 };
    listener.waiting.push_back(connection);
}

/// Who gets a connection now.
fn choose(
    listener: &Listener,
    connection: &Connection,
    workers: &std::collections::BTreeMap<u64, Worker>,
    window: usize,
    now: Instant,
) -> Option<u64> {
    let is_over = |rest: Option<Instant>| rest.is_none_or(|until| until <= now);
    let able = listener.members.iter().filter_map(|member| {
        let state = workers.get(&member.worker)?;
        let able = state.is_live() && is_over(member.rests_until) && is_over(state.rests_until);
        able.then_some((member.worker, state))
    });
    let with_room = able.clone().filter(|(_, state)| {
        state.unaccepted.len() < window && state.channel.as_ref().is_some_and(|channel| channel.has_room())
    });
    if let Some(address) = connection.address
        && now.duration_since(connection.since) < MAX_STICKY
    {
        let own = choice::for_address(able.map(|(worker, _)| worker), address)?;
        return with_room.map(|(worker, _)| worker).find(|worker| *worker == own);
    }
    let candidates = with_room.map(|(id, state)| {
        let waits =
            state.unaccepted.front().map_or(Duration::ZERO, |oldest| now.duration_since(oldest.since));
        let own = listener.socket_of(id).map(|n| &listener.sockets[n]);
        let is_stuck = own.is_some_and(|socket| socket.n_stuck >= MAX_STUCK);
        Candidate {
            id,
            n_unaccepted: state.unaccepted.len(),
            oldest: if is_stuck { waits + TICK * MAX_STUCK } else { waits },
        }
    });
    choice::in_turn(candidates, listener.last)
}
