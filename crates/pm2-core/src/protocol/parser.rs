//! The state machine that turns bytes into messages. It holds one unfinished message and no input.

use super::argument::{Argument, Kind};
use super::frame::{FrameError, Limits};

const LENGTH_BYTES: usize = 4;
const TAG_BYTES: usize = 2;

#[derive(Debug)]
enum State {
    /// Before the first byte of a message.
    Start,
    /// Inside the length of an argument.
    Length { bytes: [u8; LENGTH_BYTES], filled: usize },
    /// Inside the first two bytes of an argument of `length` bytes.
    Tag { length: usize, bytes: [u8; TAG_BYTES], filled: usize },
    /// Inside the body; `data` is complete with `length` bytes and never has more room than that.
    Body { kind: Kind, length: usize, data: Vec<u8> },
    /// After an error the stream cannot be trusted again.
    Failed(FrameError),
}

const NEXT_LENGTH: State = State::Length { bytes: [0; LENGTH_BYTES], filled: 0 };

#[derive(Debug)]
pub(super) struct Parser {
    limits: Limits,
    state: State,
    /// Arguments announced by the message being read.
    n_expected: usize,
    /// Sum of the lengths announced so far by the message being read.
    announced_bytes: usize,
    arguments: Vec<Argument>,
}

impl Parser {
    pub(super) fn new(limits: Limits) -> Parser {
        Parser { limits, state: State::Start, n_expected: 0, announced_bytes: 0, arguments: Vec::new() }
    }

    /// Whether no message is under way.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Start)
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    /// Memory held for the unfinished message, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        let body = match &self.state {
            State::Body { data, .. } => data.capacity(),
            _ => 0,
        };
        let done: usize = self.arguments.iter().map(Argument::capacity).sum();
        body + done
    }

    /// Takes bytes off the front of `input` until a message is complete (`Some`) or all are used (`None`).
    pub(super) fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Vec<Argument>>, FrameError> {
        let outcome = self.run(input);
        if let Err(error) = &outcome {
            self.arguments = Vec::new();
            self.state = State::Failed(error.clone());
        }
        outcome
    }

    fn run(&mut self, input: &mut &[u8]) -> Result<Option<Vec<Argument>>, FrameError> {
        loop {
            let argument = match &mut self.state {
                State::Failed(error) => return Err(error.clone()),
                State::Start => {
                    let Some(&first) = input.split_off_first() else {
                        return Ok(None);
                    };
                    // The high nibble is a version that no receiver looks at.
                    self.begin(usize::from(first & 0x0f))?;
                    continue;
                }
                State::Length { bytes, filled } => {
                    if !fill(bytes, filled, input) {
                        return Ok(None);
                    }
                    let length = u32::from_be_bytes(*bytes);
                    let length = self.announce(usize::try_from(length).unwrap_or(usize::MAX))?;
                    match input.split_off(..length) {
                        Some(all) => {
                            let kind = Kind::of(all);
                            Argument::from_body(kind, all[kind.tag().len()..].to_vec())
                        }
                        None => {
                            self.state = State::Tag { length, bytes: [0; TAG_BYTES], filled: 0 };
                            continue;
                        }
                    }
                }
                State::Tag { length, bytes, filled } => {
                    // An argument of one byte has no tag and no second byte to wait for.
                    let wanted = TAG_BYTES.min(*length);
                    if !fill(&mut bytes[..wanted], filled, input) {
                        return Ok(None);
                    }
                    let kind = Kind::of(&bytes[..wanted]);
                    let (length, data) = match kind {
                        Kind::Blob => (*length, bytes[..wanted].to_vec()),
                        Kind::Json | Kind::Text => (*length - TAG_BYTES, Vec::new()),
                    };
                    self.state = State::Body { kind, length, data };
                    continue;
                }
                State::Body { kind, length, data } => {
                    let n_taken = input.len().min(*length - data.len());
                    let taken = input.split_off(..n_taken).unwrap_or_default();
                    reserve(data, taken.len(), *length);
                    data.extend_from_slice(taken);
                    if data.len() < *length {
                        return Ok(None);
                    }
                    Argument::from_body(*kind, std::mem::take(data))
                }
            };
            self.arguments.push(argument);
            if self.arguments.len() == self.n_expected {
                self.state = State::Start;
                return Ok(Some(std::mem::take(&mut self.arguments)));
            }
            self.state = NEXT_LENGTH;
        }
    }

    fn begin(&mut self, count: usize) -> Result<(), FrameError> {
        if count == 0 {
            return Err(FrameError::NoArguments);
        }
        let max = self.limits.max_arguments;
        if count > max {
            return Err(FrameError::TooManyArguments { count, max });
        }
        self.n_expected = count;
        self.announced_bytes = 0;
        self.arguments = Vec::with_capacity(count);
        self.state = NEXT_LENGTH;
        Ok(())
    }

    fn announce(&mut self, bytes: usize) -> Result<usize, FrameError> {
        let max = self.limits.max_argument_bytes;
        if bytes > max {
            return Err(FrameError::ArgumentTooLarge { bytes, max });
        }
        self.announced_bytes = self.announced_bytes.saturating_add(bytes);
        let max = self.limits.max_message_bytes;
        if self.announced_bytes > max {
            let bytes = self.announced_bytes;
            return Err(FrameError::MessageTooLarge { bytes, max });
        }
        Ok(bytes)
    }
}

/// Copies from `input` into the unfilled end of `target`; true when it is full.
fn fill(target: &mut [u8], filled: &mut usize, input: &mut &[u8]) -> bool {
    let n_taken = input.len().min(target.len() - *filled);
    let taken = input.split_off(..n_taken).unwrap_or_default();
    target[*filled..*filled + n_taken].copy_from_slice(taken);
    *filled += n_taken;
    *filled == target.len()
}

/// Makes room for `additional` bytes: doubling, so that growth stays linear, but never beyond the
/// announced `length`, and never on the word of the announcement alone.
fn reserve(data: &mut Vec<u8>, additional: usize, length: usize) {
    let wanted = data.len() + additional;
    if wanted > data.capacity() {
        let room = wanted.max(data.capacity().saturating_mul(2)).min(length);
        data.reserve_exact(room - data.len());
    }
}
