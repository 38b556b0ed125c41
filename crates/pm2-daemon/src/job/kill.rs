//! Ending a process and everything it started.

use std::time::Duration;

use tokio::time::Instant;

use super::process::Process;
use super::spec::AppSpec;
use crate::ipc::AppMessage;
use crate::journal::Journal;
use crate::settings::Settings;
use crate::sys::{Exit, ProcessWatch, Signal, children, group_exists, group_members, parent_of, send_signal};

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

impl KillPlan {
    /// As the app wants to be ended, else as the daemon does it.
    pub(super) fn new(spec: &AppSpec, settings: &Settings) -> KillPlan {
        KillPlan {
            signal: settings.kill_signal,
            by_message: spec.shutdown_with_message || settings.kill_use_message,
            timeout: spec.kill_timeout.unwrap_or(settings.kill_timeout),
            tree: spec.treekill,
        }
    }
}

/// What happens while a process is being ended.
pub(crate) enum Meanwhile<Order> {
    /// The app says something.
    Message(AppMessage),
    /// Somebody wants something of the job; the pid is given as long as the main process lives.
    Order(Order, Option<i32>),
}

/// Some processes outlived SIGKILL (uninterruptible sleep, or another user's).
#[derive(Debug)]
pub(crate) struct Survivors {
    /// The main process has ended and was reaped.
    pub(crate) root_ended: bool,
}

/// Ends a process: asks, waits, insists. Returns as soon as the last member of the tree is gone.
///
/// The tree is the descendants at the time of the request plus whoever is left in the process group.
/// Messages of the app and orders for the job are handed on while it shuts down. `hurried` cuts the waiting short.
///
/// # Errors
/// When something is still alive one `timeout` after SIGKILL.
pub(crate) async fn end<Order>(
    process: &mut Process,
    plan: &KillPlan,
    journal: &Journal,
    orders: &mut tokio::sync::mpsc::UnboundedReceiver<Order>,
    hurried: impl Future<Output = ()>,
    mut meanwhile: impl FnMut(Meanwhile<Order>),
) -> Result<Exit, Survivors> {
    let pid = process.pid;
    let mut tree = Tree { root: pid, exit: None, others: Vec::new(), whole: plan.tree };
    tree.find();
    let asked = plan.by_message && process.channel.send("\"shutdown\"").is_ok();
    if !asked {
        tree.signal(plan.signal);
    }
    let mut signal = (!asked).then_some(plan.signal);
    let mut deadline = Instant::now() + plan.timeout;
    let mut killed = false;
    let mut messages_open = true;
    let mut orders_open = true;
    let mut patient = true;
    tokio::pin!(hurried);
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
                Some(message) => meanwhile(Meanwhile::Message(message)),
                None => messages_open = false,
            },
            order = orders.recv(), if orders_open => match order {
                Some(order) => meanwhile(Meanwhile::Order(order, tree.exit.is_none().then_some(pid))),
                None => orders_open = false,
            },
            () = &mut hurried, if patient => {
                patient = false;
                if !killed {
                    deadline = Instant::now();
                }
            }
            () = tokio::time::sleep_until(deadline) => {
                tree.find();
                let left = tree.n_alive();
                if killed {
                    journal.error(format_args!("Process with pid {pid} could not be killed"));
                    return Err(Survivors { root_ended: tree.exit.is_some() });
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

/// A chain of parents deeper than this is an attack.
const MAX_DEPTH: usize = 256;

impl Tree {
    /// Adds descendants that are not followed yet, and forgets whoever has ended: its pid may belong to a
    /// stranger by now.
    fn find(&mut self) {
        self.others.retain(|other| !other.is_gone());
        if !self.whole {
            return;
        }
        let mut known: Vec<i32> = self.others.iter().map(ProcessWatch::pid).collect();
        let mut found = Vec::new();
        if self.exit.is_none() {
            follow(self.root, &mut known, &mut found, 0);
        }
        for parent in &self.others {
            let mut below = Vec::new();
            follow(parent.pid(), &mut known, &mut below, 0);
            // It was alive all the time, so these are its own.
            if !parent.is_gone() {
                found.append(&mut below);
            }
        }
        self.others.extend(found);
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

/// Follows all descendants of a living process, each parent after its children.
fn follow(parent: i32, known: &mut Vec<i32>, found: &mut Vec<ProcessWatch>, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    for pid in children(parent) {
        if known.contains(&pid) {
            continue;
        }
        let Some(watch) = ProcessWatch::open(pid) else { continue };
        // Between the look and the opening the pid may have changed hands.
        if parent_of(pid) != Some(parent) {
            continue;
        }
        known.push(pid);
        follow(pid, known, found, depth + 1);
        found.push(watch);
    }
}
