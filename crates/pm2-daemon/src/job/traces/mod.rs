//! Whole apps in virtual time, written down: what the supervisor does, and when. One file of text for each policy.
//!
//! `UPDATE_TRACES=1 cargo test -p pm2-daemon --lib traces` writes the files anew; a line that changes is a change of behaviour,
//! to be held against the specification `lifecycle.md`.

mod calls;
mod clusters;
mod ends;
mod readiness;
mod restarts;
mod stage;
mod stops;
mod triggers;

use stage::{Stage, trace};
