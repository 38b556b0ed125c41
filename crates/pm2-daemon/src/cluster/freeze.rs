//! The cluster's thread as data, and back.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::channel::{Channel, Held};
use super::listener::{Connection, GroupSocket, Listener, Member, Place, Way};
use super::pace::Pace;
use super::primary::{Primary, Timer, Unaccepted, Worker};
use super::socket::BoundPath;
use super::{ClusterPrimary, Command, Policy, WorkerInfo};
use crate::handover::{
    Clock, ClusterState, ConnectionState, Descriptors, ListenerState, PlaceState, Shared, Sharing,
    UnacceptedState, WayState, WorkerState,
};
use crate::ipc::{AppMessage, Ends, MAX_INCOMING, Outbox, outbox};
use crate::sys::Steering;

impl ClusterPrimary {
    /// Ends the thread and gives what it has; `None` when there is none.
    pub(crate) async fn freeze(&self, clock: &Clock) -> Option<(ClusterState, Descriptors)> {
        let link = self.link.lock().take()?;
        let (frozen, state) = oneshot::channel();
        link.send(Command::Freeze { clock: *clock, frozen });
        state.await.ok()
    }

    /// Starts the thread where it was frozen; gives the jobs' ends of the workers' channels.
    ///
    /// # Errors
    /// When the system gives no thread or no poll descriptor. All workers are lost then.
    pub(crate) fn thaw(
        &self,
        state: ClusterState,
        clock: &Clock,
        descriptors: Descriptors,
    ) -> io::Result<BTreeMap<u64, Ends>> {
        let clock = *clock;
        let mut ends = BTreeMap::new();
        let mut parts = BTreeMap::new();
        let link = self.start(|link| {
            for worker in &state.workers {
                let messages = worker.channel.iter().flat_map(|channel| &channel.unsent);
                let unsent = messages.filter(|frame| frame.is_message).map(|frame| frame.rest.0.len()).sum();
                let (sender, outbox) = outbox(Some(link.wake_for(worker.id)), unsent);
                let (deliver, messages) = mpsc::channel(MAX_INCOMING);
                ends.insert(worker.id, Ends { sender, messages, channel: None });
                parts.insert(worker.id, (outbox, deliver));
            }
            move |mut primary: Primary| {
                primary.thaw(state, parts, &clock, Sharing::of(descriptors));
                primary
            }
        })?;
        *self.link.lock() = Some(link);
        Ok(ends)
    }
}

/// What a worker has in common with its job.
type Parts = (Outbox, mpsc::Sender<AppMessage>);

impl Primary {
    /// Everything it has. Nothing may be done with it afterwards.
    pub(super) fn freeze(mut self, clock: &Clock) -> (ClusterState, Descriptors) {
        let mut shared = Shared::default();
        let workers = std::mem::take(&mut self.workers);
        let listeners = std::mem::take(&mut self.listeners);
        let mut state = ClusterState {
            descriptors: Vec::new(),
            next_listener: self.next_listener,
            next_seq: self.next_seq,
            workers: workers.into_iter().map(|(id, worker)| worker.freeze(id, clock, &mut shared)).collect(),
            listeners: listeners
                .into_iter()
                .map(|(id, listener)| listener.freeze(id, clock, &mut shared))
                .collect(),
            missed_sockets: self
                .missed_sockets
                .into_iter()
                .map(|(worker, held)| (worker, held.freeze(&mut shared)))
                .collect(),
            postponed: self.postponed,
            left: self.left.into_iter().map(|(place, at)| (place.freeze(), clock.tell(at))).collect(),
        };
        let descriptors = shared.into_descriptors();
        state.descriptors = descriptors.numbers();
        (state, descriptors)
    }

    fn thaw(
        &mut self,
        state: ClusterState,
        mut parts: BTreeMap<u64, Parts>,
        clock: &Clock,
        mut sharing: Sharing,
    ) {
        self.next_listener = state.next_listener;
        self.next_seq = state.next_seq;
        self.postponed = state.postponed;
        let held = |(worker, held)| Some((worker, Held::thaw(held, &mut sharing).ok()?));
        self.missed_sockets = state.missed_sockets.into_iter().filter_map(held).collect();
        self.left =
            state.left.into_iter().map(|(place, at)| (Place::thaw(place), clock.moment(at))).collect();
        for listener in state.listeners {
            let (id, key) = (listener.id, listener.key.clone());
            match Listener::thaw(listener, self.limits.direct_above, clock, &mut sharing) {
                Ok(listener) => drop(self.listeners.insert(id, listener)),
                Err(error) => self.journal.error(format_args!("{key} is lost: {error}")),
            }
        }
        for worker in state.workers {
            let (id, app) = (worker.id, worker.app.clone());
            let Some(parts) = parts.remove(&id) else { continue };
            match Worker::thaw(worker, parts, clock, &mut sharing) {
                Ok(worker) => drop(self.workers.insert(id, worker)),
                Err(error) => self.journal.error(format_args!("App [{app}] has lost its channel: {error}")),
            }
        }
        self.go_on_with_workers();
        self.go_on_with_listeners();
        self.later(Duration::ZERO, Timer::Deal);
        self.later(Duration::ZERO, Timer::Ask);
        self.later(Duration::ZERO, Timer::Resend);
    }

    fn go_on_with_workers(&mut self) {
        let ids: Vec<u64> = self.workers.keys().copied().collect();
        for id in ids {
            let Some(worker) = self.workers.get(&id) else { continue };
            if let Some(channel) = &worker.channel {
                self.watch_channel(id, channel, &worker.info.app);
                self.unread.insert(id);
                self.later(Duration::ZERO, Timer::Send(id));
            }
            self.later(Duration::ZERO, Timer::Deliver(id));
        }
    }

    fn go_on_with_listeners(&mut self) {
        let ids: Vec<usize> = self.listeners.keys().copied().collect();
        for id in ids {
            let Some(listener) = self.listeners.get(&id) else { continue };
            let is_ours = |(n, socket): &(usize, &GroupSocket)| *n == 0 || socket.owner.is_none();
            let watched: Vec<usize> = match listener.way {
                Way::Share => Vec::new(),
                Way::Deal | Way::Steer => {
                    listener.sockets.iter().enumerate().filter(is_ours).map(|(n, _)| n).collect()
                }
            };
            if listener.deserted.is_some() {
                self.later(Duration::ZERO, Timer::Desert(id));
            }
            for n in watched {
                self.watch(id, n, true);
            }
            if let Some(wanted) = self.wanted_steering(id) {
                self.steer(id, wanted);
            }
        }
    }
}

impl Worker {
    fn freeze(self, id: u64, clock: &Clock, shared: &mut Shared) -> WorkerState {
        let WorkerInfo { app, job, foreign, policy, sticky } = self.info;
        let unaccepted = |unaccepted: Unaccepted| UnacceptedState {
            seq: unaccepted.seq,
            listener: unaccepted.listener,
            since: clock.tell(unaccepted.since),
            connection: unaccepted.connection.freeze(clock, shared),
        };
        WorkerState {
            id,
            app,
            job,
            foreign,
            policy: policy.name().to_owned(),
            sticky,
            unaccepted: self.unaccepted.into_iter().map(unaccepted).collect(),
            channel: self.channel.map(|channel| channel.freeze(shared)),
            undelivered: self.undelivered.into_iter().map(AppMessage::freeze).collect(),
            leaving: self.leaving,
            rests_until: self.rests_until.map(|until| clock.tell(until)),
        }
    }

    fn thaw(state: WorkerState, parts: Parts, clock: &Clock, sharing: &mut Sharing) -> io::Result<Worker> {
        let (outbox, deliver) = parts;
        let unaccepted = |state: UnacceptedState, sharing: &mut Sharing| {
            Ok(Unaccepted {
                seq: state.seq,
                listener: state.listener,
                connection: Connection::thaw(state.connection, clock, sharing)?,
                since: clock.moment(state.since),
            })
        };
        Ok(Worker {
            info: WorkerInfo {
                app: state.app,
                job: state.job,
                foreign: state.foreign,
                policy: Policy::by_name(&state.policy).unwrap_or_default(),
                sticky: state.sticky,
            },
            // With a channel that is closed the job has to learn of it, once it has heard everything.
            deliver: (state.channel.is_some() || !state.undelivered.is_empty()).then_some(deliver),
            channel: state.channel.map(|channel| Channel::thaw(channel, outbox, sharing)).transpose()?,
            undelivered: state.undelivered.into_iter().map(AppMessage::thaw).collect(),
            unaccepted: state
                .unaccepted
                .into_iter()
                .map(|state| unaccepted(state, sharing))
                .collect::<io::Result<_>>()?,
            leaving: state.leaving,
            rests_until: state.rests_until.map(|until| clock.moment(until)),
        })
    }
}

impl Connection {
    fn freeze(self, clock: &Clock, shared: &mut Shared) -> ConnectionState {
        ConnectionState {
            socket: shared.keep_share(self.socket),
            address: self.address,
            since: clock.tell(self.since),
            n_failed: self.n_failed,
        }
    }

    fn thaw(state: ConnectionState, clock: &Clock, sharing: &mut Sharing) -> io::Result<Connection> {
        Ok(Connection {
            socket: sharing.take_share(state.socket)?,
            address: state.address,
            since: clock.moment(state.since),
            n_failed: state.n_failed,
        })
    }
}

impl Place {
    fn freeze(self) -> PlaceState {
        match self {
            Place::Tcp(port) => PlaceState::Tcp(port),
            Place::Udp(port) => PlaceState::Udp(port),
            Place::Path(path) => PlaceState::Path(path),
        }
    }

    fn thaw(state: PlaceState) -> Place {
        match state {
            PlaceState::Tcp(port) => Place::Tcp(port),
            PlaceState::Udp(port) => Place::Udp(port),
            PlaceState::Path(path) => Place::Path(path),
        }
    }
}

impl Listener {
    fn freeze(self, id: usize, clock: &Clock, shared: &mut Shared) -> ListenerState {
        let tell = |moment: Option<Instant>| moment.map(|moment| clock.tell(moment));
        ListenerState {
            id,
            app: self.app,
            key: self.key,
            place: self.place.freeze(),
            way: match self.way {
                Way::Deal => WayState::Deal,
                Way::Steer => WayState::Steer,
                Way::Share => WayState::Share,
            },
            sticky: self.sticky,
            sockets: self
                .sockets
                .into_iter()
                .map(|socket| (shared.keep_share(socket.socket), socket.owner))
                .collect(),
            backlog: self.backlog,
            shown_address: self.shown_address,
            data: self.data,
            members: self.members.iter().map(|member| (member.worker, tell(member.rests_until))).collect(),
            kept_for: self.kept_for,
            deserted: tell(self.deserted),
            waiting: self.waiting.into_iter().map(|waiting| waiting.freeze(clock, shared)).collect(),
            is_direct: self.pace.is_direct(),
            last: self.last,
            path: self.path.and_then(BoundPath::into_path),
        }
    }

    fn thaw(
        state: ListenerState,
        direct_above: u32,
        clock: &Clock,
        sharing: &mut Sharing,
    ) -> io::Result<Listener> {
        let moment = |ms: Option<i64>| ms.map(|ms| clock.moment(ms));
        let sockets = state.sockets.into_iter().map(|(socket, owner)| {
            let socket = sharing.take_share(socket)?;
            Ok(GroupSocket { socket, owner, ready: false, n_waiting: 0, n_stuck: 0 })
        });
        let sockets: Vec<GroupSocket> = sockets.collect::<io::Result<_>>()?;
        if sockets.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Listener {
            app: state.app,
            key: state.key,
            place: Place::thaw(state.place),
            way: match state.way {
                WayState::Deal => Way::Deal,
                WayState::Steer => Way::Steer,
                WayState::Share => Way::Share,
            },
            sticky: state.sticky,
            sockets,
            backlog: state.backlog,
            shown_address: state.shown_address,
            data: state.data,
            members: state
                .members
                .into_iter()
                .map(|(worker, rests_until)| Member { worker, rests_until: moment(rests_until) })
                .collect(),
            kept_for: state.kept_for,
            deserted: moment(state.deserted),
            waiting: state
                .waiting
                .into_iter()
                .map(|waiting| Connection::thaw(waiting, clock, sharing))
                .collect::<io::Result<_>>()?,
            pace: Pace::resume(direct_above, state.is_direct, Instant::now()),
            steering: Steering::First,
            last: state.last,
            out_of_descriptors: None,
            path: state.path.map(BoundPath::at),
        })
    }
}
