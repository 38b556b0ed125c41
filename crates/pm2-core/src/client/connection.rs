//! One connection to a daemon: many calls at once, replies in any order, each call settled exactly once.
//!
//! A task reads, another one writes what the socket does not take at once. When either ends, every pending and every
//! later call fails with [`CallError::ConnectionLost`]; nothing is retried here.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::error::CallError;
use super::outbox::{Outbox, Socket};
use crate::home::Endpoint;
use crate::protocol::{self, Argument, Decoder, FrameError, Limits, Reply};

/// Longest reply accepted: a list of thousands of apps with their environments fits many times.
const MAX_REPLY_BYTES: usize = 256 * 1024 * 1024;
/// Longest request sent: the most that a daemon of this project takes as one argument.
const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;
/// How long replies are read from a daemon that takes no requests any more.
const LAST_REPLIES: Duration = Duration::from_secs(1);
/// Bytes read from the socket at once.
const READ_BYTES: usize = 64 * 1024;

/// A live connection to a daemon's request socket.
///
/// Cheap to clone; all clones are the same connection. Dropping the last one closes it.
#[derive(Debug, Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    reader: AbortHandle,
    writer: AbortHandle,
}

/// What the tasks and the callers have in common.
#[derive(Debug)]
struct Shared {
    /// The number of the next call.
    next: AtomicU64,
    calls: Mutex<Calls>,
    closed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Calls {
    pending: HashMap<u64, Waiting>,
    /// Why the connection ended; nothing is accepted afterwards.
    lost: Option<String>,
}

/// Somebody who waits for a reply, and in which form.
enum Waiting {
    Decoded(oneshot::Sender<Reply>),
    Text(Box<dyn FnOnce(Result<String, CallError>) + Send>),
}

impl Waiting {
    fn fail(self, error: CallError) {
        match self {
            // Without a sender the receiver asks for the reason.
            Waiting::Decoded(settle) => drop(settle),
            Waiting::Text(settle) => settle(Err(error)),
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Waiting::Decoded(_) => "Decoded",
            Waiting::Text(_) => "Text",
        })
    }
}

impl Connection {
    /// Connects to a daemon. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The system's error of `connect`.
    pub async fn open(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Unix(path) => {
                let (read, write) = UnixStream::connect(path).await?.into_split();
                Ok(Self::over(read, Socket::Unix(write)))
            }
            Endpoint::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let (read, write) = stream.into_split();
                Ok(Self::over(read, Socket::Tcp(write)))
            }
        }
    }

    /// Runs the protocol over the two halves of a connected stream.
    fn over(read: impl AsyncRead + Send + Unpin + 'static, write: Socket) -> Self {
        let shared = Arc::new(Shared {
            next: AtomicU64::new(0),
            calls: Mutex::default(),
            closed: watch::Sender::new(false),
        });
        let outbox = Arc::new(Outbox::new(write));
        let reader = tokio::spawn(read_replies(read, Arc::clone(&shared))).abort_handle();
        let writer = tokio::spawn(write_requests(Arc::clone(&outbox), Arc::clone(&shared))).abort_handle();
        Self { inner: Arc::new(Inner { shared, outbox, reader, writer }) }
    }

    /// Calls a remote method with the arguments `args_json`, the text of a JSON array, and waits for its reply.
    ///
    /// There is no time limit: some methods take as long as an app takes to stop. Dropping the future forgets
    /// the call; the daemon still carries it out.
    ///
    /// # Errors
    /// [`CallError::ConnectionLost`] when the connection is or gets closed first,
    /// [`CallError::RequestTooLarge`] when nothing was sent.
    pub async fn call(&self, method: &str, args_json: &str) -> Result<Reply, CallError> {
        self.ask(|id| protocol::encode_call(id, method, args_json)).await
    }

    /// Like [`Connection::call`], and hands over the JSON text of the reply as it came, `{"args":[…]}` or `{"error":…}`.
    ///
    /// For callers that parse it anyway: it is neither checked nor free of lone surrogate escapes. `settle` is called
    /// once, perhaps before this returns, on this thread or on the one that reads; the request is on its way when this
    /// returns.
    pub fn call_text(
        &self,
        method: &str,
        args_json: &str,
        settle: impl FnOnce(Result<String, CallError>) + Send + 'static,
    ) {
        // What is refused is settled, too.
        let _ = self
            .begin(Some(Waiting::Text(Box::new(settle))), |id| protocol::encode_call(id, method, args_json));
    }

    /// Asks which methods the daemon has; the answer is [`Reply::Methods`].
    ///
    /// # Errors
    /// [`CallError::ConnectionLost`] when the connection is or gets closed first.
    pub async fn methods(&self) -> Result<Reply, CallError> {
        self.ask(protocol::encode_methods_request).await
    }

    /// Sends a call whose reply nobody waits for, because the daemon gives none or it does not matter.
    ///
    /// # Errors
    /// [`CallError::ConnectionLost`] when the connection is closed, [`CallError::RequestTooLarge`].
    pub fn send(&self, method: &str, args_json: &str) -> Result<(), CallError> {
        self.begin(None, |id| protocol::encode_call(id, method, args_json)).map(drop)
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        *self.inner.shared.closed.borrow()
    }

    /// Waits until the connection has ended, by either side; at once if it has.
    pub async fn closed(&self) {
        let mut closed = self.inner.shared.closed.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Closes the connection; pending calls fail. Harmless when it is closed.
    pub fn close(&self) {
        self.inner.shut_down("closed by this client");
    }

    async fn ask(&self, encode: impl FnOnce(&Argument) -> Vec<u8>) -> Result<Reply, CallError> {
        let (settle, reply) = oneshot::channel();
        let number = self.begin(Some(Waiting::Decoded(settle)), encode)?;
        let _forget = ForgetOnDrop { shared: &self.inner.shared, number };
        reply.await.map_err(|_| self.inner.shared.lost_error())
    }

    /// Sends a request and remembers who waits for its reply. Its number, or why it was not sent, which whoever waits
    /// hears, too.
    fn begin(
        &self,
        waiting: Option<Waiting>,
        encode: impl FnOnce(&Argument) -> Vec<u8>,
    ) -> Result<u64, CallError> {
        let shared = &self.inner.shared;
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let frame = encode(&id_of(number));
        let (bytes, limit) = (frame.len(), MAX_REQUEST_BYTES);
        if bytes > limit {
            return Err(refuse(waiting, CallError::RequestTooLarge { bytes, limit }));
        }
        if let Err((waiting, error)) = shared.expect(number, waiting) {
            return Err(refuse(waiting, error));
        }
        self.inner.outbox.push(&frame);
        Ok(number)
    }
}

fn refuse(waiting: Option<Waiting>, error: CallError) -> CallError {
    if let Some(waiting) = waiting {
        waiting.fail(error.clone());
    }
    error
}

impl Inner {
    fn shut_down(&self, reason: &str) {
        self.shared.lose(reason);
        self.reader.abort();
        self.writer.abort();
        self.outbox.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shut_down("closed by this client");
    }
}

impl Shared {
    /// Remembers who waits for the reply with that number; gives him back when there will be none.
    fn expect(&self, number: u64, waiting: Option<Waiting>) -> Result<(), (Option<Waiting>, CallError)> {
        let mut calls = self.lock();
        if let Some(reason) = calls.lost.clone() {
            return Err((waiting, CallError::ConnectionLost { reason }));
        }
        if let Some(waiting) = waiting {
            calls.pending.insert(number, waiting);
        }
        Ok(())
    }

    /// Ends the connection for everybody; the first reason stays.
    fn lose(&self, reason: &str) {
        let pending = {
            let mut calls = self.lock();
            calls.lost.get_or_insert_with(|| reason.to_owned());
            mem::take(&mut calls.pending)
        };
        self.closed.send_replace(true);
        for waiting in pending.into_values() {
            waiting.fail(self.lost_error());
        }
    }

    fn lost_error(&self) -> CallError {
        let reason = self.lock().lost.clone();
        let reason = reason.unwrap_or_else(|| "closed".to_owned());
        CallError::ConnectionLost { reason }
    }

    /// Hands a reply to its caller; one that nobody waits for is dropped.
    ///
    /// # Errors
    /// The message is no reply. The text of one that its caller reads is not looked at.
    fn settle(&self, message: Vec<Argument>) -> Result<(), FrameError> {
        let number = message.get(1).and_then(own_number);
        let waiting = number.and_then(|number| self.lock().pending.remove(&number));
        // Whoever waited may have gone away.
        match waiting {
            Some(Waiting::Text(settle)) => match reply_text(message) {
                Ok(text) => settle(Ok(text)),
                Err(error) => {
                    settle(Err(CallError::ConnectionLost { reason: error.to_string() }));
                    return Err(error);
                }
            },
            Some(Waiting::Decoded(settle)) => {
                let _ = settle.send(protocol::decode_reply(message)?.1);
            }
            None => {
                protocol::decode_reply(message)?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        // No code panics while it holds the lock, and the table is valid at any moment.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes an abandoned call, so that the table does not grow.
struct ForgetOnDrop<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for ForgetOnDrop<'_> {
    fn drop(&mut self) {
        self.shared.lock().pending.remove(&self.number);
    }
}

/// The JSON text of a reply, moved out of its message.
fn reply_text(mut message: Vec<Argument>) -> Result<String, FrameError> {
    match message.as_mut_slice() {
        [Argument::Json(text), _] => Ok(mem::take(text)),
        // Not UTF-8 throughout, or no reply at all; then this says so.
        _ => match protocol::decode_reply(message)?.1 {
            Reply::Success { args } => Ok(format!("{{\"args\":{args}}}")),
            Reply::Error { message, .. } => Ok(serde_json::json!({ "error": message }).to_string()),
            Reply::Methods(methods) => Ok(format!("{{\"methods\":{methods}}}")),
        },
    }
}

fn id_of(number: u64) -> Argument {
    Argument::Text(format!("{}:{number}", std::process::id()))
}

/// The counter of an id this process made.
fn own_number(id: &Argument) -> Option<u64> {
    let Argument::Text(id) = id else { return None };
    let (pid, number) = id.split_once(':')?;
    let own = pid.parse() == Ok(std::process::id());
    own.then(|| number.parse().ok()).flatten()
}

async fn read_replies(mut socket: impl AsyncRead + Unpin, shared: Arc<Shared>) {
    let mut decoder = Decoder::new(Limits {
        max_argument_bytes: MAX_REPLY_BYTES,
        max_message_bytes: MAX_REPLY_BYTES,
        ..Limits::default()
    });
    let mut bytes = vec![0; READ_BYTES];
    let reason = loop {
        let mut rest = match socket.read(&mut bytes).await {
            Ok(0) => break "the daemon closed it".to_owned(),
            Ok(n_bytes) => &bytes[..n_bytes],
            Err(error) => break error.to_string(),
        };
        if let Err(error) = settle_all(&mut decoder, &mut rest, &shared) {
            break format!("the daemon's reply is not understood: {error}");
        }
    };
    shared.lose(&reason);
}

/// Settles the calls whose replies are complete.
fn settle_all(decoder: &mut Decoder, input: &mut &[u8], shared: &Shared) -> Result<(), FrameError> {
    while let Some(message) = decoder.decode(input)? {
        shared.settle(message)?;
    }
    Ok(())
}

async fn write_requests(outbox: Arc<Outbox>, shared: Arc<Shared>) {
    let Err(error) = outbox.drain().await;
    // The daemon has gone; what it has said before is still to be read.
    let mut closed = shared.closed.subscribe();
    let _ = timeout(LAST_REPLIES, closed.wait_for(|closed| *closed)).await;
    shared.lose(&error.to_string());
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::protocol::{Request, decode_request, encode_success};

    /// The daemon's end of a connection under test.
    struct Server {
        stream: UnixStream,
        decoder: Decoder,
    }

    impl Server {
        /// The id and method of the next request.
        async fn request(&mut self) -> (Argument, String) {
            let mut bytes = [0; 4096];
            loop {
                if let Some(message) = self.decoder.next().unwrap() {
                    let message = decode_request(message).unwrap();
                    let Request::Call { method, .. } = message.request.unwrap() else {
                        panic!("not a call");
                    };
                    return (message.id, method);
                }
                let n_bytes = self.stream.read(&mut bytes).await.unwrap();
                assert!(n_bytes > 0, "the client went away");
                self.decoder.feed(&bytes[..n_bytes]);
            }
        }

        async fn answer(&mut self, id: &Argument, args: &str) {
            let frame = encode_success(id, args);
            self.stream.write_all(&frame).await.unwrap();
        }
    }

    fn pair() -> (Connection, Server) {
        let (client, stream) = UnixStream::pair().unwrap();
        let (read, write) = client.into_split();
        let decoder = Decoder::default();
        (Connection::over(read, Socket::Unix(write)), Server { stream, decoder })
    }

    fn args_of(reply: Result<Reply, CallError>) -> String {
        match reply.unwrap() {
            Reply::Success { args } => args.get().to_owned(),
            reply => panic!("{reply:?}"),
        }
    }

    async fn text_of(client: &Connection, method: &str, args: &str) -> Result<String, CallError> {
        let (settle, text) = oneshot::channel();
        client.call_text(method, args, |reply| settle.send(reply).unwrap());
        text.await.expect("every call is settled")
    }

    /// So many at once.
    fn calls(client: &Connection, count: usize) -> Vec<tokio::task::JoinHandle<Result<Reply, CallError>>> {
        let call = |client: Connection| tokio::spawn(async move { client.call("ping", "[{}]").await });
        (0..count).map(|_| call(client.clone())).collect()
    }

    async fn soon<T>(future: impl Future<Output = T>) -> T {
        let limit = Duration::from_secs(5);
        timeout(limit, future).await.expect("must not hang")
    }

    #[tokio::test]
    async fn replies_may_come_in_any_order() {
        let (client, mut server) = pair();
        let calls: Vec<_> = (0..300)
            .map(|number| {
                let client = client.clone();
                let name = format!("m{number}");
                tokio::spawn(async move { (client.call(&name, "[{}]").await, name) })
            })
            .collect();
        let mut asked = Vec::new();
        for _ in 0..300 {
            asked.push(soon(server.request()).await);
        }
        let serve = tokio::spawn(async move {
            for (id, method) in asked.iter().rev() {
                server.answer(id, &format!("[\"{method}\"]")).await;
                // A second answer to the same id is nobody's.
                server.answer(id, "[0]").await;
            }
            server
        });
        for call in calls {
            let (reply, name) = soon(call).await.unwrap();
            assert_eq!(args_of(reply), format!("[\"{name}\"]"));
        }
        soon(serve).await.unwrap();
        assert!(client.inner.shared.lock().pending.is_empty());
    }

    #[tokio::test]
    async fn a_drop_fails_pending_and_later_calls() {
        let (client, mut server) = pair();
        let pending = calls(&client, 3);
        soon(server.request()).await;
        assert!(!client.is_closed());
        drop(server);
        for call in pending {
            let error = soon(call).await.unwrap().unwrap_err();
            assert_eq!(error.code(), "PM2_CONNECTION_LOST");
        }
        soon(client.closed()).await;
        assert!(client.is_closed());
        assert!(soon(client.call("ping", "[{}]")).await.is_err());
        assert!(client.send("ping", "[{}]").is_err());
    }

    #[tokio::test]
    async fn text_comes_as_it_was_sent() {
        let (client, mut server) = pair();
        let mut check = async |payload: Argument, expected: Option<&str>| {
            let client = client.clone();
            let call = tokio::spawn(async move { text_of(&client, "list", "[{}]").await });
            let (id, _) = soon(server.request()).await;
            let frame = protocol::encode(&[payload, id]).unwrap();
            server.stream.write_all(&frame).await.unwrap();
            assert_eq!(soon(call).await.unwrap().ok().as_deref(), expected);
        };
        let json = |text: &str| Argument::Json(text.to_owned());
        for text in ["{ \"args\": [1, \"\\ud800\"] }", "{\"error\":\"no\",\"stack\":\"at\"}", "{"] {
            check(json(text), Some(text)).await;
        }
        let half = Argument::Blob(b"j:{\"args\":[\"\xff\"]}".to_vec());
        check(half, Some("{\"args\":[\"\u{fffd}\"]}")).await;
        check(Argument::Text("{}".to_owned()), None).await;
        assert!(client.is_closed(), "that was no reply");
    }

    #[tokio::test]
    async fn too_large_a_request_is_not_sent() {
        let (client, mut server) = pair();
        let large = "x".repeat(MAX_REQUEST_BYTES);
        for error in [
            client.call("m", &large).await.unwrap_err(),
            text_of(&client, "m", &large).await.unwrap_err(),
            client.send("m", &large).unwrap_err(),
        ] {
            assert_eq!(error.code(), "PM2_REQUEST_TOO_LARGE");
        }
        assert!(client.inner.shared.lock().pending.is_empty());
        let call = tokio::spawn(async move { client.call("small", "[{}]").await });
        let (id, method) = soon(server.request()).await;
        assert_eq!(method, "small");
        server.answer(&id, "[]").await;
        assert_eq!(args_of(soon(call).await.unwrap()), "[]");
    }

    #[tokio::test]
    async fn what_a_daemon_has_said_at_last_is_heard() {
        let (client, mut server) = pair();
        let calls = calls(&client, 2);
        for _ in 0..2 {
            let (id, _) = soon(server.request()).await;
            server.answer(&id, "[7]").await;
        }
        drop(server);
        // It cannot be written; the answers to the others have not been looked at.
        client.send("m", "[{}]").unwrap();
        for call in calls {
            assert_eq!(args_of(soon(call).await.unwrap()), "[7]");
        }
        soon(client.closed()).await;
    }

    /// Larger than any buffer of the system, so that most of it waits.
    #[tokio::test]
    async fn requests_arrive_whole_and_in_order() {
        let (client, mut server) = pair();
        let sizes = [3_000_000, 10, 500_000, 0, 1];
        for (number, size) in sizes.into_iter().enumerate() {
            client.send(&format!("m{number}"), &format!("[\"{}\"]", "x".repeat(size))).unwrap();
        }
        for number in 0..sizes.len() {
            assert_eq!(soon(server.request()).await.1, format!("m{number}"));
        }
    }

    #[tokio::test]
    async fn closing_fails_pending_calls() {
        let (client, mut server) = pair();
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.call("ping", "[{}]").await }
        });
        soon(server.request()).await;
        client.close();
        client.close();
        assert!(soon(call).await.unwrap().is_err());
        soon(client.closed()).await;
        let mut rest = Vec::new();
        soon(server.stream.read_to_end(&mut rest)).await.unwrap();
    }

    #[tokio::test]
    async fn garbage_ends_the_connection() {
        let garbage: [&[u8]; 4] = [
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\x10",
            b"\x11\0\0\0\x03j:1",
            b"\x12\0\0\0\x03j:{\0\0\0\x03s:1",
        ];
        for bytes in garbage {
            let (client, mut server) = pair();
            let call = tokio::spawn({
                let client = client.clone();
                async move { client.call("ping", "[{}]").await }
            });
            soon(server.request()).await;
            server.stream.write_all(bytes).await.unwrap();
            assert!(soon(call).await.unwrap().is_err(), "{bytes:?}");
            soon(client.closed()).await;
        }
    }

    #[tokio::test]
    async fn strange_ids_are_nobodys() {
        let (client, mut server) = pair();
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.call("ping", "[{}]").await }
        });
        let (id, _) = soon(server.request()).await;
        for strange in ["", ":", "1:0", "x:0", "99999999999999999999:0"] {
            let strange = Argument::Text(strange.to_owned());
            server.answer(&strange, "[\"wrong\"]").await;
        }
        server.answer(&Argument::Json("0".into()), "[\"wrong\"]").await;
        server.answer(&id, "[\"right\"]").await;
        assert_eq!(args_of(soon(call).await.unwrap()), "[\"right\"]");
    }

    #[tokio::test]
    async fn an_abandoned_call_is_forgotten() {
        let (client, mut server) = pair();
        let short = Duration::from_millis(5);
        assert!(timeout(short, client.call("slow", "[{}]")).await.is_err());
        assert!(client.inner.shared.lock().pending.is_empty());
        let (id, _) = soon(server.request()).await;
        server.answer(&id, "[]").await;
        let next = tokio::spawn({
            let client = client.clone();
            async move { client.call("fast", "[{}]").await }
        });
        let (id, method) = soon(server.request()).await;
        assert_eq!(method, "fast");
        server.answer(&id, "[1]").await;
        assert_eq!(args_of(soon(next).await.unwrap()), "[1]");
    }

    #[tokio::test]
    async fn a_daemon_that_does_not_read_blocks_nobody_for_ever() {
        let (client, server) = pair();
        let calls: Vec<_> = (0..200)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.call("m", &"[".repeat(2000)).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(5)).await;
        drop(server);
        for call in calls {
            assert!(soon(call).await.unwrap().is_err());
        }
    }

    #[tokio::test]
    async fn dropping_the_last_clone_closes() {
        let (client, mut server) = pair();
        drop(client.clone());
        assert!(!client.is_closed());
        drop(client);
        let mut rest = Vec::new();
        soon(server.stream.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty());
    }
}
