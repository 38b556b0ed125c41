//! The thread: which folders the system is asked about, and for whom.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime};

use notify::event::{EventKind, MetadataKind, ModifyKind};
use notify::{Event, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::Input;
use super::links::Links;
use super::plan::WatchPlan;
use crate::journal::Journal;

struct Tree<'a> {
    watcher: Box<dyn Watcher + Send>,
    journal: &'a Journal,
    subscribers: HashMap<u64, Subscriber>,
    /// Watched folders by their real paths, each with those who want it and the names under which they know it:
    /// the system has one watch for a folder, however it is reached.
    folders: HashMap<PathBuf, BTreeSet<Known>>,
    links: Links,
    /// While folders are walked: what was written since then counts as changed.
    since: Option<SystemTime>,
}

/// A subscriber and its name for a folder or a link.
pub(super) type Known = (u64, PathBuf);

struct Subscriber {
    plan: Arc<WatchPlan>,
    changes: mpsc::Sender<PathBuf>,
    /// That a folder could not be watched was said.
    complained: bool,
}

/// Follows files until the daemon ends.
pub(super) fn run(watcher: Box<dyn Watcher + Send>, inputs: &Receiver<Input>, journal: &Journal) {
    let mut tree = Tree {
        watcher,
        journal,
        subscribers: HashMap::new(),
        folders: HashMap::new(),
        links: Links::default(),
        since: None,
    };
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
            self.enter(id, plan, root, path, &mut HashSet::new());
        }
        // Its own coming and going is seen from above; so is that of a file.
        if let Some(above) = path.ancestors().skip(1).find(|above| above.is_dir())
            && let Ok(real) = above.canonicalize()
        {
            self.watch(id, above, real);
        }
        self.follow_link(id, plan, path);
        self.catch_up(id, plan, path);
    }

    /// Watches the folder of the file that a link leads to.
    fn follow_link(&mut self, id: u64, plan: &WatchPlan, path: &Path) {
        if !plan.follows_links || !path.is_symlink() || !path.is_file() || !plan.concerns(path) {
            return;
        }
        if let Some(real) = self.links.follow((id, path.to_owned()))
            && let Some(folder) = real.parent()
        {
            self.watch(id, folder, folder.to_owned());
        }
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

    /// Watches a folder and those below it, each once, whatever links lead there.
    fn enter(&mut self, id: u64, plan: &WatchPlan, root: usize, folder: &Path, seen: &mut HashSet<PathBuf>) {
        let is_root = folder == plan.roots[root].path;
        let Ok(real) = folder.canonicalize() else { return };
        if (!is_root && !plan.enters(root, folder)) || !seen.insert(real.clone()) {
            return;
        }
        self.watch(id, folder, real);
        // Gone or not allowed: there is nothing to follow.
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            self.catch_up(id, plan, &path);
            if kind.is_dir() || (kind.is_symlink() && plan.follows_links && path.is_dir()) {
                self.enter(id, plan, root, &path, seen);
            } else if kind.is_symlink() {
                self.follow_link(id, plan, &path);
            }
        }
    }

    fn watch(&mut self, id: u64, name: &Path, real: PathBuf) {
        let known = (id, name.to_owned());
        if let Some(wanted_by) = self.folders.get_mut(&real) {
            wanted_by.insert(known);
            return;
        }
        match self.watcher.watch(&real, RecursiveMode::NonRecursive) {
            Ok(()) => drop(self.folders.insert(real, BTreeSet::from([known]))),
            Err(error) => {
                let Some(subscriber) = self.subscribers.get_mut(&id) else { return };
                if !std::mem::replace(&mut subscriber.complained, true) {
                    self.journal.error(format_args!("cannot watch {}: {error}", name.display()));
                }
            }
        }
    }

    fn unsubscribe(&mut self, id: u64) {
        self.subscribers.remove(&id);
        self.links.forget(|(other, _)| *other == id);
        self.forget(|_, (other, _)| *other == id);
    }

    /// Drops names of folders, and the watches of those that have none left.
    fn forget(&mut self, is_gone: impl Fn(&Path, &Known) -> bool) {
        let watcher = &mut self.watcher;
        self.folders.retain(|real, wanted_by| {
            wanted_by.retain(|known| !is_gone(real, known));
            if wanted_by.is_empty() {
                // It may be gone itself.
                drop(watcher.unwatch(real));
            }
            !wanted_by.is_empty()
        });
    }

    fn event(&mut self, event: &Event) {
        if event.need_rescan() {
            // The system had no room for what happened.
            return self.look_everywhere();
        }
        let moves = match event.kind {
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => true,
            EventKind::Modify(ModifyKind::Metadata(MetadataKind::WriteTime)) => false,
            EventKind::Modify(ModifyKind::Metadata(_)) | EventKind::Access(_) => return,
            EventKind::Modify(_) | EventKind::Any | EventKind::Other => false,
        };
        for real in &event.paths {
            let names = self.names_of(real);
            if moves {
                self.look_anew(real, &names);
            }
            if moves {
                self.look_at_links();
            }
            for (id, name) in &names {
                if let Some(subscriber) = self.subscribers.get(id)
                    && subscriber.plan.concerns(name)
                {
                    subscriber.tell(name);
                }
            }
        }
    }

    /// Nobody knows what has changed: everything counts as changed, and folders that are new are entered.
    fn look_everywhere(&mut self) {
        let plans: Vec<(u64, Arc<WatchPlan>)> =
            self.subscribers.iter().map(|(id, subscriber)| (*id, subscriber.plan.clone())).collect();
        for (id, plan) in plans {
            for root in 0..plan.roots.len() {
                self.enter_root(id, &plan, root);
            }
            if let Some(subscriber) = self.subscribers.get(&id) {
                subscriber.tell(&plan.folder);
            }
        }
    }

    /// How subscribers call a real path: through the folder that it is in, or as a folder of its own.
    fn names_of(&self, real: &Path) -> BTreeSet<Known> {
        let mut names: BTreeSet<Known> = self.folders.get(real).into_iter().flatten().cloned().collect();
        if let (Some(folder), Some(file)) = (real.parent(), real.file_name()) {
            let above = self.folders.get(folder).into_iter().flatten();
            names.extend(above.map(|(id, name)| (*id, name.join(file))));
        }
        names.extend(self.links.to(real).cloned());
        names
    }

    /// A link that leads elsewhere now is another file.
    fn look_at_links(&mut self) {
        for (id, name) in self.links.moved() {
            let Some(plan) = self.subscribers.get(&id).map(|subscriber| subscriber.plan.clone()) else {
                continue;
            };
            self.follow_link(id, &plan, &name);
            if let Some(subscriber) = self.subscribers.get(&id)
                && plan.concerns(&name)
            {
                subscriber.tell(&name);
            }
        }
    }

    /// Something has come, gone, or taken the place of something else: what was watched there may be another folder.
    fn look_anew(&mut self, real: &Path, names: &BTreeSet<Known>) {
        self.forget(|folder, (id, name)| {
            folder.starts_with(real)
                || names.iter().any(|(other, moved)| other == id && name.starts_with(moved))
        });
        self.links.forget(|(id, name)| {
            names.iter().any(|(other, moved)| other == id && name.starts_with(moved) && !name.is_symlink())
        });
        for (id, name) in names {
            let Some(plan) = self.subscribers.get(id).map(|subscriber| subscriber.plan.clone()) else {
                continue;
            };
            for (root, wanted) in plan.roots.iter().enumerate() {
                if wanted.path.starts_with(name) {
                    self.enter_root(*id, &plan, root);
                } else if name.starts_with(&wanted.path)
                    && name.is_dir()
                    && (plan.follows_links || !name.is_symlink())
                {
                    self.enter(*id, &plan, root, name, &mut HashSet::new());
                } else if name.starts_with(&wanted.path) {
                    self.follow_link(*id, &plan, name);
                }
            }
        }
    }
}

impl Subscriber {
    fn tell(&self, path: &Path) {
        // One is enough.
        drop(self.changes.try_send(path.to_owned()));
    }
}
