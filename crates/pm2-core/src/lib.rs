//! What the daemon and its clients must agree on: where the home is, how the wire speaks, what an
//! application description means, and the client that talks to a daemon.
//!
//! Nothing here knows N-API, prints, or keeps global state.

pub mod app;
pub mod atomic_file;
pub mod client;
pub mod config;
pub mod date_format;
pub mod dump;
pub mod home;
pub mod logs;
pub mod protocol;
pub mod startup;
pub mod target;

/// The version of PM2 whose behaviour and wire this implementation speaks; answered to `getVersion`
/// so that PM2's own command line stays quiet.
pub const PM2_VERSION: &str = "7.0.4";

/// The version of this implementation.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
