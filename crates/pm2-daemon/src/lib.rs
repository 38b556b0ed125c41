//! The engine of pm2-rs: supervises processes, serves the RPC and bus sockets, writes logs.
//!
//! A library, so that the executable and tests run the same code; it owns no command line and
//! evaluates no JavaScript.

mod allowance;
mod bus;
mod clock;
mod cluster;
mod context;
mod cron;
mod engine;
mod handover;
mod host;
mod ipc;
mod job;
mod journal;
mod logs;
mod methods;
mod metrics;
mod ready;
mod run;
mod runtime_file;
mod server;
mod settings;
mod supervisor;
mod sys;
mod tally;
mod upgrade;
mod watch;
mod zone;

pub use ready::Ready;
pub use run::{DaemonError, Lifetime, Outcome, RunOptions, run};
pub use upgrade::{Predecessor, reads_state};
