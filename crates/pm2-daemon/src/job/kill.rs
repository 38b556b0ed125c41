//! Ending a process and everything it started.

use std::time::Duration;

use tokio::time::Instant;

use super::process::Process;
use crate::ipc::AppMessage;
use crate::journal::Journal;
use crate::sys::{Exit, ProcessWatch, Signal, descendants, group_exists, group_members, send_signal};

/// How an app is to be ended.
pub(crate) struct KillPlan {
    pub(crate) signal: Signal,
    /// Ask with the IPC message `shutdown` instead of the signal.
    pub(crate) by_message: bool,
    /// Time until SIGKILL, and again from there until giving up.
    pub(crate) timeout: Duration,
    /// Include all descendants.
    pub(crate) tree: bool,
}

/// Some processes outlived SIGKILL (uninterruptible sleep, or another user's).
#[derive(Debug)]
pub(crate) struct Survivors;

/// Ends a process: asks, waits, insists. Returns as soon as the last member of the tree is gone.
///
/// The tree is the descendants at the time of the request plus whoever is left in the process group.
/// Messages of the app are handed on while it shuts down.
///
/// # Errors
/// When something is still alive one `timeout` after SIGKILL.
pub(crate) async fn end(
    process: &mut Process,
    plan: &KillPlan,
    journal: &Journal,
    mut on_message: impl FnMut(AppMessage),
) -> Result<Exit, Survivors> {
    let pid = process.pid;
    let mut tree = Tree { root: pid, exit: None, others: Vec::new(), whole: plan.tree };
    tree.find();
    let asked = plan.by_message && process.channel.send("\"shutdown\"", None).is_ok();
    if !asked {
        tree.signal(plan.signal);
    }
    let mut signal = (!asked).then_some(plan.signal);
    let mut deadline = Instant::now() + plan.timeout;
    let mut killed = false;
    let mut messages_open = true;
    loop {
        tokio::select! {
            biased;
            exit = &mut process.exit, if tree.exit.is_none() => tree.exit = Some(exit),
            () = tree.others_gone(), if tree.exit.is_some() => {
                if !tree.find_leftovers(signal) {
                    let exit = tree.exit.expect("checked by the guard");
                    return Ok(exit);
                }
            }
            message = process.messages.recv(), if messages_open => match message {
                Some(message) => on_message(message),
                None => messages_open = false,
            },
            () = tokio::time::sleep_until(deadline) => {
                tree.find();
                let left = tree.n_alive();
                if killed {
                    journal.error(format_args!("Process with pid {pid} could not be killed"));
                    return Err(Survivors);
                }
                journal.log(format_args!(
                    "Process with pid {pid} still alive after {}ms, sending SIGKILL to {left} remaining pids...",
                    plan.timeout.as_millis()
                ));
                killed = true;
                signal = Some(Signal::KILL);
                tree.signal(Signal::KILL);
                deadline = Instant::now() + plan.timeout;
            }
        }
    }
}

struct Tree {
    root: i32,
    exit: Option<Exit>,
    /// Everyone but the root, each parent after its children.
    others: Vec<ProcessWatch>,
    whole: bool,
}

impl Tree {
    /// Adds descendants that are not followed yet.
    fn find(&mut self) {
        if !self.whole {
            return;
        }
        let known: Vec<i32> = self.others.iter().map(ProcessWatch::pid).collect();
        let mut found: Vec<i32> = Vec::new();
        if self.exit.is_none() {
            found.extend(descendants(self.root));
        }
        for pid in &known {
            found.extend(descendants(*pid));
        }
        let fresh = found.into_iter().filter(|pid| !known.contains(pid)).filter_map(ProcessWatch::open);
        self.others.extend(fresh);
    }

    fn signal(&self, signal: Signal) {
        for other in &self.others {
            other.signal(signal);
        }
        if self.exit.is_none() {
            // Not reaped yet, so the pid is still this child's; it may be ending by itself.
            drop(send_signal(self.root, signal));
        }
    }

    async fn others_gone(&mut self) {
        while let Some(last) = self.others.last() {
            last.gone().await;
            self.others.pop();
        }
    }

    /// Looks for members of the group that have no parent in the tree any more, and signals them.
    fn find_leftovers(&mut self, signal: Option<Signal>) -> bool {
        if !self.whole || !group_exists(self.root) {
            return false;
        }
        self.others = group_members(self.root).into_iter().filter_map(ProcessWatch::open).collect();
        if let Some(signal) = signal {
            self.signal(signal);
        }
        !self.others.is_empty()
    }

    fn n_alive(&self) -> usize {
        self.others.len() + usize::from(self.exit.is_none())
    }
}
