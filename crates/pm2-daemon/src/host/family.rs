//! Who belongs to a process that was started for an app.

use std::path::{Path, PathBuf};

use super::{ProcessHost, Relative, Tracking};
use crate::handover::KinState;
use crate::sys::{
    ProcessWatch, Standing, cgroup_members, children, group_exists, group_members, parent_of, remove_cgroup,
    standing_of, variables_of,
};

/// A chain of parents deeper than this is an attack.
const MAX_DEPTH: usize = 256;

/// What tells the family of an app's process from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kin {
    /// The process itself, which began as leader of its group, and of its session unless it is a worker.
    pub(crate) root: i32,
    /// It has ended and was reaped: its number is its own only as a session and as a group.
    pub(crate) root_ended: bool,
    /// `pm_id`, a variable that its descendants inherit.
    pub(crate) id: u32,
    /// `pm_uptime`, another one: epoch ms of its start.
    pub(crate) started: i64,
    /// The control group that was made for it.
    pub(crate) group: Option<PathBuf>,
}

impl Kin {
    pub(crate) fn freeze(&self) -> KinState {
        KinState { root: self.root, started: self.started, group: self.group.clone() }
    }

    /// How descendants are found that are not its children any more.
    pub(crate) fn tracking(&self, host: &dyn ProcessHost) -> Tracking {
        if self.group.is_some() { Tracking::Cgroup } else { host.tracking() }
    }

    /// Of a process of that job.
    pub(crate) fn thaw(state: KinState, id: u32, root_ended: bool) -> Kin {
        Kin { root: state.root, root_ended, id, started: state.started, group: state.group }
    }

    /// Whether an orphan is a descendant: it has the variables, or is in the same session or group and has no others. A
    /// number that was free for a while may be the session of another app by now.
    fn has(&self, standing: Standing, variables: &[Vec<u8>]) -> bool {
        let value_of = |key: &str| {
            variables.iter().find_map(|pair| pair.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
        };
        match (value_of("pm_id"), value_of("pm_uptime")) {
            (Some(id), Some(started)) => {
                id == self.id.to_string().as_bytes() && started == self.started.to_string().as_bytes()
            }
            _ => standing.session == self.root || standing.group == self.root,
        }
    }
}

/// All descendants that live, beside those that are known. `orphans` are the children of this process that it has not
/// started itself; `None` when orphans go elsewhere. With a control group they need not be looked at; an empty one goes.
pub(super) fn find(
    kin: &Kin,
    orphans: impl FnOnce() -> Option<Vec<i32>>,
    known: &[Box<dyn Relative>],
) -> Vec<ProcessWatch> {
    let mut search = Search { seen: known.iter().map(|known| known.pid()).collect(), found: Vec::new() };
    if !kin.root_ended {
        search.below(kin.root, 0);
    } else if kin.group.as_deref().is_some_and(remove_cgroup) {
        // Nobody was in there.
        return Vec::new();
    }
    for parent in known {
        let before = search.found.len();
        search.below(parent.pid(), 0);
        // If it was alive all the time, these are its own.
        if parent.is_gone() {
            search.found.truncate(before);
        }
    }
    if let Some(group) = &kin.group {
        search.members(group, kin.root);
    } else if let Some(orphans) = orphans() {
        for orphan in orphans {
            search.orphan(orphan, kin);
        }
    } else if kin.root_ended && group_exists(kin.root) {
        for pid in group_members(kin.root) {
            search.take(pid, || standing_of(pid).is_some_and(|now| now.group == kin.root));
        }
    }
    search.found
}

struct Search {
    seen: Vec<i32>,
    found: Vec<ProcessWatch>,
}

impl Search {
    /// All descendants of a living process, each parent after its children.
    fn below(&mut self, parent: i32, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        for pid in children(parent) {
            if self.seen.contains(&pid) {
                continue;
            }
            let Some(watch) = ProcessWatch::open(pid) else { continue };
            // Between the look and the opening the pid may have changed hands.
            if parent_of(pid) != Some(parent) {
                continue;
            }
            self.seen.push(pid);
            self.below(pid, depth + 1);
            self.found.push(watch);
        }
    }

    /// A child that was adopted, with its descendants, if it belongs to the family.
    fn orphan(&mut self, pid: i32, kin: &Kin) {
        if self.seen.contains(&pid) || pid == kin.root {
            return;
        }
        let Some(watch) = ProcessWatch::open(pid) else { return };
        let is_kin = standing_of(pid).is_some_and(|standing| kin.has(standing, &variables_of(pid)));
        if is_kin && !watch.is_gone() {
            self.seen.push(pid);
            self.below(pid, 0);
            self.found.push(watch);
        }
    }

    /// Whoever else is in the control group.
    fn members(&mut self, group: &Path, root: i32) {
        let new = |pid: &i32| *pid != root && !self.seen.contains(pid);
        let watched: Vec<ProcessWatch> =
            cgroup_members(group).into_iter().filter(new).filter_map(ProcessWatch::open).collect();
        if watched.is_empty() {
            return;
        }
        // Between the look and the opening a pid may have changed hands.
        let still = cgroup_members(group);
        for watch in watched {
            if still.contains(&watch.pid()) && !watch.is_gone() {
                self.seen.push(watch.pid());
                self.found.push(watch);
            }
        }
    }

    /// A process that is part of the family if that holds while it is watched.
    fn take(&mut self, pid: i32, holds: impl FnOnce() -> bool) {
        if self.seen.contains(&pid) {
            return;
        }
        if let Some(watch) = ProcessWatch::open(pid)
            && holds()
        {
            self.seen.push(pid);
            self.found.push(watch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kin() -> Kin {
        Kin { root: 100, root_ended: true, id: 3, started: 1_700_000_000_123, group: None }
    }

    fn variables(pairs: &[&str]) -> Vec<Vec<u8>> {
        pairs.iter().map(|pair| pair.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_session_or_a_group_is_enough() {
        assert!(kin().has(Standing { group: 7, session: 100 }, &[]));
        assert!(kin().has(Standing { group: 100, session: 7 }, &variables(&["PATH=/bin"])));
        assert!(!kin().has(Standing { group: 7, session: 7 }, &[]));
    }

    #[test]
    fn an_app_that_has_got_the_same_number_is_another_one() {
        let standing = Standing { group: 100, session: 100 };
        assert!(!kin().has(standing, &variables(&["pm_id=4", "pm_uptime=1700000009999"])));
    }

    #[test]
    fn in_a_session_of_its_own_both_variables_tell() {
        let own = Standing { group: 200, session: 200 };
        let has = |pairs: &[&str]| kin().has(own, &variables(pairs));
        assert!(has(&["PATH=/bin", "pm_id=3", "pm_uptime=1700000000123"]));
        // Another instance, an earlier process of the same one, somebody else.
        assert!(!has(&["pm_id=33", "pm_uptime=1700000000123"]));
        assert!(!has(&["pm_id=3", "pm_uptime=1700000000122"]));
        assert!(!has(&["pm_id=3"]));
    }
}
