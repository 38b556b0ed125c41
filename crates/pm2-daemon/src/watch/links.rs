//! Files behind symbolic links: their changes happen in folders that nobody watches otherwise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::tree::Known;

/// Links to files, each as its subscriber knows it, and where it led when it was last looked at.
#[derive(Default)]
pub(super) struct Links(BTreeMap<Known, PathBuf>);

impl Links {
    /// Takes a link; gives the real path of its file, unless that is known.
    pub(super) fn follow(&mut self, known: Known) -> Option<PathBuf> {
        let real = known.1.canonicalize().ok()?;
        let before = self.0.insert(known, real.clone());
        (before.as_ref() != Some(&real)).then_some(real)
    }

    /// The links that lead to a file.
    pub(super) fn to<'a>(&'a self, real: &'a Path) -> impl Iterator<Item = &'a Known> + 'a {
        self.0.iter().filter(move |(_, target)| *target == real).map(|(known, _)| known)
    }

    /// Links that lead elsewhere than before, because something has moved; those that lead nowhere stay for the file
    /// that may come back.
    pub(super) fn moved(&self) -> Vec<Known> {
        let elsewhere = |(known, target): (&Known, &PathBuf)| {
            known.1.canonicalize().is_ok_and(|now| now != *target).then(|| known.clone())
        };
        self.0.iter().filter_map(elsewhere).collect()
    }

    pub(super) fn forget(&mut self, is_gone: impl Fn(&Known) -> bool) {
        self.0.retain(|known, _| !is_gone(known));
    }
}
