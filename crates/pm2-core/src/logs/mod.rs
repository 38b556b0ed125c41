//! Log files as their readers see them: which rotated files belong to a log, its last lines, and how lines are shown.

pub mod numbered;
pub mod rotated;
