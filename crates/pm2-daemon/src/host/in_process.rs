//! The host that makes the apps children of this very process.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::groups::Groups;
use super::{ExitFuture, Kin, ProcessHost, Relative, Spawned, Tracking, family};
use crate::sys::{
    Adoption, Launch, Signal, children, poll_for_exit, reap, send_signal, spawn_in_cgroup, spawn_process,
    wait_for_exit,
};

/// Orphans that have ended are looked for at most that often.
const REAPING_PAUSE: Duration = Duration::from_millis(100);

/// Children of the daemon itself; they are reaped one by one, never all that have ended.
pub(crate) struct InProcessHost {
    own: Arc<Own>,
    groups: Option<Arc<Groups>>,
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
    /// Takes in the orphans of its children's children, where the system allows that, and makes control groups if it may
    /// and they are `wanted`. To be called in a runtime.
    pub(crate) fn new(wanted: bool) -> InProcessHost {
        let own = Arc::<Own>::default();
        let groups = wanted.then(Groups::new).flatten().map(Arc::new);
        let tracking = match Adoption::begin() {
            Some(adoption) => {
                tokio::spawn(reap_orphans(own.clone(), groups.clone(), adoption));
                Tracking::Subreaper
            }
            None => Tracking::Group,
        };
        InProcessHost { own, groups, tracking }
    }
}

impl ProcessHost for InProcessHost {
    fn spawn(&self, launch: Launch) -> io::Result<Spawned> {
        let starting = self.own.starting.read();
        let (pid, group) = self.start(&launch)?;
        let exit = self.follow(pid);
        drop(starting);
        Ok(Spawned { pid, exit, group })
    }

    fn tracking(&self) -> Tracking {
        self.tracking
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

    fn family(&self, of: &Kin, known: &[Box<dyn Relative>]) -> Vec<Box<dyn Relative>> {
        let orphans = || (self.tracking == Tracking::Subreaper).then(|| self.own.orphans());
        let found = family::find(of, orphans, known);
        found.into_iter().map(|watch| Box::new(watch) as Box<dyn Relative>).collect()
    }

    fn leave(&self, family: &Kin) {
        if let (Some(groups), Some(group)) = (&self.groups, &family.group) {
            groups.leave(group);
        }
    }
}

impl InProcessHost {
    /// In a group of its own, if that can be had.
    fn start(&self, launch: &Launch) -> io::Result<(i32, Option<PathBuf>)> {
        if let Some(groups) = self.groups.as_ref().filter(|_| launch.is_app)
            && let Some(group) = groups.make()
        {
            match spawn_in_cgroup(launch, &group) {
                Some(Ok(pid)) => return Ok((pid, Some(group))),
                Some(Err(error)) => {
                    groups.leave(&group);
                    return Err(error);
                }
                // This kernel does not.
                None => groups.leave(&group),
            }
        }
        Ok((spawn_process(launch)?, None))
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
async fn reap_orphans(own: Arc<Own>, groups: Option<Arc<Groups>>, adoption: Adoption) {
    loop {
        tokio::time::sleep(REAPING_PAUSE).await;
        // What is being started now would look like an orphan.
        let Some(nobody_starts) = own.starting.try_write() else { continue };
        own.orphans().into_iter().for_each(reap);
        drop(nobody_starts);
        if let Some(groups) = &groups {
            groups.retry();
        }
        adoption.one_has_ended().await;
    }
}
