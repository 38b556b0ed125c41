//! Moves one pipe's bytes to files and, if somebody listens, to the bus.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use super::assemble::{Assembler, LineFormat};
use super::file::{LogFile, WriteChange};
use crate::bus::Bus;
use crate::clock::epoch_ms;
use crate::journal::Journal;
use crate::sys::{pipe_capacity, watch_descriptor};

/// Bytes taken from a pipe at a time.
const CHUNK: usize = 64 * 1024;

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
}

/// What a pump can be asked for while it runs. Small, as there is room for many of them.
pub(super) type Request = Box<Wish>;

pub(super) enum Wish {
    /// To say when the pipe has been read empty once.
    Drain(oneshot::Sender<()>),
    /// To stop, and to leave everything to whoever goes on.
    Freeze(oneshot::Sender<Box<Pump>>),
}

/// One pipe and where its bytes go.
pub(super) struct Pump {
    pub(super) pipe: OwnedFd,
    pub(super) files: Vec<Arc<LogFile>>,
    pub(super) tap: Tap,
    /// Bytes of a character that the last chunk cut.
    pub(super) carry: Vec<u8>,
    /// The line that has not ended yet.
    pub(super) line: Vec<u8>,
}

/// Runs until the pipe ends, or until it is asked to stop: then it gives what it has, and for whom.
pub(super) async fn run(
    pump: Box<Pump>,
    requests: &mut mpsc::UnboundedReceiver<Request>,
    journal: &Journal,
) -> Option<(Box<Pump>, oneshot::Sender<Box<Pump>>)> {
    let Pump { pipe, files, tap, carry, line } = *pump;
    let pipe = match nonblocking(pipe).and_then(watch_descriptor) {
        Ok(pipe) => pipe,
        Err(error) => {
            journal.error(format_args!("cannot read the output of an app: {error}"));
            return None;
        }
    };
    let lines = tap.format.clone().map(|format| Assembler::new(format, tap.is_error, line));
    let mut stream = Stream { files, tap, journal: journal.clone(), carry, lines };
    let mut buffer = Vec::new();
    loop {
        tokio::select! {
            ready = pipe.readable() => {
                let Ok(mut ready) = ready else { return None };
                match read(&pipe, &mut buffer) {
                    Ok(count) if count > 0 => stream.take(&buffer),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                    _ => {
                        stream.finish();
                        return None;
                    }
                }
            }
            Some(request) = requests.recv() => match *request {
                Wish::Drain(done) => {
                    // What a process wrote before it ended fits into its pipe; a survivor that goes on
                    // writing must not hold this up.
                    let mut left = pipe_capacity(pipe.get_ref());
                    while left > 0 {
                        match read(&pipe, &mut buffer) {
                            Ok(count) if count > 0 => {
                                left = left.saturating_sub(count);
                                stream.take(&buffer);
                            }
                            _ => break,
                        }
                    }
                    stream.finish();
                    // The one who asked may have gone.
                    let _ = done.send(());
                }
                Wish::Freeze(to) => return Some((Box::new(stream.into_pump(pipe.into_inner())), to)),
            }
        }
        buffer = Vec::new();
    }
}

fn nonblocking(pipe: OwnedFd) -> io::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(pipe)
}

fn read(pipe: &AsyncFd<OwnedFd>, buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.clear();
    buffer.reserve(CHUNK);
    // SAFETY: the spare capacity is writable for CHUNK bytes; the length is set to what was written.
    unsafe {
        let count = libc::read(pipe.get_ref().as_raw_fd(), buffer.as_mut_ptr().cast(), CHUNK);
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        let count = count.unsigned_abs();
        buffer.set_len(count);
        Ok(count)
    }
}

struct Stream {
    files: Vec<Arc<LogFile>>,
    tap: Tap,
    journal: Journal,
    /// Bytes of a character that the last chunk cut.
    carry: Vec<u8>,
    lines: Option<Assembler>,
}

impl Stream {
    fn into_pump(self, pipe: OwnedFd) -> Pump {
        let Stream { files, tap, carry, lines, .. } = self;
        Pump { pipe, files, tap, carry, line: lines.map(Assembler::into_pending).unwrap_or_default() }
    }

    fn take(&mut self, bytes: &[u8]) {
        match &mut self.lines {
            Some(lines) => {
                let text = lines.take(bytes, &chrono::Local::now());
                self.emit_lines(text);
            }
            None => {
                self.write(bytes);
                if self.is_watched() {
                    let text = self.decode(bytes);
                    self.publish(text);
                } else {
                    self.carry.clear();
                }
            }
        }
    }

    /// Writes the line that has no end.
    fn finish(&mut self) {
        if let Some(lines) = &mut self.lines {
            let text = lines.finish(&chrono::Local::now());
            self.emit_lines(text);
        }
    }

    fn emit_lines(&self, text: String) {
        if !text.is_empty() {
            self.write(text.as_bytes());
            if self.is_watched() {
                self.publish(text);
            }
        }
    }

    fn is_watched(&self) -> bool {
        !self.tap.muted && self.tap.bus.is_watched()
    }

    fn write(&self, bytes: &[u8]) {
        for file in &self.files {
            match file.write(bytes) {
                Some(WriteChange::Failed(error)) => {
                    self.journal.error(format_args!("cannot write {}: {error}", file.path().display()));
                }
                Some(WriteChange::Recovered) => {
                    self.journal.log(format_args!("writing {} works again", file.path().display()));
                }
                None => {}
            }
        }
    }

    fn publish(&self, text: String) {
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

/// How many bytes at the end begin a character that is not complete.
fn incomplete_tail(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(3))
        .find(|back| bytes[bytes.len() - back] & 0b1100_0000 != 0b1000_0000)
        .filter(|back| {
            let width = match bytes[bytes.len() - back] {
                0xf0..=0xf4 => 4,
                0xe0..=0xef => 3,
                0xc2..=0xdf => 2,
                _ => 1,
            };
            width > *back
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_cut() {
        for (bytes, expected) in [
            ("aé".as_bytes(), 0),
            (&"aé".as_bytes()[..2], 1),
            (&"€".as_bytes()[..1], 1),
            (&"€".as_bytes()[..2], 2),
            (&"😀".as_bytes()[..3], 3),
            (b"\xff", 0),
            (b"\x80\x80\x80\x80", 0),
            (b"", 0),
        ] {
            assert_eq!(incomplete_tail(bytes), expected, "{bytes:?}");
        }
    }
}
