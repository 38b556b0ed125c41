//! The twin of the Linux file for systems that cannot steer a group of listening sockets.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::unix::Steering;

/// Takes a waiting connection; non-blocking, closed on exec.
///
/// # Errors
/// `EAGAIN` when none waits, `EMFILE` when the daemon has no descriptor left, and the network's own.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let (connection, _) = socket2::SockRef::from(&listener).accept()?;
    connection.set_nonblocking(true)?;
    Ok(connection.into())
}

/// Decides where the new connections of a group go; here it cannot be decided.
///
/// # Errors
/// Always.
pub(crate) fn steer(_socket: BorrowedFd<'_>, _to: &Steering) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How many connections wait on a listening TCP socket; `None` when the system does not say.
pub(crate) fn n_unaccepted(_listener: BorrowedFd<'_>) -> Option<u32> {
    None
}
