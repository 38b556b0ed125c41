//! The two sockets: accepting, checking who is there, one task per connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pm2_core::home::Endpoint;
use pm2_core::protocol::{Decoder, Limits, decode_request, encode_reply};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::methods;
use crate::sys::peer_is_trusted;

/// Requests of one connection that may be under way; further ones wait in the socket.
const MAX_UNDER_WAY: usize = 1024;
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
pub(crate) async fn serve(listener: Listener, service: Service) {
    let mut connections = JoinSet::new();
    let engine = match &service {
        Service::Rpc(engine) | Service::Bus(engine) => engine.clone(),
    };
    let context = &engine.supervisor.context;
    loop {
        let stream = tokio::select! {
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
    let (mut input, mut output) = tokio::io::split(stream);
    let (replies, mut outbox) = mpsc::unbounded_channel::<(Vec<u8>, tokio::sync::OwnedSemaphorePermit)>();
    // Aborted with this task when the client leaves.
    let mut writer = JoinSet::new();
    writer.spawn(async move {
        while let Some((frame, permit)) = outbox.recv().await {
            if output.write_all(&frame).await.is_err() {
                return;
            }
            drop(permit);
        }
    });
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
            let Ok(permit) = under_way.clone().acquire_owned().await else { return };
            let (engine, replies) = (engine.clone(), replies.clone());
            tokio::spawn(async move {
                if let Some(reply) = methods::answer(&engine, message.request).await {
                    // The client may have left; the work is done all the same.
                    drop(replies.send((encode_reply(&message.id, &reply), permit)));
                }
            });
        }
    }
}
