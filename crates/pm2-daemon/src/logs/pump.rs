//! Moves one pipe's bytes to files and, if somebody listens, to the bus.
//!
//! Measured on Linux 6: `read` and an appending `write` of 64 KiB are as fast as `splice` and take no more processor time,
//! since a file gets its own copy of the bytes either way. `splice` refuses files that are opened for appending, and
//! without that a file that somebody empties while it is written would get a hole.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use memchr::{memchr, memrchr};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use super::assemble::{Assembler, Begun, LineFormat, Pending, Share, incomplete_tail};
use super::file::{Attached, Change, LogFile};
use crate::bus::Bus;
use crate::clock::epoch_ms;
use crate::journal::Journal;
use crate::sys::{enlarge_pipe, pipe_capacity, watch_descriptor};
use crate::zone::Zone;

/// Bytes taken from a pipe at a time.
const CHUNK: usize = 64 * 1024;
/// After so many chunks it is another stream's turn.
const CHUNKS_PER_TURN: usize = 4;

thread_local! {
    /// One for all streams: what is read is dealt with before anything else is.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// How one stream appears on the bus.
pub(crate) struct Tap {
    pub(crate) bus: Bus,
    /// The error stream, else the output.
    pub(crate) is_error: bool,
    /// JSON text of the `process` member.
    pub(crate) process: Arc<str>,
    /// Nothing is published for an app with `disable_logs`.
    pub(crate) muted: bool,
    /// How lines are written; `None`: the bytes as they are.
    pub(crate) format: Option<LineFormat>,
    /// Name of the zone of dates; `None`: that of the daemon.
    pub(crate) zone: Option<String>,
}

/// What a pump can be asked for while it runs. Small, as there is room for many of them.
pub(super) type Request = Box<Wish>;

pub(super) enum Wish {
    /// To say when the pipe has been read empty once.
    Drain(oneshot::Sender<()>),
    /// To write to these files from now on, when the line that has begun is over.
    Files(Vec<Attached>),
    /// To stop, and to leave everything to whoever goes on.
    Freeze(oneshot::Sender<Box<Pump>>),
}

/// One pipe and where its bytes go.
pub(super) struct Pump {
    pub(super) pipe: OwnedFd,
    pub(super) files: Vec<Destination>,
    pub(super) tap: Tap,
    /// Bytes of a character that the last chunk cut.
    pub(super) carry: Vec<u8>,
    /// The line that has not ended yet.
    pub(super) line: Pending,
}

/// Where bytes go. It counts as a stream of the file before anything runs: a line that the first stream begins is torn by
/// the second one otherwise.
pub(super) struct Destination {
    pub(super) file: Attached,
    /// What is not written before its line has ended.
    pub(super) held: Vec<u8>,
}

impl From<Arc<LogFile>> for Destination {
    fn from(file: Arc<LogFile>) -> Destination {
        Destination { file: Attached::new(file), held: Vec::new() }
    }
}

/// What all pumps share.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) journal: Journal,
    pub(super) begun: Begun,
    /// How many streams have large pipes.
    pub(super) n_large: Arc<AtomicUsize>,
}

/// The pipe of an app that writes much has this size; the others have what the system gives them.
const LARGE_PIPE: usize = 256 * 1024;
/// A user may have 64 MiB in all pipes, then new ones become tiny.
const MAX_LARGE_PIPES: usize = 64;

/// The right to have a large pipe.
struct Large(Arc<AtomicUsize>);

impl Large {
    fn take(n_large: &Arc<AtomicUsize>) -> Option<Large> {
        if n_large.fetch_add(1, Ordering::Relaxed) < MAX_LARGE_PIPES {
            return Some(Large(n_large.clone()));
        }
        n_large.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs until the pipe ends, or until it is asked to stop: then it gives what it has, and for whom.
pub(super) async fn run(
    pump: Box<Pump>,
    requests: &mut mpsc::UnboundedReceiver<Request>,
    surroundings: &Surroundings,
) -> Option<(Box<Pump>, oneshot::Sender<Box<Pump>>)> {
    let Pump { pipe, files, tap, carry, line } = *pump;
    let pipe = match nonblocking(pipe).and_then(watch_descriptor) {
        Ok(pipe) => pipe,
        Err(error) => {
            surroundings.journal.error(format_args!("cannot read the output of an app: {error}"));
            return None;
        }
    };
    let mut large = None;
    let mut stream = Stream::new(files, tap, carry, line, surroundings);
    loop {
        tokio::select! {
            ready = pipe.readable() => {
                let Ok(mut ready) = ready else { return None };
                for _ in 0..CHUNKS_PER_TURN {
                    match stream.take_from(&pipe) {
                        Ok(count) if count > 0 => {
                            if count == CHUNK && large.is_none() {
                                large = Large::take(&surroundings.n_large);
                                if large.is_some() {
                                    enlarge_pipe(pipe.get_ref(), LARGE_PIPE);
                                }
                            }
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            ready.clear_ready();
                            break;
                        }
                        _ => {
                            stream.finish();
                            return None;
                        }
                    }
                }
            }
            Some(request) = requests.recv() => match *request {
                Wish::Drain(done) => {
                    // What a process wrote before it ended fits into its pipe; a survivor that goes on
                    // writing must not hold this up.
                    let mut left = pipe_capacity(pipe.get_ref());
                    while left > 0 {
                        match stream.take_from(&pipe) {
                            Ok(count) if count > 0 => left = left.saturating_sub(count),
                            _ => break,
                        }
                    }
                    stream.finish();
                    // The one who asked may have gone.
                    let _ = done.send(());
                }
                Wish::Files(files) => stream.write_to(files),
                Wish::Freeze(to) => return Some((Box::new(stream.into_pump(pipe.into_inner())), to)),
            }
        }
        tokio::task::yield_now().await;
    }
}

fn nonblocking(pipe: OwnedFd) -> io::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(pipe)
}

fn read(pipe: &AsyncFd<OwnedFd>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is writable for its length.
    let count = unsafe { libc::read(pipe.get_ref().as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

struct Stream {
    targets: Vec<Target>,
    tap: Tap,
    surroundings: Surroundings,
    /// Bytes of a character that the last chunk cut.
    carry: Vec<u8>,
    lines: Lines,
    /// What is written to when the line is over.
    next_files: Option<Vec<Attached>>,
}

enum Lines {
    /// Put together and written in another form.
    Formatted(Assembler),
    /// As they come.
    Plain { is_mid_line: bool },
}

/// A file of a stream. One that others write to as well gets whole lines, so that none is torn.
struct Target {
    file: Attached,
    /// The line that has begun, and waits for its end.
    held: Vec<u8>,
    share: Share,
}

impl Target {
    fn new(Destination { file, held }: Destination, begun: &Begun) -> Target {
        let mut share = Share::of(begun);
        share.set(held.len());
        Target { file, held, share }
    }

    /// What of these bytes is to be written now, with what has been held.
    fn due<'a>(&'a mut self, bytes: &'a [u8], lines: &'a mut Vec<u8>) -> &'a [u8] {
        let end =
            if self.file.is_shared() { memrchr(b'\n', bytes).map(|end| end + 1) } else { Some(bytes.len()) };
        let (ended, rest) = bytes.split_at(end.unwrap_or(0));
        if end.is_some() && self.held.is_empty() {
            self.held.extend_from_slice(rest);
            self.share.set(self.held.len());
            return ended;
        }
        self.held.extend_from_slice(ended);
        if end.is_some() {
            std::mem::swap(lines, &mut self.held);
        }
        self.held.extend_from_slice(rest);
        if self.share.set(self.held.len()) {
            lines.append(&mut self.held);
            self.share.set(0);
        }
        lines
    }
}

impl Stream {
    fn new(
        files: Vec<Destination>,
        tap: Tap,
        carry: Vec<u8>,
        line: Pending,
        surroundings: &Surroundings,
    ) -> Stream {
        let begun = &surroundings.begun;
        let lines = match tap.format.clone() {
            Some(format) => {
                let zone = tap.zone.as_deref().and_then(Zone::named).unwrap_or(Zone::Local);
                Lines::Formatted(Assembler::new(format, zone, tap.is_error, line, begun))
            }
            None => Lines::Plain { is_mid_line: line.is_rest },
        };
        let targets = files.into_iter().map(|file| Target::new(file, begun)).collect();
        Stream { targets, tap, surroundings: surroundings.clone(), carry, lines, next_files: None }
    }

    fn into_pump(self, pipe: OwnedFd) -> Pump {
        let Stream { targets, tap, carry, lines, next_files, .. } = self;
        let line = match lines {
            Lines::Formatted(lines) => lines.into_pending(),
            Lines::Plain { is_mid_line } => Pending { bytes: Vec::new(), is_rest: is_mid_line },
        };
        let mut files: Vec<Destination> =
            targets.into_iter().map(|target| Destination { file: target.file, held: target.held }).collect();
        // They have the same order; the line that has begun ends in the new ones.
        for (destination, file) in files.iter_mut().zip(next_files.unwrap_or_default()) {
            destination.file = file;
        }
        Pump { pipe, files, tap, carry, line }
    }

    /// Reads once and deals with it.
    fn take_from(&mut self, pipe: &AsyncFd<OwnedFd>) -> io::Result<usize> {
        BUFFER.with_borrow_mut(|buffer| {
            let count = read(pipe, buffer)?;
            if count > 0 {
                self.take(&buffer[..count]);
            }
            Ok(count)
        })
    }

    fn take(&mut self, bytes: &[u8]) {
        if let Lines::Formatted(lines) = &mut self.lines {
            let text = lines.take(bytes, &chrono::Local::now());
            return self.emit(&text);
        }
        let end = memchr(b'\n', bytes).filter(|_| self.next_files.is_some());
        let (line, rest) = bytes.split_at(end.map_or(0, |end| end + 1));
        if !line.is_empty() {
            self.write(line);
            self.exchange_files();
        }
        if !rest.is_empty() {
            self.write(rest);
        }
        self.lines = Lines::Plain { is_mid_line: bytes.last() != Some(&b'\n') };
        if self.is_watched() {
            let text = self.decode(bytes);
            self.publish(&text);
        } else {
            self.carry.clear();
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let Surroundings { journal, .. } = &self.surroundings;
        for target in &mut self.targets {
            let mut lines = Vec::new();
            let file = Arc::clone(&target.file);
            let due = target.due(bytes, &mut lines);
            if !due.is_empty() {
                append(&file, due, journal, &self.tap.bus);
            }
        }
    }

    /// Writes the line that has no end.
    fn finish(&mut self) {
        if let Lines::Formatted(lines) = &mut self.lines {
            let text = lines.finish(&chrono::Local::now());
            self.emit(&text);
        }
        for target in &mut self.targets {
            let mut held = std::mem::take(&mut target.held);
            target.share.set(0);
            if !held.is_empty() {
                if target.file.is_shared() {
                    // What another stream writes next is a line of its own.
                    held.push(b'\n');
                }
                append(&target.file, &held, &self.surroundings.journal, &self.tap.bus);
            }
        }
        self.exchange_files();
    }

    /// Writes to other files from the next line on.
    fn write_to(&mut self, files: Vec<Attached>) {
        self.next_files = Some(files);
        if !matches!(self.lines, Lines::Plain { is_mid_line: true }) {
            self.exchange_files();
        }
    }

    fn exchange_files(&mut self) {
        if let Some(files) = self.next_files.take() {
            let begun = &self.surroundings.begun;
            self.targets = files
                .into_iter()
                .map(|file| Target::new(Destination { file, held: Vec::new() }, begun))
                .collect();
        }
    }

    fn emit(&self, text: &[u8]) {
        if !text.is_empty() {
            for target in &self.targets {
                append(&target.file, text, &self.surroundings.journal, &self.tap.bus);
            }
            if self.is_watched() {
                self.publish(&String::from_utf8_lossy(text));
            }
        }
    }

    fn is_watched(&self) -> bool {
        !self.tap.muted && self.tap.bus.is_watched()
    }

    fn publish(&self, text: &str) {
        if !text.is_empty() {
            let topic = if self.tap.is_error { "log:err" } else { "log:out" };
            self.tap.bus.publish(topic, || {
                let data = serde_json::Value::from(text);
                format!(r#"{{"process":{},"at":{},"data":{data}}}"#, self.tap.process, epoch_ms())
            });
        }
    }

    /// Text of a chunk; a character cut at its end waits for the next one.
    fn decode(&mut self, bytes: &[u8]) -> String {
        self.carry.extend_from_slice(bytes);
        let cut = incomplete_tail(&self.carry);
        let rest = self.carry.split_off(self.carry.len() - cut);
        let text = String::from_utf8_lossy(&self.carry).into_owned();
        self.carry = rest;
        text
    }
}

fn append(file: &LogFile, bytes: &[u8], journal: &Journal, bus: &Bus) {
    for change in file.append(bytes) {
        say(&change, file, journal, bus);
    }
}

/// Tells of a fault of a log: in the daemon's own log, and as the event `pm2:log_error` or `pm2:log_recovered`.
pub(super) fn say(change: &Change, file: &LogFile, journal: &Journal, bus: &Bus) {
    let path = file.path().display();
    let packet = |error: &str, lost: Option<u64>| {
        let mut packet = serde_json::json!({"at": epoch_ms(), "path": path.to_string(), "error": error});
        if let Some(lost) = lost {
            packet["lost_bytes"] = lost.into();
        }
        packet.to_string()
    };
    match change {
        Change::Failed(error) => {
            journal.error(format_args!("cannot write the log {path}: {error}"));
            bus.publish("pm2:log_error", || packet(error, None));
        }
        Change::NotRotated(error) => {
            journal.error(format_args!("cannot rotate the log {path}: {error}"));
            bus.publish("pm2:log_error", || packet(error, None));
        }
        Change::Recovered(fault) => {
            journal.log(format_args!("writing the log {path} works again, {} bytes were lost", fault.lost));
            bus.publish("pm2:log_recovered", || packet(&fault.error, Some(fault.lost)));
        }
    }
}
