//! The wire: AMP frames, the request and reply envelopes of `rpc.sock`, and the events of `pub.sock`.
//!
//! Everything here is pure: bytes in, values out, and back. Sockets, time limits and what a method
//! does belong to the client and the daemon. Nothing else in the project knows these formats.
//!
//! Read a connection with [`Decoder`], then hand each message to [`decode_request`] (daemon),
//! [`decode_reply`] or [`decode_event`] (client). The JSON texts these three return are free of lone
//! surrogate escapes, see [`repair_surrogates`].
//!
//! Behaviour of PM2 7.0.4, specification `wire.md` §3–5 and §8.

mod argument;
mod envelope;
mod event;
mod frame;
mod parser;
mod reply;
mod request;
mod surrogates;

pub use argument::{Argument, ArgumentRef};
pub use event::{Event, decode_event, encode_event};
pub use frame::{Decoder, FrameError, Limits, MAX_ARGUMENTS, encode};
pub use reply::{Reply, decode_reply, encode_reply, encode_result, encode_success, success_args_unchecked};
pub use request::{
    MAX_CALL_ARGUMENTS, MAX_NESTING, Request, RequestError, RequestMessage, decode_request, encode_call,
    encode_methods_request,
};
pub use surrogates::repair_surrogates;
