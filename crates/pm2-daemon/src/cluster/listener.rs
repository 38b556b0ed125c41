//! One address on which the workers of an app listen.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use super::frames::WorkerFrame;
use super::pace::Pace;
use super::socket::BoundPath;
use crate::sys::Steering;

/// How connections come to the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The daemon accepts them and hands them over.
    Deal,
    /// The same at low rates; at high rates the kernel sends them to a socket of each worker.
    Steer,
    /// All workers accept on one socket.
    Share,
}

/// What a listener is bound to; nobody else can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(i64),
    Udp(i64),
    Path(String),
}

impl Place {
    /// Where a worker wants to listen.
    pub(super) fn of(frame: &WorkerFrame<'_>) -> Place {
        let port = frame.port.unwrap_or(0);
        match frame.address_type() {
            "-1" => Place::Path(frame.address.clone().unwrap_or_default()),
            "udp4" | "udp6" => Place::Udp(port),
            _ => Place::Tcp(port),
        }
    }
}

pub(super) struct Listener {
    pub(super) app: String,
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) way: Way,
    /// A client's address decides who serves it.
    pub(super) sticky: bool,
    /// The daemon's own first; with [`Way::Steer`] then one for each worker. They outlive workers: closing one would
    /// reset the connections that wait on it.
    pub(super) sockets: Vec<GroupSocket>,
    pub(super) backlog: i32,
    /// What `server.address()` shows where the worker has no socket of its own, JSON.
    pub(super) shown_address: Option<String>,
    /// Session ticket keys of the first TLS worker, echoed to the others, JSON.
    pub(super) data: Option<String>,
    pub(super) members: Vec<Member>,
    /// Jobs whose next worker is expected to listen here again.
    pub(super) kept_for: BTreeSet<u32>,
    /// Since when nobody listens.
    pub(super) deserted: Option<Instant>,
    /// Accepted and not yet with a worker.
    pub(super) waiting: VecDeque<Connection>,
    pub(super) pace: Pace,
    pub(super) steering: Steering,
    /// Who got the last connection.
    pub(super) last: u64,
    /// No descriptor was left for a connection; tried again then.
    pub(super) out_of_descriptors: Option<Instant>,
    /// Goes with the listener.
    pub(super) path: Option<BoundPath>,
}

/// A listening socket, kept open for as long as the listener is.
pub(super) struct GroupSocket {
    pub(super) socket: Rc<OwnedFd>,
    /// Whose it is; the daemon accepts on those that are nobody's.
    pub(super) owner: Option<u64>,
    /// Connections may wait that the daemon has not seen.
    pub(super) ready: bool,
    /// Connections that waited at the last look.
    pub(super) n_waiting: u32,
    /// Looks in a row at which some waited and none had gone.
    pub(super) n_stuck: u32,
}

impl GroupSocket {
    pub(super) fn new(socket: OwnedFd, owner: Option<u64>) -> GroupSocket {
        GroupSocket { socket: Rc::new(socket), owner, ready: false, n_waiting: 0, n_stuck: 0 }
    }
}

/// A worker that listens.
pub(super) struct Member {
    pub(super) worker: u64,
    /// It refused a connection: its server is full or closing.
    pub(super) rests_until: Option<Instant>,
}

/// A client that no worker has accepted yet.
pub(super) struct Connection {
    pub(super) socket: Rc<OwnedFd>,
    /// The client's address where it matters.
    pub(super) address: Option<IpAddr>,
    pub(super) since: Instant,
    /// Hand-overs that failed.
    pub(super) n_failed: u8,
}

/// Connections that the daemon takes before it leaves the rest to the system's queue.
const MAX_WAITING: usize = 64;
/// The same where one slow worker would hold up the clients of all others.
const MAX_WAITING_STICKY: usize = 1024;

impl Listener {
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= if self.sticky { MAX_WAITING_STICKY } else { MAX_WAITING }
    }

    pub(super) fn has(&self, worker: u64) -> bool {
        self.members.iter().any(|member| member.worker == worker)
    }

    /// The number of a worker's own socket.
    pub(super) fn socket_of(&self, worker: u64) -> Option<usize> {
        self.sockets.iter().position(|socket| socket.owner == Some(worker))
    }

    /// Where new connections should go, given who can take some.
    pub(super) fn steering_for(&self, live: &[u64]) -> Steering {
        let over: Vec<u32> =
            live.iter().filter_map(|worker| u32::try_from(self.socket_of(*worker)?).ok()).collect();
        if over.is_empty() {
            Steering::First
        } else if live.len() == 1 {
            // There is nothing to choose.
            Steering::Spread { over, first_every: None }
        } else if self.pace.is_direct() {
            Steering::Spread { over, first_every: Some(super::pace::SAMPLE) }
        } else {
            Steering::First
        }
    }
}
