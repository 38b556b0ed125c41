//! What users ask for, made of remote calls, with the order and the side effects of PM2's own client.
//!
//! One file per verb or family. [`run`] is the same for callers in other languages: JSON text in, JSON text out.
//! Every verb works with the daemon of this project and with PM2's (call sequences: specification `wire.md`
//! §6.4). No verb hangs: a lost connection ends it.

mod apps;
mod compact;
mod error;
mod kill;
mod look;
mod outcome;
mod prepare;
mod reload_lock;
mod request;
mod restart;
mod run;
mod saved;
mod session;
mod start;
mod stop;

pub use error::{Failure, VerbError};
pub use kill::kill;
pub use look::{describe, id_by_name, list, pid};
pub use outcome::Started;
pub use request::{Caller, StartRequest, TargetRequest};
pub use restart::{graceful_reload, reload, restart};
pub use run::run;
pub use saved::{clear_dump, dump, resurrect};
pub use session::{Json, Listed, ListedEnv, Session};
pub use start::start;
pub use stop::{delete, stop};

#[cfg(test)]
mod tests;
