//! What the rest of the daemon can ask of a job.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::freeze::Frozen;
use super::update::Update;
use super::view::View;
use crate::sys::Signal;

/// The answer to a command: JSON text, or the text of an error.
pub(crate) type Reply = Result<String, String>;

/// A request to a job's task. Commands of one job are carried out one after the other, so that two
/// clients can neither start it twice nor lose an action.
#[derive(Debug)]
pub(crate) enum Command {
    /// Start if it is not running.
    Start,
    /// The same for a new entry, whose `start` is published.
    StartNew,
    /// Stop if it is running, apply the update, start.
    Restart(Update),
    /// Start the successor of a worker, and end the worker when that one serves; everything else is restarted.
    Reload(Update, Farewell),
    /// Stop and keep.
    Stop,
    /// Stop and forget.
    Delete,
    /// Counters to 0, `created_at` to now.
    ResetMeta,
    /// Send a signal to the main process.
    Signal(Signal),
    /// Send a JSON text over the IPC channel; answered when it is written.
    Message(String),
    /// The same, for an action that the app offers.
    Trigger { action: String, text: String },
    /// Write to standard input.
    Input(String),
    /// Open the log files by their paths again.
    ReopenLogs,
    /// Write the logs to other paths from now on.
    MoveLogs(Arc<BTreeMap<String, String>>),
    /// Switch `watch` on for the working directory, or off.
    Watch(bool),
    /// Set or clear `_km_monitored`.
    Monitor(bool),
    /// Stop all work and give the job itself; it goes on by [`super::thaw`] only.
    Freeze(oneshot::Sender<Frozen>),
}

/// How a replaced worker is ended, once it serves nobody any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// As a stop does.
    Usual,
    /// By the message `shutdown`, with more time.
    Message,
}

/// A command and where its answer goes.
pub(crate) struct Order {
    pub(crate) command: Command,
    pub(crate) answer: oneshot::Sender<Reply>,
}

/// Access to one job; cheap to clone. The job ends when it is deleted.
#[derive(Clone)]
pub(crate) struct JobHandle {
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) view: Arc<Mutex<View>>,
}

impl JobHandle {
    /// Reads the published state without copying it.
    pub(crate) fn peek<Answer>(&self, read: impl FnOnce(&View) -> Answer) -> Answer {
        read(&self.view.lock())
    }

    /// Asks for an end. When somebody else has the job deleted meanwhile, that is one.
    ///
    /// # Errors
    /// What the job answers.
    pub(crate) async fn ask_to_end(&self, command: Command) -> Reply {
        let reply = self.ask(command).await;
        if reply.is_err() && self.orders.is_closed() {
            return Ok(self.peek(|view| view.proc_json(None)));
        }
        reply
    }

    /// Queues a command at once and waits for its answer.
    ///
    /// # Errors
    /// What the job answers; when the job has been deleted meanwhile, that its id is unknown.
    pub(crate) fn ask(&self, command: Command) -> impl Future<Output = Reply> + use<> {
        let (answer, reply) = oneshot::channel();
        let sent = self.orders.send(Order { command, answer }).is_ok();
        let id = self.peek(|view| view.id);
        async move {
            let gone = || format!("{id} : id unknown");
            if !sent {
                return Err(gone());
            }
            reply.await.unwrap_or_else(|_| Err(gone()))
        }
    }
}
