//! The thread: which folders the system is asked about, and for whom.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime};

use notify::event::{EventKind, MetadataKind, ModifyKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::Input;
use super::plan::WatchPlan;
use crate::journal::Journal;

/// Folders nested deeper than this are links that lead in circles.
const MAX_DEPTH: usize = 64;

struct Tree<'a> {
    watcher: RecommendedWatcher,
    journal: &'a Journal,
    subscribers: HashMap<u64, Subscriber>,
    /// Watched folders, each with those who want it.
    folders: HashMap<PathBuf, BTreeSet<u64>>,
    /// While folders are walked: what was written since then counts as changed.
    since: Option<SystemTime>,
}

struct Subscriber {
    plan: Arc<WatchPlan>,
    changes: mpsc::Sender<PathBuf>,
    /// That a folder could not be watched was said.
    complained: bool,
}

/// Follows files until the daemon ends.
pub(super) fn run(watcher: RecommendedWatcher, inputs: &Receiver<Input>, journal: &Journal) {
    let mut tree =
        Tree { watcher, journal, subscribers: HashMap::new(), folders: HashMap::new(), since: None };
    while let Ok(input) = inputs.recv() {
        match input {
            Input::Event(Ok(event)) => tree.event(&event),
            Input::Event(Err(error)) => journal.warn(format_args!("watching files: {error}")),
            Input::Subscribe { id, plan, changes, since } => {
                tree.subscribers.insert(id, Subscriber { plan: plan.clone(), changes, complained: false });
                tree.since = since;
                for root in 0..plan.roots.len() {
                    tree.enter_root(id, &plan, root);
                }
                tree.since = None;
            }
            Input::Unsubscribe { id } => tree.unsubscribe(id),
        }
    }
}

impl Tree<'_> {
    fn enter_root(&mut self, id: u64, plan: &WatchPlan, root: usize) {
        let path = &plan.roots[root].path;
        if path.is_dir() {
            self.enter(id, plan, root, path, 0);
        }
        // Its own coming and going is seen from above; so is that of a file.
        if let Some(above) = path.ancestors().skip(1).find(|above| above.is_dir()) {
            self.watch(id, above);
        }
        self.catch_up(id, plan, path);
    }

    /// Tells of a path that was written while nobody looked.
    fn catch_up(&self, id: u64, plan: &WatchPlan, path: &Path) {
        let Some(since) = self.since else { return };
        // Moved and copied files may have been written long ago.
        let changed = std::fs::symlink_metadata(path).ok().filter(|meta| !meta.is_dir()).and_then(|meta| {
            let seconds = Duration::new(u64::try_from(meta.ctime()).ok()?, meta.ctime_nsec() as u32);
            SystemTime::UNIX_EPOCH.checked_add(seconds)
        });
        if let Some(subscriber) = self.subscribers.get(&id)
            && changed.is_some_and(|changed| changed >= since)
            && plan.concerns(path)
        {
            subscriber.tell(path);
        }
    }

    /// Watches a folder and those below it.
    fn enter(&mut self, id: u64, plan: &WatchPlan, root: usize, folder: &Path, depth: usize) {
        if depth > MAX_DEPTH || (depth > 0 && !plan.enters(root, folder)) {
            return;
        }
        self.watch(id, folder);
        // Gone or not allowed: there is nothing to follow.
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            self.catch_up(id, plan, &path);
            if kind.is_dir() || (kind.is_symlink() && plan.follows_links && path.is_dir()) {
                self.enter(id, plan, root, &path, depth + 1);
            }
        }
    }

    fn watch(&mut self, id: u64, folder: &Path) {
        if let Some(wanted_by) = self.folders.get_mut(folder) {
            wanted_by.insert(id);
            return;
        }
        match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => drop(self.folders.insert(folder.to_owned(), BTreeSet::from([id]))),
            Err(error) => {
                let Some(subscriber) = self.subscribers.get_mut(&id) else { return };
                if !std::mem::replace(&mut subscriber.complained, true) {
                    self.journal.error(format_args!("cannot watch {}: {error}", folder.display()));
                }
            }
        }
    }

    fn unsubscribe(&mut self, id: u64) {
        self.subscribers.remove(&id);
        let watcher = &mut self.watcher;
        self.folders.retain(|folder, wanted_by| {
            wanted_by.remove(&id);
            if wanted_by.is_empty() {
                // It may be gone.
                drop(watcher.unwatch(folder));
            }
            !wanted_by.is_empty()
        });
    }

    fn event(&mut self, event: &Event) {
        if event.need_rescan() {
            // The system had no room for what happened.
            return self.subscribers.values().for_each(|subscriber| subscriber.tell(&subscriber.plan.folder));
        }
        let (comes, goes) = match event.kind {
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => (true, false),
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => (false, true),
            EventKind::Modify(ModifyKind::Name(_)) => (true, true),
            EventKind::Modify(ModifyKind::Metadata(MetadataKind::WriteTime)) => (false, false),
            EventKind::Modify(ModifyKind::Metadata(_)) | EventKind::Access(_) => return,
            EventKind::Modify(_) | EventKind::Any | EventKind::Other => (false, false),
        };
        for path in &event.paths {
            let above = path.parent().and_then(|parent| self.folders.get(parent));
            let wanted_by: BTreeSet<u64> =
                above.into_iter().chain(self.folders.get(path)).flatten().copied().collect();
            if goes && !path.exists() {
                self.forget(path);
            }
            for id in wanted_by {
                let Some(plan) = self.subscribers.get(&id).map(|subscriber| subscriber.plan.clone()) else {
                    continue;
                };
                if comes || goes {
                    self.follow(id, &plan, path);
                }
                if let Some(subscriber) = self.subscribers.get(&id)
                    && plan.concerns(path)
                {
                    subscriber.tell(path);
                }
            }
        }
    }

    /// Looks anew at what has come or gone at a path.
    fn follow(&mut self, id: u64, plan: &WatchPlan, path: &Path) {
        for (root, wanted) in plan.roots.iter().enumerate() {
            if wanted.path.starts_with(path) {
                self.enter_root(id, plan, root);
            } else if path.starts_with(&wanted.path) && path.is_dir() {
                let depth = path.strip_prefix(&wanted.path).map_or(0, |below| below.components().count());
                self.enter(id, plan, root, path, depth);
            }
        }
    }

    /// A folder has gone, with all below it.
    fn forget(&mut self, path: &Path) {
        let watcher = &mut self.watcher;
        self.folders.retain(|folder, _| {
            let stays = !folder.starts_with(path);
            if !stays {
                drop(watcher.unwatch(folder));
            }
            stays
        });
    }
}

impl Subscriber {
    fn tell(&self, path: &Path) {
        // One is enough.
        drop(self.changes.try_send(path.to_owned()));
    }
}
