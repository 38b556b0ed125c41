//! One client: its connection and the request that is under way on it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::response::{self, Parsed};
use crate::tally::Failure;

/// A client, with nothing to do at first.
pub(crate) struct Client {
    stream: Option<TcpStream>,
    phase: Phase,
    /// When the request under way was due.
    since: Instant,
    /// Answers on this connection.
    n_answers: u64,
    received: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// No request under way; the connection may be open.
    Idle,
    /// The request is sent when the connection is there.
    Connecting,
    /// The request is sent.
    Asking,
}

/// How a request got on.
pub(crate) enum Progress {
    UnderWay,
    Answered {
        worker: Vec<u8>,
        /// The first answer on its connection.
        first: bool,
    },
    Failed(Failure),
}

impl Client {
    pub(crate) fn new(now: Instant) -> Client {
        Client { stream: None, phase: Phase::Idle, since: now, n_answers: 0, received: Vec::new() }
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.phase != Phase::Idle
    }

    /// When the request under way was due.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    /// Sends a request that is due at `since`, on the open connection.
    pub(crate) fn ask(&mut self, request: &[u8], since: Instant) -> Progress {
        self.since = since;
        self.phase = Phase::Asking;
        let Some(stream) = &mut self.stream else { return self.failed(Failure::WriteError) };
        match stream.write(request) {
            Ok(length) if length == request.len() => Progress::UnderWay,
            _ => self.failed(Failure::WriteError),
        }
    }

    /// The same on a new connection.
    pub(crate) fn connect_and_ask(
        &mut self,
        address: SocketAddr,
        request: &[u8],
        since: Instant,
        registry: &Registry,
        token: Token,
    ) -> Progress {
        self.since = since;
        match self.open(address, request, registry, token) {
            Ok(progress) => progress,
            Err(error) => self.failed(connect_failure(&error)),
        }
    }

    fn open(
        &mut self,
        address: SocketAddr,
        request: &[u8],
        registry: &Registry,
        token: Token,
    ) -> io::Result<Progress> {
        let mut stream = TcpStream::connect(address)?;
        // On one machine a connection is mostly there at once: no need to wait to be told.
        let interest = match stream.write(request) {
            Ok(length) if length == request.len() => {
                self.phase = Phase::Asking;
                Interest::READABLE
            }
            Ok(_) => return Ok(self.failed(Failure::WriteError)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                self.phase = Phase::Connecting;
                Interest::READABLE | Interest::WRITABLE
            }
            Err(error) => return Err(error),
        };
        registry.register(&mut stream, token, interest)?;
        self.stream = Some(stream);
        Ok(Progress::UnderWay)
    }

    /// An event of an open connection without a request: the server closes it, as it may, or says why it will.
    pub(crate) fn on_event_while_idle(&mut self, buffer: &mut [u8]) {
        let Some(stream) = &mut self.stream else { return };
        if !matches!(stream.read(buffer), Err(error) if error.kind() == ErrorKind::WouldBlock) {
            self.close();
        }
    }

    /// `keep_alive`: the connection stays open after an answer if the server lets it.
    pub(crate) fn on_event(
        &mut self,
        event: &Event,
        request: &[u8],
        keep_alive: bool,
        buffer: &mut [u8],
    ) -> Progress {
        if self.phase == Phase::Connecting && (event.is_writable() || event.is_error()) {
            let Some(stream) = &mut self.stream else { return Progress::UnderWay };
            if let Ok(Some(error)) | Err(error) = stream.take_error() {
                return self.failed(connect_failure(&error));
            }
            if let progress @ Progress::Failed(_) = self.ask(request, self.since) {
                return progress;
            }
        }
        if self.phase == Phase::Asking && (event.is_readable() || event.is_read_closed() || event.is_error())
        {
            return self.read(event.is_read_closed(), keep_alive, buffer);
        }
        Progress::UnderWay
    }

    /// Events are told once, so it reads until nothing is left.
    fn read(&mut self, closing: bool, keep_alive: bool, buffer: &mut [u8]) -> Progress {
        loop {
            let Some(stream) = &mut self.stream else { return Progress::UnderWay };
            let length = match stream.read(buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::UnderWay,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => {
                    return self.lost([Failure::ResetFresh, Failure::ResetReused, Failure::ResetInAnswer]);
                }
            };
            self.received.extend_from_slice(&buffer[..length]);
            let ended = length == 0;
            match response::parse(&self.received, ended) {
                Parsed::Complete(response) if response.status == 200 => {
                    let worker = response.body.into_owned();
                    let keeps_open = keep_alive && response.keeps_open && !closing;
                    return self.answered(worker, keeps_open);
                }
                Parsed::Complete(_) => return self.failed(Failure::BadStatus),
                Parsed::Malformed => return self.failed(Failure::Malformed),
                Parsed::Incomplete if ended => {
                    return self.lost([Failure::ClosedFresh, Failure::ClosedReused, Failure::ClosedInAnswer]);
                }
                // What fills the buffer only in part was all there was; the end has an event of its own.
                Parsed::Incomplete if length < buffer.len() && !closing => return Progress::UnderWay,
                Parsed::Incomplete => {}
            }
        }
    }

    fn answered(&mut self, worker: Vec<u8>, keeps_open: bool) -> Progress {
        self.phase = Phase::Idle;
        self.received.clear();
        self.n_answers += 1;
        let first = self.n_answers == 1;
        if !keeps_open {
            self.close();
        }
        Progress::Answered { worker, first }
    }

    /// The failure of a connection that has ended, by how far it had come.
    fn lost(&mut self, [fresh, reused, in_answer]: [Failure; 3]) -> Progress {
        let failure = match (self.received.is_empty(), self.n_answers) {
            (false, _) => in_answer,
            (true, 0) => fresh,
            (true, _) => reused,
        };
        self.failed(failure)
    }

    fn failed(&mut self, failure: Failure) -> Progress {
        self.close();
        Progress::Failed(failure)
    }

    /// Gives the request up, if there is one.
    pub(crate) fn close(&mut self) {
        self.stream = None;
        self.phase = Phase::Idle;
        self.n_answers = 0;
        self.received.clear();
    }
}

fn connect_failure(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::ConnectRefused,
        _ => Failure::ConnectError,
    }
}
