//! The host that makes the apps children of this very process.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use super::{ExitFuture, Kin, ProcessHost, Spawned, Tracking, family};
use crate::sys::{
    Launch, ProcessWatch, Signal, adopt_orphans, children, poll_for_exit, reap, send_signal, spawn_process,
    wait_for_exit,
};

/// Orphans that have ended are looked for at most that often.
const REAPING_PAUSE: Duration = Duration::from_millis(100);

/// Children of the daemon itself; they are reaped one by one, never all that have ended.
pub(crate) struct InProcessHost {
    own: Arc<Own>,
    tracking: Tracking,
}

/// The children that this process has started.
#[derive(Default)]
struct Own {
    pids: Mutex<BTreeSet<i32>>,
    /// Read while a child comes into being, which is nobody's until it is among the pids.
    starting: RwLock<()>,
}

impl InProcessHost {
    /// Takes in the orphans of its children's children, where the system allows that. To be called in a runtime.
    pub(crate) fn new() -> InProcessHost {
        let own = Arc::<Own>::default();
        let tracking = match signal(SignalKind::child()) {
            Ok(ended) if adopt_orphans() => {
                tokio::spawn(reap_orphans(own.clone(), ended));
                Tracking::Subreaper
            }
            _ => Tracking::Group,
        };
        InProcessHost { own, tracking }
    }
}

impl ProcessHost for InProcessHost {
    fn spawn(&self, launch: Launch) -> io::Result<Spawned> {
        let starting = self.own.starting.read();
        let pid = spawn_process(&launch)?;
        let exit = self.follow(pid);
        drop(starting);
        Ok(Spawned { pid, exit, tracking: self.tracking })
    }

    fn follow(&self, pid: i32) -> ExitFuture {
        self.own.pids.lock().insert(pid);
        let own = self.own.clone();
        Box::pin(async move {
            let exit = match wait_for_exit(pid).await {
                Ok(exit) => exit,
                // Without a watch the child cannot be told apart from one that ended: report it
                // so, once it really has, instead of losing it.
                Err(_) => poll_for_exit(pid).await,
            };
            own.pids.lock().remove(&pid);
            exit
        })
    }

    fn signal(&self, pid: i32, signal: Signal) -> io::Result<()> {
        send_signal(pid, signal)
    }

    fn family(&self, of: &Kin, known: &[ProcessWatch]) -> Vec<ProcessWatch> {
        let orphans = (self.tracking == Tracking::Subreaper).then(|| self.own.orphans());
        family::find(of, orphans, known)
    }
}

impl Own {
    /// Children that this process has not started. One that is just being started may be among them.
    fn orphans(&self) -> Vec<i32> {
        let mut all = children(std::process::id().cast_signed());
        let own = self.pids.lock();
        all.retain(|pid| !own.contains(pid));
        all
    }
}

/// Reaps orphans when they have ended: nobody else waits for them.
async fn reap_orphans(own: Arc<Own>, mut ended: SignalStream) {
    loop {
        tokio::time::sleep(REAPING_PAUSE).await;
        // What is being started now would look like an orphan.
        let Some(_nobody_starts) = own.starting.try_write() else { continue };
        own.orphans().into_iter().for_each(reap);
        drop(_nobody_starts);
        if ended.recv().await.is_none() {
            return;
        }
    }
}
