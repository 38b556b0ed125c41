//! One managed process: its description, its decisions, and the task that owns it.

mod cron;
mod description;
mod ending;
mod exec;
mod freeze;
mod handle;
mod input;
mod kill;
mod launching;
mod messages;
mod package;
mod policy;
mod process;
mod reacting;
mod reload;
mod spec;
mod task;
#[cfg(test)]
mod traces;
mod triggers;
mod update;
mod view;

pub(crate) use description::Description;
pub(crate) use freeze::{Frozen, thaw};
pub(crate) use handle::{Command, Farewell, JobHandle, Reply};
pub(crate) use spec::AppSpec;
pub(crate) use task::start;
pub(crate) use update::Update;
pub(crate) use view::{Monit, Status, View};
