//! What goes to the daemon. Whoever calls writes it himself, so that no other thread has to wake up first; a task
//! writes what the socket has no room for.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BytesMut};
use tokio::net::{tcp, unix};
use tokio::sync::Notify;

/// The writing half of a connection.
#[derive(Debug)]
pub(super) enum Socket {
    Unix(unix::OwnedWriteHalf),
    Tcp(tcp::OwnedWriteHalf),
}

/// Frames on their way, in the order of [`Outbox::push`].
#[derive(Debug)]
pub(super) struct Outbox {
    state: Mutex<State>,
    more: Notify,
}

#[derive(Debug)]
struct State {
    /// `None` when it was closed.
    socket: Option<Arc<Socket>>,
    /// What the socket has not taken yet.
    waiting: BytesMut,
}

impl Outbox {
    pub(super) fn new(socket: Socket) -> Outbox {
        let state = State { socket: Some(Arc::new(socket)), waiting: BytesMut::new() };
        Outbox { state: Mutex::new(state), more: Notify::new() }
    }

    /// Writes a frame, or keeps what the socket does not take now. Never blocks; from any thread.
    pub(super) fn push(&self, frame: &[u8]) {
        let mut state = self.lock();
        // An error comes again, to whoever drains.
        let count = if state.waiting.is_empty() { state.write(frame).unwrap_or(0) } else { 0 };
        if count < frame.len() {
            state.waiting.extend_from_slice(&frame[count..]);
            self.more.notify_one();
        }
    }

    /// Writes what is kept, for ever.
    ///
    /// # Errors
    /// The system's: nothing can be written any more.
    pub(super) async fn drain(&self) -> io::Result<Infallible> {
        loop {
            self.more.notified().await;
            while let Some(socket) = self.needs() {
                socket.writable().await?;
                let mut state = self.lock();
                let count = state.write(&state.waiting)?;
                state.waiting.advance(count);
            }
        }
    }

    /// Closes the socket as soon as nobody waits for it; what is kept is dropped.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.socket = None;
        state.waiting = BytesMut::new();
    }

    /// The socket, if something waits for it. The room that a burst has taken is given back.
    fn needs(&self) -> Option<Arc<Socket>> {
        let mut state = self.lock();
        if state.waiting.is_empty() {
            state.waiting = BytesMut::new();
            return None;
        }
        state.socket.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and the bytes are valid at any moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How much the socket takes now, perhaps nothing.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.socket {
            Some(socket) => socket.write(bytes),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Socket {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self {
            Socket::Unix(half) => half.try_write(bytes),
            Socket::Tcp(half) => half.try_write(bytes),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            written => written,
        }
    }

    async fn writable(&self) -> io::Result<()> {
        match self {
            Socket::Unix(half) => half.writable().await,
            Socket::Tcp(half) => half.writable().await,
        }
    }
}
