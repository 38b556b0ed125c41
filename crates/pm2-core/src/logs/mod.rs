//! Log files as their readers see them: which rotated files belong to a log, its last lines, and how lines are shown.

pub mod numbered;
pub mod rotated;
mod selection;
mod show;
mod tail;

pub use selection::{Selection, Speaker};
pub use show::{Form, ShowOptions, Shower, Shown, Stream};
pub use tail::last_lines;
