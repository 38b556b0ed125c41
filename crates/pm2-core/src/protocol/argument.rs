//! One argument of a frame, owned and borrowed.

use std::borrow::Cow;

const JSON_TAG: &[u8] = b"j:";
const TEXT_TAG: &[u8] = b"s:";

/// One argument of a frame.
///
/// Encoding a decoded argument gives the same bytes again, whatever they were: that is how an id is
/// echoed unchanged. Behaviour of PM2 7.0.4, specification `wire.md` §3.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Argument {
    /// JSON text, `j:` on the wire. Not checked to be valid JSON.
    Json(String),
    /// A string, `s:` on the wire.
    Text(String),
    /// Raw bytes, sent as they are. Also holds an argument tagged `j:` or `s:` whose text is not
    /// UTF-8, tag included. The receiver misreads bytes that happen to start with such a tag.
    Blob(Vec<u8>),
}

/// A borrowed [`Argument`], so that encoding needs no owned one. A `&str` converts to `Text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentRef<'a> {
    /// See [`Argument::Json`].
    Json(&'a str),
    /// See [`Argument::Text`].
    Text(&'a str),
    /// See [`Argument::Blob`].
    Blob(&'a [u8]),
}

/// The kind of an argument and its tag, known from its first two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Text,
    Blob,
}

impl Kind {
    /// The kind that bytes starting with these have.
    pub(super) fn of(start: &[u8]) -> Kind {
        match start.get(..2) {
            Some(JSON_TAG) => Kind::Json,
            Some(TEXT_TAG) => Kind::Text,
            _ => Kind::Blob,
        }
    }

    pub(super) const fn tag(self) -> &'static [u8] {
        match self {
            Kind::Json => JSON_TAG,
            Kind::Text => TEXT_TAG,
            Kind::Blob => b"",
        }
    }
}

impl Argument {
    /// The argument with these bytes behind the tag.
    pub(super) fn from_body(kind: Kind, body: Vec<u8>) -> Argument {
        let text = match kind {
            Kind::Blob => return Argument::Blob(body),
            Kind::Json => String::from_utf8(body).map(Argument::Json),
            Kind::Text => String::from_utf8(body).map(Argument::Text),
        };
        text.unwrap_or_else(|error| Argument::Blob([kind.tag(), error.as_bytes()].concat()))
    }

    /// The JSON text, when this is a JSON argument. Bytes that are not UTF-8 become U+FFFD, as in Node.
    pub(super) fn into_json(self) -> Option<String> {
        match self {
            Argument::Json(text) => Some(text),
            Argument::Blob(bytes) => {
                let body = bytes.strip_prefix(JSON_TAG)?;
                Some(String::from_utf8_lossy(body).into_owned())
            }
            Argument::Text(_) => None,
        }
    }

    /// The argument as a reader would show it: the string, the JSON text, or the bytes as text.
    #[must_use]
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Argument::Json(text) | Argument::Text(text) => Cow::Borrowed(text),
            Argument::Blob(bytes) => String::from_utf8_lossy(&bytes[Kind::of(bytes).tag().len()..]),
        }
    }

    /// Memory behind this argument, in bytes.
    pub(super) fn capacity(&self) -> usize {
        match self {
            Argument::Json(text) | Argument::Text(text) => text.capacity(),
            Argument::Blob(bytes) => bytes.capacity(),
        }
    }
}

impl<'a> ArgumentRef<'a> {
    /// The bytes on the wire: tag and body.
    pub(super) fn parts(self) -> [&'a [u8]; 2] {
        match self {
            ArgumentRef::Json(text) => [JSON_TAG, text.as_bytes()],
            ArgumentRef::Text(text) => [TEXT_TAG, text.as_bytes()],
            ArgumentRef::Blob(bytes) => [b"", bytes],
        }
    }
}

impl<'a> From<&'a Argument> for ArgumentRef<'a> {
    fn from(argument: &'a Argument) -> Self {
        match argument {
            Argument::Json(text) => ArgumentRef::Json(text),
            Argument::Text(text) => ArgumentRef::Text(text),
            Argument::Blob(bytes) => ArgumentRef::Blob(bytes),
        }
    }
}

impl<'a> From<&'a str> for ArgumentRef<'a> {
    fn from(text: &'a str) -> Self {
        ArgumentRef::Text(text)
    }
}

impl<'a> From<&'a String> for ArgumentRef<'a> {
    fn from(text: &'a String) -> Self {
        ArgumentRef::Text(text)
    }
}
