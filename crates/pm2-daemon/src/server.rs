//! The two sockets: accepting, checking who is there, one task per connection.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use pm2_core::home::Endpoint;
use pm2_core::protocol::{Decoder, Limits, decode_request};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::methods;
use crate::sys::peer_is_trusted;
use crate::tally::Tally;

/// Requests of one connection that may be under way; further ones wait in the socket.
const MAX_UNDER_WAY: usize = 256;
/// Bytes of replies that may wait for a client to read them before its next request is looked at.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;
/// Bytes read at a time.
const CHUNK: usize = 16 * 1024;

/// A bound socket of either kind.
pub(crate) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Listener {
    /// Binds an endpoint. A path must be free: stale files are removed before.
    ///
    /// # Errors
    /// The system's.
    pub(crate) async fn bind(endpoint: &Endpoint) -> io::Result<Listener> {
        Ok(match endpoint {
            Endpoint::Unix(path) => Listener::Unix(UnixListener::bind(path)?),
            Endpoint::Tcp(address) => Listener::Tcp(TcpListener::bind(address).await?),
        })
    }

    /// The socket, once more: it listens for as long as one of them is open.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        match self {
            Listener::Unix(listener) => listener.as_fd(),
            Listener::Tcp(listener) => listener.as_fd(),
        }
        .try_clone_to_owned()
    }

    /// The other way round.
    ///
    /// # Errors
    /// When it is no listening socket of the kind.
    pub(crate) fn adopt(endpoint: &Endpoint, socket: OwnedFd) -> io::Result<Listener> {
        Ok(match endpoint {
            Endpoint::Unix(_) => Listener::Unix(UnixListener::from_std(socket.into())?),
            Endpoint::Tcp(_) => Listener::Tcp(TcpListener::from_std(socket.into())?),
        })
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Without it small replies wait for the peer's acknowledgement.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }
}

/// What a socket's connections are for.
#[derive(Clone)]
pub(crate) enum Service {
    Rpc(Arc<Engine>),
    Bus(Arc<Engine>),
}

/// Accepts until it is dropped; all connections end with it.
pub(crate) async fn serve(listener: Arc<Listener>, service: Service) {
    let mut connections = JoinSet::new();
    let engine = match &service {
        Service::Rpc(engine) | Service::Bus(engine) => engine.clone(),
    };
    let context = &engine.supervisor.context;
    loop {
        // Meanwhile the system keeps whoever comes.
        engine.gate.open().await;
        let stream = tokio::select! {
            biased;
            () = engine.gate.shut() => continue,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match stream {
            Ok(Stream::Unix(stream)) => {
                let extra = context.settings.socket_owner.map(|(uid, _)| uid);
                if peer_is_trusted(&stream, extra) {
                    connections.spawn(converse(service.clone(), stream));
                } else {
                    context.journal.warn("refused a connection of another user");
                }
            }
            Ok(Stream::Tcp(stream)) => {
                connections.spawn(converse(service.clone(), stream));
            }
            Err(error) => {
                // Out of descriptors: the connection stays in the backlog.
                context.journal.error(format_args!("cannot accept a connection: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(service: Service, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    match service {
        Service::Bus(engine) => engine.supervisor.context.bus.serve(stream).await,
        Service::Rpc(engine) => answer_requests(engine, stream).await,
    }
}

/// Reads requests until the client leaves or breaks the protocol. Replies go out as they are ready,
/// in any order; requests under way are carried out even if the client leaves.
async fn answer_requests(engine: Arc<Engine>, stream: impl AsyncRead + AsyncWrite + Send + 'static) {
    let (mut input, output) = tokio::io::split(stream);
    let (replies, outbox) = mpsc::unbounded_channel();
    let backlog = Arc::new(Backlog::new(engine.unsent.clone()));
    // Aborted with this task when the client leaves.
    let mut writer = JoinSet::new();
    writer.spawn(write_replies(output, outbox, backlog.clone()));
    let under_way = Arc::new(Semaphore::new(MAX_UNDER_WAY));
    let mut decoder = Decoder::new(Limits::default());
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = match input.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        decoder.feed(&chunk[..count]);
        loop {
            let message = match decoder.next().map(|arguments| arguments.map(decode_request)) {
                Ok(Some(Ok(message))) => message,
                Ok(None) => break,
                Ok(Some(Err(error))) | Err(error) => {
                    engine.supervisor.context.journal.warn(format_args!("closed a connection: {error}"));
                    return;
                }
            };
            if backlog.wait_for_room().await.is_break() {
                return;
            }
            let Ok(permit) = under_way.clone().acquire_owned().await else { return };
            engine.gate.open().await;
            let (engine, replies, backlog) = (engine.clone(), replies.clone(), backlog.clone());
            let mut work = Box::pin(async move {
                if let Some(frame) = methods::answer(&engine, message).await {
                    backlog.add(frame.len());
                    // The client may have left; the work is done all the same.
                    drop(replies.send(frame));
                }
                drop(permit);
            });
            // What needs no waiting, large lists above all, is answered here: before the next request
            // is looked at, the size of its reply counts.
            let done = std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_ready())).await;
            if !done {
                tokio::spawn(work);
            }
        }
    }
}

async fn write_replies(
    mut output: impl AsyncWrite + Unpin,
    mut outbox: mpsc::UnboundedReceiver<Vec<u8>>,
    backlog: Arc<Backlog>,
) {
    while let Some(frame) = outbox.recv().await {
        if output.write_all(&frame).await.is_err() {
            break;
        }
        backlog.remove(frame.len());
    }
    backlog.abandon();
}

/// Bytes of replies that a client has not read yet.
struct Backlog {
    bytes: AtomicUsize,
    /// Those of all clients.
    all: Tally,
    /// Nothing can be written any more.
    abandoned: AtomicBool,
    changed: Notify,
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.all.remove(*self.bytes.get_mut());
    }
}

impl Backlog {
    fn new(all: Tally) -> Backlog {
        Backlog { bytes: AtomicUsize::new(0), all, abandoned: AtomicBool::new(false), changed: Notify::new() }
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.all.add(bytes);
    }

    fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.all.remove(bytes);
        self.changed.notify_one();
    }

    fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Waits until little enough is waiting; breaks when nothing can be written any more.
    async fn wait_for_room(&self) -> ControlFlow<()> {
        loop {
            if self.abandoned.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            if self.bytes.load(Ordering::Relaxed) <= MAX_WAITING_BYTES {
                return ControlFlow::Continue(());
            }
            self.changed.notified().await;
        }
    }
}
