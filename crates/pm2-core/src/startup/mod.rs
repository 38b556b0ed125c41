//! Starting the daemon with the machine: `startup` and `uninstallStartup`.
//!
//! [`plan`] and [`removal`] decide and render without touching anything; [`install`], [`remove`] and [`save_list`] do it.
//! [`run`] is the same for callers in other languages. Behaviour of PM2 7.0.4, specification `cli.md` §11 and
//! `api.md` §5.11; what is different on purpose:
//!
//! - The init system runs the native executable, no Node. systemd and launchd own the daemon itself, which says when it
//!   is ready; the others run `resurrect`.
//! - Files are replaced whole and have their mode from the beginning, so there is no `chmod` among the commands.
//! - `redhat` and `gentoo` are known, and synonyms can be removed as well.
//! - The process list is saved first.

mod error;
mod init_system;
mod perform;
mod plan;
mod quote;
mod request;
mod run;
mod template;

pub use error::StartupError;
pub use init_system::{InitSystem, detect};
pub use perform::{Failed, Place, ROOT_VARIABLE, Step, install, remove, save_list};
pub use plan::{Plan, Removal, RemovalStep, plan, removal};
pub use request::{Action, Facts, Request, sudo_line};
pub use run::run;

/// A program and its arguments, for people: as a shell would take it.
#[must_use]
pub fn command_text(command: &[String]) -> String {
    command.iter().map(|word| quote::shell(word)).collect::<Vec<_>>().join(" ")
}
