//! Handing a running daemon over to another program image of the same process.
//!
//! [`freeze`] turns everything into a [`State`] and the [`Descriptors`] that it names; [`thaw`] makes it live again, in
//! the next image or, when that could not be run, in this one. Who owns something freezes and thaws it: jobs,
//! channels, the transport of output, the cluster's thread.

mod bytes;
mod descriptors;
mod freeze;
mod moment;
mod state;

pub(crate) use bytes::Bytes;
pub(crate) use descriptors::{Descriptors, Kept, Shared, Sharing};
pub(crate) use freeze::{FreezeError, freeze, thaw};
pub(crate) use moment::Clock;
pub(crate) use state::*;
