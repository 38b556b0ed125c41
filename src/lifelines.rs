//! What keeps the attached daemons of this process alive.
//!
//! Such a daemon lives as long as the process that launched it, whatever becomes of its connections. So the
//! lifelines are kept here, one per home, and go when their daemon has gone: descriptors do not pile up.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

use pm2_core::client::launch::Lifeline;
use pm2_core::home::Home;

static LIFELINES: LazyLock<Mutex<HashMap<PathBuf, Lifeline>>> = LazyLock::new(Mutex::default);

/// Keeps the lifeline of a daemon that was launched just now; `None` when that is not attached.
///
/// An earlier daemon of this home has ended, otherwise none could have been launched.
pub(crate) fn keep(home: &Home, lifeline: Option<Lifeline>) {
    let earlier = change(|lifelines| match lifeline {
        Some(lifeline) => lifelines.insert(home.dir.clone(), lifeline),
        None => lifelines.remove(&home.dir),
    });
    drop(earlier);
}

/// Lets go of the lifeline of a daemon that was told to end.
pub(crate) fn drop_of(home: &Home) {
    drop(change(|lifelines| lifelines.remove(&home.dir)));
}

fn change<T>(work: impl FnOnce(&mut HashMap<PathBuf, Lifeline>) -> T) -> T {
    // Nothing panics while it holds the lock.
    work(&mut LIFELINES.lock().unwrap_or_else(PoisonError::into_inner))
}
