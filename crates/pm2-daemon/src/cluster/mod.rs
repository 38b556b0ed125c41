//! The primary's half of Node's cluster module.
//!
//! One thread with its own poll serves the channels of all workers, their listening sockets and the connections that
//! are dealt to them, so that nothing else in the daemon can delay an accept. It is started with the first worker.
//! Jobs talk to it by commands. Specification `node-cluster-protocol.md`.
//!
//! [`primary`] holds the state, [`listening`] and [`dealing`] are its parts; [`pace`] and [`choice`] decide, purely.

mod channel;
mod choice;
mod dealing;
mod frames;
mod freeze;
mod listener;
mod listening;
mod pace;
mod primary;
mod socket;
#[cfg(test)]
mod tests;
mod thread;

use std::collections::BTreeSet;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc as commands;

use mio::{Poll, Waker};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::handover::{Clock, ClusterState, Descriptors};
use crate::ipc::{AppMessage, ChannelSender, MAX_INCOMING, Outbox, outbox};
use crate::journal::Journal;
use crate::sys::leave_signals_to_others;

/// How connections are given to the workers of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Policy {
    /// Dealt in turn; at high rates straight to the workers.
    #[default]
    Hybrid,
    /// Always dealt in turn.
    RoundRobin,
    /// Whoever comes first takes them from a common socket.
    Shared,
}

impl Policy {
    /// By the name in an app's `scheduling_policy`.
    pub(crate) fn by_name(name: &str) -> Option<Policy> {
        match name {
            "hybrid" => Some(Policy::Hybrid),
            "rr" => Some(Policy::RoundRobin),
            "shared" | "none" => Some(Policy::Shared),
            _ => None,
        }
    }

    /// The name by which it is found again.
    fn name(self) -> &'static str {
        match self {
            Policy::Hybrid => "hybrid",
            Policy::RoundRobin => "rr",
            Policy::Shared => "shared",
        }
    }
}

/// Settings of the daemon for all apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Connections that may be on their way to one worker.
    pub(crate) window: usize,
    /// New connections per second on one address above which they go straight to the workers.
    pub(crate) direct_above: u32,
}

/// What the primary has to know of a worker.
#[derive(Debug, Clone)]
pub(crate) struct WorkerInfo {
    /// Workers of one app share addresses.
    pub(crate) app: String,
    /// The id of its job, which outlives it.
    pub(crate) job: u32,
    /// Whether it runs as another user than the daemon.
    pub(crate) foreign: bool,
    pub(crate) policy: Policy,
    /// A client's address decides who serves it.
    pub(crate) sticky: bool,
}

enum Command {
    Attach {
        worker: u64,
        info: WorkerInfo,
        stream: UnixStream,
        outbox: Outbox,
        deliver: mpsc::Sender<AppMessage>,
    },
    /// There is something for its channel.
    Flush(u64),
    Drain {
        worker: u64,
        has_runtime: bool,
    },
    DrainIfServed {
        worker: u64,
        has_runtime: bool,
        drains: oneshot::Sender<bool>,
    },
    Leave {
        worker: u64,
        left: oneshot::Sender<Vec<AppMessage>>,
    },
    GiveUp {
        job: u32,
        done: oneshot::Sender<()>,
    },
    Keys {
        worker: u64,
        keys: oneshot::Sender<BTreeSet<String>>,
    },
    /// To end, and to leave everything to whoever goes on.
    Freeze {
        clock: Clock,
        frozen: oneshot::Sender<(ClusterState, Descriptors)>,
    },
}

/// The thread, as jobs see it.
pub(crate) struct ClusterPrimary {
    journal: Journal,
    limits: Limits,
    link: Mutex<Option<Link>>,
}

#[derive(Clone)]
struct Link {
    commands: commands::Sender<Command>,
    waker: Arc<Waker>,
}

impl Link {
    fn send(&self, command: Command) {
        // The thread ends only with the daemon; whoever waits for an answer then hears that there is none.
        if self.commands.send(command).is_ok() {
            drop(self.waker.wake());
        }
    }

    /// Tells of something new for a worker's channel.
    fn wake_for(&self, worker: u64) -> Arc<dyn Fn() + Send + Sync> {
        let link = self.clone();
        Arc::new(move || link.send(Command::Flush(worker)))
    }
}

impl ClusterPrimary {
    pub(crate) fn new(journal: Journal, limits: Limits) -> ClusterPrimary {
        ClusterPrimary { journal, limits, link: Mutex::new(None) }
    }

    /// Serves the channel of a new worker: returns the sender and the stream of its messages, which ends when the
    /// channel does.
    ///
    /// # Errors
    /// When the system gives no thread or no poll descriptor.
    pub(crate) fn attach(
        &self,
        worker: u64,
        info: WorkerInfo,
        stream: UnixStream,
    ) -> io::Result<(ChannelSender, mpsc::Receiver<AppMessage>)> {
        let link = self.started()?;
        let (sender, outbox) = outbox(Some(link.wake_for(worker)), 0);
        let (deliver, incoming) = mpsc::channel(MAX_INCOMING);
        link.send(Command::Attach { worker, info, stream, outbox, deliver });
        Ok((sender, incoming))
    }

    /// Gives a worker nothing new and lets it finish what it has; then it closes its channel. Without the app runtime
    /// it only closes its servers.
    pub(crate) fn drain(&self, worker: u64, has_runtime: bool) {
        if let Some(link) = self.link() {
            link.send(Command::Drain { worker, has_runtime });
        }
    }

    /// Drains a worker if others go on serving wherever it listens; says whether.
    pub(crate) async fn drain_if_served(&self, worker: u64, has_runtime: bool) -> bool {
        self.ask(|drains| Command::DrainIfServed { worker, has_runtime, drains }).await.unwrap_or_default()
    }

    /// Forgets a worker whose process has ended, and gives the last messages for which its job had no room. Its
    /// sockets stay for the next worker of the job.
    pub(crate) async fn leave(&self, worker: u64) -> Vec<AppMessage> {
        self.ask(|left| Command::Leave { worker, left }).await.unwrap_or_default()
    }

    /// Closes what was kept for the next worker of a job.
    pub(crate) async fn give_up(&self, job: u32) {
        self.ask(|done| Command::GiveUp { job, done }).await;
    }

    /// The keys of the sockets that a worker has.
    pub(crate) async fn keys_of(&self, worker: u64) -> BTreeSet<String> {
        self.ask(|keys| Command::Keys { worker, keys }).await.unwrap_or_default()
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let link = self.link()?;
        let (answer, answered) = oneshot::channel();
        link.send(command(answer));
        answered.await.ok()
    }

    fn link(&self) -> Option<Link> {
        self.link.lock().clone()
    }

    fn started(&self) -> io::Result<Link> {
        let mut link = self.link.lock();
        if let Some(link) = &*link {
            return Ok(link.clone());
        }
        let started = self.start(|_| |primary| primary)?;
        *link = Some(started.clone());
        Ok(started)
    }

    /// Starts the thread with a primary that was prepared.
    fn start<Prepare>(&self, prepare: impl FnOnce(&Link) -> Prepare) -> io::Result<Link>
    where
        Prepare: FnOnce(primary::Primary) -> primary::Primary + Send + 'static,
    {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), primary::Source::Waker.token())?);
        let (commands, received) = commands::channel();
        let registry = poll.registry().try_clone()?;
        let (journal, limits) = (self.journal.clone(), self.limits);
        let link = Link { commands, waker };
        let prepare = prepare(&link);
        std::thread::Builder::new().name("cluster".to_owned()).stack_size(512 * 1024).spawn(move || {
            leave_signals_to_others();
            // Made here, because its descriptors are counted without locks.
            thread::run(poll, &received, prepare(primary::Primary::new(registry, journal, limits)));
        })?;
        Ok(link)
    }
}
