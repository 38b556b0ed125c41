//! The daemon's end of the channel of a process that is no cluster worker: two tasks that can be interrupted.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::MAX_INCOMING;
use super::lines::Lines;
use super::message::{AppMessage, Line, parse};
use super::outbox::{ChannelSender, Outbox, Outgoing, Written, outbox};
use crate::handover::{Bytes, ChannelState, Descriptors};
use crate::sys::send_with_descriptor;

/// A served channel. Its tasks end with it.
pub(crate) struct Channel {
    stream: Arc<UnixStream>,
    reader: JoinHandle<Reader>,
    writer: JoinHandle<Writer>,
    /// Their ends interrupt them.
    going_on: [oneshot::Sender<()>; 2],
}

/// What the owner of a process has of its channel.
pub(crate) struct Ends {
    pub(crate) sender: ChannelSender,
    /// The stream ends when the app closes its end.
    pub(crate) messages: mpsc::Receiver<AppMessage>,
    /// `None`: served elsewhere, or closed.
    pub(crate) channel: Option<Box<Channel>>,
}

/// Serves our end of a new channel.
///
/// # Errors
/// When the socket cannot be registered with the reactor.
pub(crate) fn open(socket: std::os::unix::net::UnixStream) -> io::Result<Ends> {
    serve(socket, Reader::default(), Bytes::default())
}

/// A channel that the app has closed, after it had said something.
pub(crate) fn closed(said: Vec<AppMessage>) -> Ends {
    let (sender, _) = outbox(None, 0);
    let (deliver, messages) = mpsc::channel(said.len().max(1));
    for message in said {
        // There is room for all of them.
        drop(deliver.try_send(message));
    }
    Ends { sender, messages, channel: None }
}

fn serve(socket: std::os::unix::net::UnixStream, reader: Reader, unsent: Bytes) -> io::Result<Ends> {
    let stream = Arc::new(UnixStream::from_std(socket)?);
    let (sender, outbox) = outbox(None, unsent.0.len());
    let current = Outgoing { line: unsent.0, written: Written::unasked() };
    let writer = Writer { outbox, current, n_sent: 0 };
    let (deliver, messages) = mpsc::channel(MAX_INCOMING);
    let (reading, reads) = oneshot::channel();
    let (writing, writes) = oneshot::channel();
    let reader = tokio::spawn(reader.run(stream.clone(), deliver, reads));
    let writer = tokio::spawn(writer.run(stream.clone(), writes));
    let going_on = [reading, writing];
    let channel = Some(Box::new(Channel { stream, reader, writer, going_on }));
    Ok(Ends { sender, messages, channel })
}

impl Channel {
    /// Interrupts the tasks; `None` when the app has closed its end.
    pub(crate) async fn freeze(self, descriptors: &mut Descriptors) -> Option<ChannelState> {
        let Channel { stream, reader, writer, going_on } = self;
        drop(going_on);
        // They fail only by a panic.
        let (reader, writer) = (reader.await.ok()?, writer.await.ok()?);
        let unsent = writer.into_unsent();
        let socket = Arc::into_inner(stream).filter(|_| !reader.is_over)?;
        // A socket that cannot be had back from the reactor is as good as closed.
        let socket = descriptors.keep(OwnedFd::from(socket.into_std().ok()?));
        let received = reader.received.into_iter().map(AppMessage::freeze).collect();
        Some(ChannelState { socket, lines: reader.lines.freeze(), received, unsent })
    }
}

/// Serves a channel that was frozen, from which these messages had come.
///
/// # Errors
/// When the socket was not kept, or cannot be registered with the reactor.
pub(crate) fn thaw(
    state: ChannelState,
    said: Vec<AppMessage>,
    descriptors: &mut Descriptors,
) -> io::Result<Ends> {
    let socket = descriptors.take(state.socket)?;
    let received = state.received.into_iter().map(AppMessage::thaw);
    let reader = Reader {
        lines: Lines::thaw(state.lines),
        received: said.into_iter().chain(received).collect(),
        is_over: false,
    };
    serve(socket.into(), reader, state.unsent)
}

/// What was read and not delivered. Whole between any two waits, so that it can be interrupted.
#[derive(Default)]
struct Reader {
    lines: Lines,
    received: VecDeque<AppMessage>,
    /// The app has closed its end, or nobody wants to hear it.
    is_over: bool,
}

impl Reader {
    async fn run(
        mut self,
        stream: Arc<UnixStream>,
        deliver: mpsc::Sender<AppMessage>,
        going_on: oneshot::Receiver<()>,
    ) -> Reader {
        tokio::select! {
            () = self.read(&stream, &deliver) => self.is_over = true,
            _ = going_on => {}
        }
        self
    }

    async fn read(&mut self, stream: &UnixStream, deliver: &mpsc::Sender<AppMessage>) {
        loop {
            while !self.received.is_empty() {
                let Ok(room) = deliver.reserve().await else { return };
                if let Some(message) = self.received.pop_front() {
                    room.send(message);
                }
            }
            if stream.readable().await.is_err() {
                return;
            }
            // The buffer lives on the stack and for no longer than this call, so that an idle channel
            // costs nothing.
            match self.read_chunk(stream) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    fn read_chunk(&mut self, stream: &UnixStream) -> io::Result<usize> {
        let mut chunk = [0; 8192];
        let count = stream.try_read(&mut chunk)?;
        let Reader { lines, received, .. } = self;
        lines.feed(&chunk[..count], |line| {
            match parse(line) {
                Some(Line::Message(message)) => received.push_back(message),
                Some(Line::Handle(message)) => {
                    received.extend([AppMessage::Handle].into_iter().chain(message))
                }
                // Frames of the cluster module have no business here.
                _ => {}
            }
        });
        Ok(count)
    }
}

/// What has to be written. Whole between any two waits.
struct Writer {
    outbox: Outbox,
    current: Outgoing,
    n_sent: usize,
}

impl Writer {
    async fn run(mut self, stream: Arc<UnixStream>, going_on: oneshot::Receiver<()>) -> Writer {
        tokio::select! {
            () = self.write(&stream) => {
                // Nobody reads any more: whoever waits for that hears of it.
                self.current = Outgoing { line: Vec::new(), written: Written::unasked() };
                self.n_sent = 0;
                self.outbox.close();
            }
            _ = going_on => {}
        }
        self
    }

    async fn write(&mut self, stream: &UnixStream) {
        loop {
            while self.n_sent < self.current.line.len() {
                let rest = &self.current.line[self.n_sent..];
                let sent = stream
                    .try_io(Interest::WRITABLE, || send_with_descriptor(stream.as_raw_fd(), rest, None));
                match sent {
                    Ok(count) => {
                        self.n_sent += count;
                        self.outbox.sent(count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        if stream.writable().await.is_err() {
                            return;
                        }
                    }
                    Err(_) => return,
                }
            }
            // Before the wait: a line that was sent must not be there when it is interrupted.
            let nothing = Outgoing { line: Vec::new(), written: Written::unasked() };
            std::mem::replace(&mut self.current, nothing).written.done();
            self.n_sent = 0;
            let Some(next) = self.outbox.next().await else { return };
            self.current = next;
        }
    }

    /// What waits counts as written: it is handed over.
    fn into_unsent(mut self) -> Bytes {
        let mut unsent = self.current.line.split_off(self.n_sent);
        self.current.written.done();
        while let Some(mut next) = self.outbox.try_next() {
            unsent.append(&mut next.line);
            next.written.done();
        }
        Bytes(unsent)
    }
}
