//! Frames: a byte for the argument count, then each argument with its length.

use super::argument::{Argument, ArgumentRef};
use super::parser::Parser;

/// The most arguments that the count nibble of a frame can say.
pub const MAX_ARGUMENTS: usize = 15;

/// The version nibble PM2 sends, already shifted.
const VERSION: u8 = 0x10;

/// Room kept for reuse once the input buffer is empty, in bytes.
const KEPT_CAPACITY: usize = 64 * 1024;

/// Why bytes are not a usable message. The connection they came from should be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame that announces no arguments, or an attempt to encode one.
    #[error("frame without arguments")]
    NoArguments,
    /// More arguments than allowed.
    #[error("frame with {count} arguments, at most {max} are allowed")]
    TooManyArguments {
        /// Announced or given number.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// One argument is larger than allowed.
    #[error("frame argument of {bytes} bytes, at most {max} are allowed")]
    ArgumentTooLarge {
        /// Announced or given size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// All arguments together are larger than allowed.
    #[error("frame of {bytes} bytes, at most {max} are allowed")]
    MessageTooLarge {
        /// Size announced so far.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A well-formed frame with the wrong number of arguments for its purpose.
    #[error("{what} with {count} arguments instead of 2")]
    ArgumentCount {
        /// `request`, `reply` or `event`.
        what: &'static str,
        /// Arguments found.
        count: usize,
    },
    /// The payload is not JSON of the expected shape.
    #[error("{what} is malformed: {reason}")]
    Malformed {
        /// `reply` or `event`.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a [`Decoder`] accepts. Sizes are in bytes and count argument contents, tags included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most arguments in one message. Default 15, all that the format can say.
    pub max_arguments: usize,
    /// Largest single argument. Default 64 MiB.
    pub max_argument_bytes: usize,
    /// Largest sum of all arguments of a message. Default 65 MiB: one full argument and its id.
    pub max_message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_arguments: MAX_ARGUMENTS, max_argument_bytes: 64 << 20, max_message_bytes: 65 << 20 }
    }
}

/// Incremental reader of messages, indifferent to how the stream is cut.
///
/// Two ways to use it, which may be mixed:
/// * [`decode`](Self::decode) straight from the read buffer: each byte is copied once, into its argument;
/// * [`feed`](Self::feed), then [`next`](Self::next) until `None`: one copy more.
///
/// Memory: an unfinished message holds at most what has arrived of it, doubled, and never more than
/// the limits; an announced length alone allocates nothing. Fed bytes are held until `next` takes them.
///
/// After an error the stream is out of step for good: every later call returns the same error, and
/// bytes fed are dropped.
#[derive(Debug)]
pub struct Decoder {
    parser: Parser,
    fed: Vec<u8>,
    n_read: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new(Limits::default())
    }
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Decoder {
        Decoder { parser: Parser::new(limits), fed: Vec::new(), n_read: 0 }
    }

    /// Takes bytes off the front of `input` and returns the first message they complete.
    ///
    /// `None`: `input` is used up and more is needed. Otherwise call again for the rest of `input`.
    ///
    /// # Errors
    /// The stream breaks the format or the limits.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Vec<Argument>>, FrameError> {
        match self.next()? {
            Some(message) => Ok(Some(message)),
            None => self.parser.advance(input),
        }
    }

    /// Appends bytes for [`next`](Self::next) to read.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.parser.has_failed() {
            return;
        }
        // What was read is worth moving the rest only when it is the larger part: linear overall.
        if self.n_read > self.fed.len() / 2 {
            self.fed.drain(..self.n_read);
            self.n_read = 0;
        }
        self.fed.extend_from_slice(bytes);
    }

    /// The next message in the bytes fed so far; `None` when it is not complete yet.
    ///
    /// # Errors
    /// The stream breaks the format or the limits.
    #[expect(
        clippy::should_implement_trait,
        reason = "a stream of results that can go on after None is not an iterator"
    )]
    pub fn next(&mut self) -> Result<Option<Vec<Argument>>, FrameError> {
        let mut rest = &self.fed[self.n_read..];
        let outcome = self.parser.advance(&mut rest);
        self.n_read = self.fed.len() - rest.len();
        if rest.is_empty() || outcome.is_err() {
            self.n_read = 0;
            self.fed.clear();
            self.fed.shrink_to(KEPT_CAPACITY);
        }
        outcome
    }

    /// Whether the stream stands between two messages, so that ending here loses nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.parser.is_idle() && self.n_read == self.fed.len()
    }

    /// Memory held for bytes not yet returned, in bytes of capacity.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.fed.capacity() + self.parser.held_bytes()
    }
}

/// One message as bytes.
///
/// # Errors
/// No arguments, more than [`MAX_ARGUMENTS`], or an argument of 4 GiB or more.
pub fn encode(arguments: &[Argument]) -> Result<Vec<u8>, FrameError> {
    let parts: Vec<_> = arguments.iter().map(|argument| ArgumentRef::from(argument).parts()).collect();
    encode_parts(&parts)
}

/// Like [`encode`], with each argument given as the pieces its bytes consist of.
pub(super) fn encode_parts<'a, A: AsRef<[&'a [u8]]>>(arguments: &[A]) -> Result<Vec<u8>, FrameError> {
    let count = match u8::try_from(arguments.len()) {
        Ok(0) => return Err(FrameError::NoArguments),
        Ok(count) if usize::from(count) <= MAX_ARGUMENTS => count,
        _ => {
            return Err(FrameError::TooManyArguments { count: arguments.len(), max: MAX_ARGUMENTS });
        }
    };
    let n_bytes: usize = arguments.iter().map(|parts| size(parts.as_ref())).sum();
    let mut frame = Vec::with_capacity(1 + 4 * arguments.len() + n_bytes);
    frame.push(VERSION | count);
    for parts in arguments {
        let bytes = size(parts.as_ref());
        let length = u32::try_from(bytes)
            .map_err(|_| FrameError::ArgumentTooLarge { bytes, max: u32::MAX as usize })?;
        frame.extend_from_slice(&length.to_be_bytes());
        for part in parts.as_ref() {
            frame.extend_from_slice(part);
        }
    }
    Ok(frame)
}

fn size(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Limits {
        Limits { max_arguments: 3, max_argument_bytes: 8, max_message_bytes: 10 }
    }

    #[track_caller]
    fn check_error(bytes: &[u8], expected: &FrameError) {
        let mut decoder = Decoder::new(small());
        let mut rest = bytes;
        assert_eq!(decoder.decode(&mut rest).as_ref(), Err(expected));
        assert_eq!(decoder.decode(&mut &b"\x11\0\0\0\0"[..]).as_ref(), Err(expected));
        decoder.feed(b"more");
        assert_eq!(decoder.next().as_ref(), Err(expected));
        assert_eq!(decoder.held_bytes(), 0);
        assert!(!decoder.is_idle());
    }

    #[test]
    fn breaking_a_limit_is_final() {
        check_error(b"\x10", &FrameError::NoArguments);
        check_error(b"\x00", &FrameError::NoArguments);
        check_error(b"\x14", &FrameError::TooManyArguments { count: 4, max: 3 });
        check_error(
            b"\x11\xff\xff\xff\xff",
            &FrameError::ArgumentTooLarge { bytes: u32::MAX as usize, max: 8 },
        );
        check_error(b"\x12\0\0\0\x0812345678\0\0\0\x03", &FrameError::MessageTooLarge { bytes: 11, max: 10 });
    }

    #[test]
    fn an_empty_last_argument_needs_no_further_byte() {
        let mut decoder = Decoder::new(small());
        decoder.feed(b"\x12\0\0\0\x02s:\0\0\0\0");
        let expected = vec![Argument::Text(String::new()), Argument::Blob(Vec::new())];
        assert_eq!(decoder.next(), Ok(Some(expected)));
        assert!(decoder.is_idle());
        assert_eq!(decoder.next(), Ok(None));
    }

    #[test]
    fn the_version_nibble_is_ignored() {
        for version in 0..16u8 {
            let bytes = [(version << 4) | 1, 0, 0, 0, 1, b'x'];
            let message = Decoder::default().decode(&mut &bytes[..]);
            assert_eq!(message, Ok(Some(vec![Argument::Blob(b"x".to_vec())])));
        }
    }

    #[test]
    fn text_that_is_not_utf8_keeps_its_bytes() {
        for cut in 0..=9 {
            let bytes = b"\x11\0\0\0\x04s:\xff\xfe";
            let mut decoder = Decoder::default();
            assert!(cut == 9 || decoder.decode(&mut &bytes[..cut]) == Ok(None));
            let rest = if cut == 9 { &bytes[..] } else { &bytes[cut..] };
            let message = decoder.decode(&mut &rest[..]).unwrap().unwrap();
            assert_eq!(encode(&message).unwrap(), bytes);
        }
    }

    #[test]
    fn fed_bytes_come_before_decoded_ones() {
        let mut decoder = Decoder::default();
        decoder.feed(b"\x11\0\0\0\x01a\x11\0\0");
        let mut rest = &b"\0\x01b"[..];
        let mut names = Vec::new();
        while let Some(message) = decoder.decode(&mut rest).unwrap() {
            names.push(message[0].as_text().into_owned());
        }
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn encoding_needs_one_to_fifteen_arguments() {
        let arguments = vec![Argument::Text("x".to_owned()); 16];
        assert_eq!(encode(&[]), Err(FrameError::NoArguments));
        assert!(encode(&arguments[..15]).is_ok());
        let error = FrameError::TooManyArguments { count: 16, max: 15 };
        assert_eq!(encode(&arguments), Err(error));
    }
}
