//! Ending a process and everything it started.

use std::time::Duration;

use tokio::time::Instant;

use super::process::Process;
use super::spec::AppSpec;
use crate::host::{Kin, ProcessHost, Relative};
use crate::ipc::AppMessage;
use crate::journal::Journal;
use crate::settings::Settings;
use crate::sys::{Exit, Signal, kill_cgroup};

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
    /// How the main process has ended, if it has meanwhile.
    pub(crate) root: Option<Exit>,
}

/// Ends a process: asks, waits, insists. Returns as soon as the last member of the tree is gone.
///
/// The tree is the family of the process at the time of the request, and whoever is found when that is gone.
/// Messages of the app and orders for the job are handed on while it shuts down. `hurried` cuts the waiting short.
///
/// # Errors
/// When something is still alive one `timeout` after SIGKILL.
pub(crate) async fn end<Order>(
    host: &dyn ProcessHost,
    process: &mut Process,
    plan: &KillPlan,
    journal: &Journal,
    orders: &mut tokio::sync::mpsc::UnboundedReceiver<Order>,
    hurried: impl Future<Output = ()>,
    mut meanwhile: impl FnMut(Meanwhile<Order>),
) -> Result<Exit, Survivors> {
    let pid = process.pid;
    let mut tree = Tree::new(host, process.kin.clone(), plan.tree);
    let mut ended = None;
    tree.find();
    let asked = plan.by_message && process.channel.send("\"shutdown\"").is_ok();
    if !asked {
        tree.signal(plan.signal);
    }
    let mut signal = (!asked).then_some(plan.signal);
    let asked_at = Instant::now();
    let mut deadline = asked_at + plan.timeout;
    let mut killed = false;
    let mut messages_open = true;
    let mut orders_open = true;
    let mut patient = true;
    tokio::pin!(hurried);
    loop {
        tokio::select! {
            biased;
            exit = &mut process.exit, if ended.is_none() => {
                ended = Some(exit);
                tree.kin.root_ended = true;
            }
            () = tree.others_gone(), if ended.is_some() => {
                if !tree.find_leftovers(signal) {
                    host.leave(&tree.kin);
                    return Ok(ended.expect("checked by the guard"));
                }
            }
            message = process.messages.recv(), if messages_open => match message {
                Some(message) => meanwhile(Meanwhile::Message(message)),
                None => messages_open = false,
            },
            order = orders.recv(), if orders_open => match order {
                Some(order) => meanwhile(Meanwhile::Order(order, ended.is_none().then_some(pid))),
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
                    host.leave(&tree.kin);
                    return Err(Survivors { root: ended });
                }
                journal.log(format_args!(
                    "Process with pid {pid} still alive after {}ms, sending SIGKILL to {left} remaining pids...",
                    // Less, if it was cut short.
                    asked_at.elapsed().min(plan.timeout).as_millis()
                ));
                killed = true;
                signal = Some(Signal::KILL);
                tree.signal(Signal::KILL);
                deadline = Instant::now() + plan.timeout;
            }
        }
    }
}

/// Ends those whom a process has left behind that has ended by itself.
///
/// # Errors
/// As [`end`].
pub(crate) async fn end_family(
    host: &dyn ProcessHost,
    kin: &Kin,
    plan: &KillPlan,
    journal: &Journal,
    hurried: impl Future<Output = ()>,
) -> Result<(), Survivors> {
    let mut tree = Tree::new(host, Kin { root_ended: true, ..kin.clone() }, plan.tree);
    let mut signal = plan.signal;
    let mut deadline = Instant::now() + plan.timeout;
    let mut killed = false;
    tokio::pin!(hurried);
    while tree.find_leftovers(Some(signal)) {
        tokio::select! {
            biased;
            () = tree.others_gone() => continue,
            () = &mut hurried, if !killed => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
        if killed {
            host.leave(kin);
            return Err(Survivors { root: None });
        }
        journal.log(format_args!(
            "{} processes that pid {} has left are still alive, sending SIGKILL",
            tree.n_alive(),
            kin.root
        ));
        killed = true;
        signal = Signal::KILL;
        deadline = Instant::now() + plan.timeout;
    }
    host.leave(kin);
    Ok(())
}

struct Tree<'a> {
    host: &'a dyn ProcessHost,
    kin: Kin,
    /// Everyone but the root, each parent after its children.
    others: Vec<Box<dyn Relative>>,
    whole: bool,
}

impl Tree<'_> {
    fn new(host: &dyn ProcessHost, kin: Kin, whole: bool) -> Tree<'_> {
        Tree { host, kin, others: Vec::new(), whole }
    }

    /// Adds descendants that are not followed yet, and forgets whoever has ended: its pid may belong to a
    /// stranger by now.
    fn find(&mut self) {
        self.others.retain(|other| {
            let is_gone = other.is_gone();
            if is_gone {
                other.reap();
            }
            !is_gone
        });
        if self.whole {
            let found = self.host.family(&self.kin, &self.others);
            self.others.extend(found);
        }
    }

    fn signal(&self, signal: Signal) {
        if self.whole
            && signal == Signal::KILL
            && let Some(group) = &self.kin.group
        {
            // Also whoever is being started at this moment.
            kill_cgroup(group);
        }
        for other in &self.others {
            other.signal(signal);
        }
        if !self.kin.root_ended {
            // Not reaped yet, so the pid is still this child's; it may be ending by itself.
            drop(self.host.signal(self.kin.root, signal));
        }
    }

    async fn others_gone(&mut self) {
        while let Some(last) = self.others.last() {
            last.gone().await;
            last.reap();
            self.others.pop();
        }
    }

    /// Looks for those that have no parent in the tree any more, and signals them.
    fn find_leftovers(&mut self, signal: Option<Signal>) -> bool {
        self.find();
        if let Some(signal) = signal {
            self.signal(signal);
        }
        !self.others.is_empty()
    }

    fn n_alive(&self) -> usize {
        self.others.len() + usize::from(!self.kin.root_ended)
    }
}
