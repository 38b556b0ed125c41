//! What the tests of the executable share: a home of their own, a client, and looks at `/proc`.
//!
//! Nothing here waits for a fixed time: conditions are polled up to a deadline that a loaded machine keeps.

#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]

mod app;
mod client;
mod home;
pub(crate) mod load;
pub(crate) mod logs;
mod proc;
mod program;
mod random;
pub(crate) mod upgrade;

use std::time::{Duration, Instant};

pub(crate) use client::{Client, subscribe};
pub(crate) use home::{EXECUTABLE, Started, TestHome};
pub(crate) use proc::{
    Stat, descriptors, environment, is_alive, memory, processes_of, send, stat, wait_for_end,
};
pub(crate) use program::{copy_executable, write_program};
pub(crate) use random::Random;

/// How long a condition may take before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `look` finds something.
#[track_caller]
pub(crate) fn eventually<Found>(what: &str, mut look: impl FnMut() -> Option<Found>) -> Found {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, || holds().then_some(()));
}

/// Whether this test may change users. Without it the test has nothing to look at and ends.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A user and group that own nothing.
pub(crate) const NOBODY: u32 = 65534;
