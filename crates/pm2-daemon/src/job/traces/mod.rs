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

/// A file that no test writes would be believed for ever.
#[test]
fn every_file_has_its_test() {
    let tests = [
        include_str!("calls.rs"),
        include_str!("clusters.rs"),
        include_str!("ends.rs"),
        include_str!("readiness.rs"),
        include_str!("restarts.rs"),
        include_str!("stops.rs"),
        include_str!("triggers.rs"),
    ]
    .concat();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/job/traces");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix(".txt") {
            assert!(tests.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}
