//! Apps that are restarted when files change.
//!
//! One thread with one handle of the system's file notification serves all apps that do not want polling: it watches folders, so that the
//! number of files does not matter, and leaves out what is ignored, so that `node_modules` costs nothing. [`plan`]
//! decides, purely, what concerns an app.

mod burst;
mod links;
mod plan;
mod tree;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc as inputs};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::mpsc;

pub(crate) use burst::Burst;
pub(crate) use plan::WatchPlan;

use crate::journal::Journal;
use crate::sys::{leave_signals_to_others, without_signals};

/// Changes that may wait for a job; it needs no more than one.
const MAX_CHANGES: usize = 16;

/// What the thread is told.
pub(crate) enum Input {
    Event(notify::Result<notify::Event>),
    Subscribe {
        id: u64,
        plan: Arc<WatchPlan>,
        changes: mpsc::Sender<PathBuf>,
        /// What has been written since then counts as changed.
        since: Option<SystemTime>,
    },
    Unsubscribe {
        id: u64,
    },
}

/// The threads, as jobs see them: one for those who are told by the system, one for each pace of looking oneself. Each is
/// started with its first app.
pub(crate) struct Watches {
    journal: Journal,
    inputs: Mutex<BTreeMap<Option<Duration>, inputs::Sender<Input>>>,
    next: AtomicU64,
}

/// The changes of one app; dropped, they are not looked for any more.
pub(crate) struct Subscription {
    pub(crate) changes: mpsc::Receiver<PathBuf>,
    id: u64,
    inputs: inputs::Sender<Input>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // The thread ends only with the daemon.
        drop(self.inputs.send(Input::Unsubscribe { id: self.id }));
    }
}

impl Watches {
    pub(crate) fn new(journal: Journal) -> Watches {
        Watches { journal, inputs: Mutex::default(), next: AtomicU64::new(0) }
    }

    /// Whoever holds the other end says what changes, unless it is to be polled for.
    #[cfg(test)]
    pub(crate) fn scripted(journal: Journal) -> (Watches, inputs::Receiver<Input>) {
        let (inputs, received) = inputs::channel();
        let inputs = Mutex::new([(None, inputs)].into());
        (Watches { journal, inputs, next: AtomicU64::new(0) }, received)
    }

    /// Begins to look for changes, and goes on where somebody has looked for them until `since`; the folders are walked
    /// on the thread.
    ///
    /// # Errors
    /// When the system gives no thread or no handle (`fs.inotify.max_user_instances`).
    pub(crate) fn subscribe(
        &self,
        plan: Arc<WatchPlan>,
        since: Option<SystemTime>,
    ) -> Result<Subscription, String> {
        let inputs = self.started(plan.polling)?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (changes, received) = mpsc::channel(MAX_CHANGES);
        drop(inputs.send(Input::Subscribe { id, plan, changes, since }));
        Ok(Subscription { changes: received, id, inputs })
    }

    fn started(&self, polling: Option<Duration>) -> Result<inputs::Sender<Input>, String> {
        let mut started = self.inputs.lock();
        if let Some(inputs) = started.get(&polling) {
            return Ok(inputs.clone());
        }
        let (inputs, received) = inputs::channel();
        let events = inputs.clone();
        let handler = move |event| drop(events.send(Input::Event(event)));
        // It starts a thread.
        let watcher = without_signals(|| watcher(handler, polling))
            .map_err(|error| format!("cannot watch files: {error}"))?;
        let journal = self.journal.clone();
        std::thread::Builder::new()
            .name("watch".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || {
                leave_signals_to_others();
                tree::run(watcher, &received, &journal);
            })
            .map_err(|error| format!("cannot watch files: {error}"))?;
        started.insert(polling, inputs.clone());
        Ok(inputs)
    }
}

/// What tells of changes: the system, or looking at every file again and again, for folders of other machines.
fn watcher(
    handler: impl notify::EventHandler,
    polling: Option<Duration>,
) -> notify::Result<Box<dyn notify::Watcher + Send>> {
    Ok(match polling {
        None => Box::new(notify::recommended_watcher(handler)?),
        Some(interval) => {
            let config = notify::Config::default().with_poll_interval(interval);
            Box::new(notify::PollWatcher::new(handler, config)?)
        }
    })
}

#[cfg(test)]
mod tests;
