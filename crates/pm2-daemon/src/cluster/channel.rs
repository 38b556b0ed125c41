//! The daemon's end of a worker's channel: lines both ways, and descriptors to the worker.
//!
//! A worker takes one descriptor per read. A frame that is split over two reads would get the next frame's
//! descriptor, so with much unread text before it only one descriptor may be on its way. Specification
//! `node-cluster-protocol.md` §3.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use crate::handover::{Bytes, FrameState, HeldState, OnTheWayState, Shared, Sharing, WorkerChannelState};
use crate::ipc::{Lines, Outbox, Written};
use crate::sys::send_with_descriptor;

/// Unread text above which only one descriptor may be on its way; half of what Node reads at once.
const MAX_UNREAD: u64 = 32 * 1024;

pub(super) struct Channel {
    stream: UnixStream,
    lines: Lines,
    /// Messages of the daemon's clients.
    outbox: Outbox,
    /// What the socket has not taken yet.
    unsent: VecDeque<Frame>,
    /// Descriptors on their way, oldest first.
    on_the_way: VecDeque<OnTheWay>,
    /// Listening sockets that have to wait for the descriptor before.
    held: VecDeque<Held>,
    /// Bytes of text sent so far.
    n_text: u64,
    /// The part of them that the worker has read for sure.
    n_read: u64,
}

struct OnTheWay {
    /// The number of its frame if it is a connection.
    seq: Option<u64>,
    /// What it is if it is a listening socket.
    held: Option<Held>,
    /// Text sent before it; read when it is acknowledged.
    n_text: u64,
}

/// A listening socket for a worker.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) line: String,
    pub(super) socket: Rc<OwnedFd>,
    pub(super) asked: Asked,
}

impl Held {
    pub(super) fn freeze(self, shared: &mut Shared) -> HeldState {
        let Asked { listener, ack, n_failed } = self.asked;
        HeldState { line: self.line, socket: shared.keep_share(self.socket), listener, ack, n_failed }
    }

    /// # Errors
    /// When the socket was not kept.
    pub(super) fn thaw(state: HeldState, sharing: &mut Sharing) -> io::Result<Held> {
        let HeldState { line, socket, listener, ack, n_failed } = state;
        Ok(Held { line, socket: sharing.take_share(socket)?, asked: Asked { listener, ack, n_failed } })
    }
}

/// Which wish of the worker a listening socket answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) listener: usize,
    /// Number of the worker's frame.
    pub(super) ack: u64,
    /// Times that it has not arrived.
    pub(super) n_failed: u8,
}

/// What a worker has, or has not, got.
pub(super) enum Answered {
    /// A connection; the number of its frame.
    Connection(u64),
    Socket(Held),
}

struct Frame {
    bytes: Vec<u8>,
    n_sent: usize,
    descriptor: Option<Rc<OwnedFd>>,
    /// It came from the outbox.
    message: Option<Written>,
}

/// Why a channel cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// Nothing more has come.
    Empty,
    /// The worker's end is closed.
    Closed,
}

impl Channel {
    pub(super) fn new(stream: UnixStream, outbox: Outbox) -> Channel {
        Channel {
            stream,
            lines: Lines::default(),
            outbox,
            unsent: VecDeque::new(),
            on_the_way: VecDeque::new(),
            held: VecDeque::new(),
            n_text: 0,
            n_read: 0,
        }
    }

    /// The channel as data; what clients have sent comes after everything else.
    pub(super) fn freeze(mut self, shared: &mut Shared) -> WorkerChannelState {
        let frame = |frame: Frame, shared: &mut Shared| FrameState {
            rest: Bytes(frame.bytes[frame.n_sent..].to_vec()),
            descriptor: frame.descriptor.map(|descriptor| shared.keep_share(descriptor)),
            // It counts as written: it is handed over.
            is_message: frame.message.map(Written::done).is_some(),
        };
        let mut unsent: Vec<FrameState> = self.unsent.drain(..).map(|unsent| frame(unsent, shared)).collect();
        while let Some(message) = self.outbox.try_next() {
            message.written.done();
            unsent.push(FrameState { rest: Bytes(message.line), descriptor: None, is_message: true });
        }
        WorkerChannelState {
            socket: shared.keep(self.stream),
            lines: self.lines.freeze(),
            unsent,
            on_the_way: self
                .on_the_way
                .into_iter()
                .map(|OnTheWay { seq, held, n_text }| OnTheWayState {
                    seq,
                    held: held.map(|held| held.freeze(shared)),
                    n_text,
                })
                .collect(),
            held: self.held.into_iter().map(|held| held.freeze(shared)).collect(),
            n_text: self.n_text,
            n_read: self.n_read,
        }
    }

    /// The channel that was frozen. How much text is unread in it is taken to be much, until the worker answers.
    ///
    /// # Errors
    /// When a descriptor was not kept.
    pub(super) fn thaw(
        state: WorkerChannelState,
        outbox: Outbox,
        sharing: &mut Sharing,
    ) -> io::Result<Channel> {
        let frame = |state: FrameState, sharing: &mut Sharing| {
            let descriptor = state.descriptor.map(|descriptor| sharing.take_share(descriptor)).transpose()?;
            let message = state.is_message.then(Written::unasked);
            Ok(Frame { bytes: state.rest.0, n_sent: 0, descriptor, message })
        };
        let unsent =
            state.unsent.into_iter().map(|unsent| frame(unsent, sharing)).collect::<io::Result<_>>()?;
        let held = state.held.into_iter().map(|held| Held::thaw(held, sharing)).collect::<io::Result<_>>()?;
        let on_the_way = |state: OnTheWayState, sharing: &mut Sharing| {
            let held = state.held.map(|held| Held::thaw(held, sharing)).transpose()?;
            Ok(OnTheWay { seq: state.seq, held, n_text: state.n_text })
        };
        let on_the_way =
            state.on_the_way.into_iter().map(|sent| on_the_way(sent, sharing)).collect::<io::Result<_>>()?;
        Ok(Channel {
            stream: sharing.take(state.socket)?.into(),
            lines: Lines::thaw(state.lines),
            outbox,
            unsent,
            on_the_way,
            held,
            n_text: state.n_text + MAX_UNREAD + 1,
            n_read: state.n_read,
        })
    }

    pub(super) fn raw(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Reads once. Descriptors that the worker sends are closed by not being received.
    pub(super) fn read(&mut self, buffer: &mut [u8], complete: impl FnMut(Vec<u8>)) -> Result<(), Pause> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(Pause::Closed),
                Ok(count) => {
                    self.lines.feed(&buffer[..count], complete);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Pause::Empty),
                Err(_) => return Err(Pause::Closed),
            }
        }
    }

    pub(super) fn send(&mut self, line: String) -> io::Result<()> {
        self.push(with_end(line), None, None);
        self.flush()
    }

    /// Sends a connection, which must have room ([`Channel::has_room`]).
    pub(super) fn send_connection(
        &mut self,
        line: String,
        seq: u64,
        connection: Rc<OwnedFd>,
    ) -> io::Result<()> {
        self.on_the_way.push_back(OnTheWay { seq: Some(seq), held: None, n_text: self.n_text });
        self.push(with_end(line), Some(connection), None);
        self.flush()
    }

    /// Sends a listening socket as soon as one may be sent.
    pub(super) fn send_socket(&mut self, held: Held) -> io::Result<()> {
        self.held.push_back(held);
        self.flush()
    }

    /// Whether a connection would leave at once and arrive whole.
    pub(super) fn has_room(&self) -> bool {
        self.unsent.is_empty() && self.held.is_empty() && self.may_send_descriptor()
    }

    fn may_send_descriptor(&self) -> bool {
        self.on_the_way.is_empty() || self.n_text - self.n_read <= MAX_UNREAD
    }

    /// The oldest descriptor on its way has arrived, or has not; gives which that was.
    pub(super) fn answered(&mut self) -> Option<Answered> {
        let first = self.on_the_way.pop_front()?;
        self.n_read = first.n_text;
        first.seq.map(Answered::Connection).or(first.held.map(Answered::Socket))
    }

    fn push(&mut self, bytes: Vec<u8>, descriptor: Option<Rc<OwnedFd>>, message: Option<Written>) {
        self.unsent.push_back(Frame { bytes, n_sent: 0, descriptor, message });
    }

    /// Writes what can be written.
    ///
    /// # Errors
    /// `ETOOMANYREFS`: too many descriptors of this user are on their way, it must be tried again after a while.
    /// The end of a channel is no error here; reading it tells.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        loop {
            if self.unsent.is_empty() && !self.refill() {
                return Ok(());
            }
            let Some(frame) = self.unsent.front_mut() else { return Ok(()) };
            let descriptor = frame.descriptor.as_ref().map(|descriptor| descriptor.as_fd());
            let has_descriptor = descriptor.is_some();
            match send_with_descriptor(self.stream.as_raw_fd(), &frame.bytes[frame.n_sent..], descriptor) {
                Ok(count) => {
                    frame.n_sent += count;
                    if frame.message.is_some() {
                        self.outbox.sent(count);
                    }
                    frame.descriptor = None;
                    let is_whole = frame.n_sent == frame.bytes.len();
                    if !has_descriptor {
                        self.n_text += count as u64;
                    } else if !is_whole {
                        // The worker may read the rest together with the next descriptor.
                        self.n_text += MAX_UNREAD + 1;
                    }
                    if is_whole && let Some(Frame { message: Some(written), .. }) = self.unsent.pop_front() {
                        written.done();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ETOOMANYREFS) => return Err(error),
                // The reading side finds out.
                Err(_) => return Ok(()),
            }
        }
    }

    /// Takes the next frame from where it waits.
    fn refill(&mut self) -> bool {
        if self.may_send_descriptor()
            && let Some(held) = self.held.pop_front()
        {
            self.on_the_way.push_back(OnTheWay { seq: None, held: Some(held.clone()), n_text: self.n_text });
            self.push(with_end(held.line), Some(held.socket), None);
        } else if let Some(message) = self.outbox.try_next() {
            self.push(message.line, None, Some(message.written));
        } else {
            return false;
        }
        true
    }
}

fn with_end(mut line: String) -> Vec<u8> {
    line.push('\n');
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::{ChannelSender, outbox};
    use crate::sys::channel_pair;

    fn pair() -> (Channel, ChannelSender, UnixStream) {
        let (ours, theirs) = channel_pair().unwrap();
        let (sender, outbox) = outbox(None, 0);
        (Channel::new(ours, outbox), sender, theirs.into())
    }

    fn connection() -> Rc<OwnedFd> {
        Rc::new(std::fs::File::open("/dev/null").unwrap().into())
    }

    #[test]
    fn much_unread_text_leaves_room_for_one_descriptor() {
        let (mut channel, sender, _worker) = pair();
        sender.send(&format!("\"{}\"", "x".repeat(40_000))).unwrap();
        channel.flush().unwrap();
        assert!(channel.has_room());
        channel.send_connection("1".to_owned(), 1, connection()).unwrap();
        assert!(!channel.has_room());
        // A listening socket waits.
        let asked = Asked { listener: 0, ack: 1, n_failed: 0 };
        channel.send_socket(Held { line: "2".to_owned(), socket: connection(), asked }).unwrap();
        assert_eq!((channel.held.len(), channel.on_the_way.len()), (1, 1));
        // What follows a descriptor is not read when that one is acknowledged.
        sender.send(&format!("\"{}\"", "x".repeat(40_000))).unwrap();
        channel.flush().unwrap();
        assert!(matches!(channel.answered(), Some(Answered::Connection(1))));
        channel.flush().unwrap();
        assert_eq!((channel.held.len(), channel.on_the_way.len()), (0, 1));
        assert!(!channel.has_room());
        assert!(matches!(channel.answered(), Some(Answered::Socket(_))));
        for seq in 3..6 {
            assert!(channel.has_room());
            channel.send_connection(seq.to_string(), seq, connection()).unwrap();
        }
    }

    #[test]
    fn a_full_socket_has_no_room_and_loses_nothing() {
        let (mut channel, sender, mut worker) = pair();
        let text = format!("\"{}\"", "x".repeat(1000));
        for _ in 0..2000 {
            sender.send(&text).unwrap();
        }
        channel.flush().unwrap();
        assert!(!channel.has_room());
        worker.set_nonblocking(true).unwrap();
        let mut n_read = 0;
        let mut buffer = vec![0; 65536];
        while n_read < 2000 * (text.len() + 1) {
            match worker.read(&mut buffer) {
                Ok(count) => n_read += count,
                Err(_) => channel.flush().unwrap(),
            }
        }
        assert!(channel.has_room());
        assert!(
            sender.send(&format!("\"{}\"", "x".repeat(16 * 1024 * 1024))).is_ok(),
            "all bytes were given back"
        );
    }

    #[test]
    fn both_ends_of_reading() {
        let (mut channel, _sender, mut worker) = pair();
        let mut buffer = vec![0; 64];
        let mut lines = Vec::new();
        assert_eq!(channel.read(&mut buffer, |_| {}), Err(Pause::Empty));
        io::Write::write_all(&mut worker, b"{}\n1").unwrap();
        assert_eq!(channel.read(&mut buffer, |line| lines.push(line)), Ok(()));
        drop(worker);
        assert_eq!(channel.read(&mut buffer, |_| {}), Err(Pause::Closed));
        assert_eq!(lines, [b"{}".to_vec()]);
    }
}
