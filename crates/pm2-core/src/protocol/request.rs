//! Requests on `rpc.sock`: a call of a method, or the question which methods there are.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::argument::{Argument, ArgumentRef};
use super::envelope::{Envelope, is_falsy, quote, text_of};
use super::frame::{FrameError, encode_parts};
use super::surrogates::repair_owned;

/// Most values accepted in the `args` of a call. PM2's methods take one or two.
pub const MAX_CALL_ARGUMENTS: usize = 64;

/// Most arrays and objects inside each other in a request, its envelope included.
/// Any accepted argument is shallow enough for `serde_json::Value`.
pub const MAX_NESTING: usize = 128;

/// A request and the id its reply must carry, unchanged.
#[derive(Debug)]
pub struct RequestMessage {
    /// Chosen by the client, any argument.
    pub id: Argument,
    /// What is asked, or the refusal to answer with.
    pub request: Result<Request, RequestError>,
}

/// What a client asks of the daemon.
#[derive(Debug, Clone)]
pub enum Request {
    /// Which methods exist: `{"type":"methods"}`.
    Methods,
    /// `{"type":"call","method":…,"args":[…]}`.
    Call {
        /// Name of the method, not checked to exist. A `method` that is no string is its JSON text.
        method: String,
        /// The arguments as JSON texts, at most [`MAX_CALL_ARGUMENTS`].
        args: Vec<Box<RawValue>>,
    },
}

/// Why a request cannot be carried out. Its text is the error reply.
///
/// The first two texts are PM2's own, specification `wire.md` §5. PM2 crashes on most of the others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No `method`, or one that is false in JavaScript.
    #[error(".method required")]
    MethodRequired,
    /// No `args`, or ones that are false in JavaScript.
    #[error(".args required")]
    ArgsRequired {
        /// The method asked for. PM2 looks first whether it exists, and says so if not.
        method: String,
    },
    /// `args` is neither missing nor an array.
    #[error(".args must be an array")]
    ArgsNotArray {
        /// The method asked for.
        method: String,
    },
    /// More than [`MAX_CALL_ARGUMENTS`] values in `args`.
    #[error(".args must not have more than {MAX_CALL_ARGUMENTS} values")]
    TooManyArgs {
        /// The method asked for.
        method: String,
    },
    /// The payload is not valid JSON.
    #[error("request is not valid JSON: {reason}")]
    InvalidJson {
        /// What the parser says.
        reason: String,
    },
    /// The payload is something else than a JSON object.
    #[error("request must be a JSON object")]
    NotAnObject,
    /// More than [`MAX_NESTING`] arrays and objects inside each other.
    #[error("request is nested more than {MAX_NESTING} levels deep")]
    TooDeep,
}

/// Reads a request.
///
/// # Errors
/// Not exactly two arguments: without an id there is nobody to answer, so the connection must close.
/// Everything else is answered, see [`RequestMessage::request`].
pub fn decode_request(arguments: Vec<Argument>) -> Result<RequestMessage, FrameError> {
    let [payload, id] = <[Argument; 2]>::try_from(arguments)
        .map_err(|arguments| FrameError::ArgumentCount { what: "request", count: arguments.len() })?;
    let request = match payload.into_json() {
        Some(text) => read(&repair_owned(text)),
        None => Err(RequestError::NotAnObject),
    };
    Ok(RequestMessage { id, request })
}

fn read(text: &str) -> Result<Request, RequestError> {
    if nests_deeper_than(MAX_NESTING, text) {
        return Err(RequestError::TooDeep);
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            RequestError::NotAnObject
        } else {
            RequestError::InvalidJson { reason: error.to_string() }
        }
    })?;
    if envelope.kind.is_some_and(|kind| kind.get() == "\"methods\"") {
        return Ok(Request::Methods);
    }
    let method = match envelope.method {
        Some(method) if !is_falsy(method) => text_of(method),
        _ => return Err(RequestError::MethodRequired),
    };
    let args = match envelope.args {
        Some(args) if !is_falsy(args) => args,
        _ => return Err(RequestError::ArgsRequired { method }),
    };
    match serde_json::from_str(args.get()) {
        Ok(CallArguments(Some(args))) => Ok(Request::Call { method, args }),
        Ok(CallArguments(None)) => Err(RequestError::TooManyArgs { method }),
        Err(_) => Err(RequestError::ArgsNotArray { method }),
    }
}

/// The values of `args`; `None` when there are too many to be worth their memory.
struct CallArguments(Option<Vec<Box<RawValue>>>);

struct CallArgumentsVisitor;

impl<'de> Visitor<'de> for CallArgumentsVisitor {
    type Value = CallArguments;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut args = Vec::new();
        while args.len() < MAX_CALL_ARGUMENTS {
            match sequence.next_element()? {
                Some(value) => args.push(value),
                None => return Ok(CallArguments(Some(args))),
            }
        }
        let mut fits = true;
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            fits = false;
        }
        Ok(CallArguments(fits.then_some(args)))
    }
}

impl<'de> Deserialize<'de> for CallArguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(CallArgumentsVisitor)
    }
}

/// Whether the JSON text opens more than `max` brackets at once, without trusting it to be valid.
fn nests_deeper_than(max: usize, text: &str) -> bool {
    let mut depth = 0_usize;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' if depth == max => return true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    false
}

fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

/// A call as one frame. `args_json` is the text of a JSON array and is not checked.
///
/// PM2's daemon dies of a wrong number of arguments: exactly one, or two for the watch methods.
///
/// # Panics
/// When the call is 4 GiB or larger.
#[must_use]
pub fn encode_call(id: &Argument, method: &str, args_json: &str) -> Vec<u8> {
    let payload = ["j:{\"type\":\"call\",\"method\":", &quote(method), ",\"args\":", args_json, "}"];
    encode_request(id, &payload.map(str::as_bytes))
}

/// The question which methods the daemon has, as one frame. Answered by [`Reply::Methods`](super::Reply::Methods).
#[must_use]
pub fn encode_methods_request(id: &Argument) -> Vec<u8> {
    encode_request(id, &[b"j:{\"type\":\"methods\"}"])
}

fn encode_request(id: &Argument, payload: &[&[u8]]) -> Vec<u8> {
    encode_parts(&[payload, &ArgumentRef::from(id).parts()]).expect("a request is smaller than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(payload: Argument) -> Result<Request, RequestError> {
        let id = Argument::Json("[1, 2]".to_owned());
        let message = decode_request(vec![payload, id.clone()]).unwrap();
        assert_eq!(message.id, id);
        message.request
    }

    #[track_caller]
    fn check(payload: &str, expected: Result<&str, &str>) {
        let found = match decode(Argument::Json(payload.to_owned())) {
            Ok(Request::Methods) => Ok("methods".to_owned()),
            Ok(Request::Call { method, args }) => {
                let args: Vec<_> = args.iter().map(|value| value.get()).collect();
                Ok(format!("{method}({})", args.join("; ")))
            }
            Err(error) => Err(error.to_string()),
        };
        let found = found.as_deref().map_err(String::as_str);
        match (found, expected) {
            (Err(found), Err(expected)) => assert!(found.starts_with(expected), "{found}"),
            _ => assert_eq!(found, expected),
        }
    }

    #[test]
    fn requests() {
        check(r#"{"type":"methods"}"#, Ok("methods"));
        check(r#"{"type":"methods","method":"ping"}"#, Ok("methods"));
        check(r#"{"type":"call","method":"ping","args":[{}]}"#, Ok("ping({})"));
        check(r#" { "args" : [ 1 , "a" ], "x": [{}], "method" : "m" } "#, Ok("m(1; \"a\")"));
        check(r#"{"method":"m","args":[]}"#, Ok("m()"));
        check(r#"{"method":"a","method":"b","args":[]}"#, Ok("b()"));
        check(r#"{"method":"\u0070ing","args":[]}"#, Ok("ping()"));
        check(r#"{"method":5,"args":[]}"#, Ok("5()"));
        check(r#"{"type":7,"method":"m","args":[]}"#, Ok("m()"));
    }

    #[test]
    fn refusals() {
        for payload in [
            "{}",
            r#"{"type":"call","args":[]}"#,
            r#"{"method":null}"#,
            r#"{"method":""}"#,
            r#"{"method":0}"#,
            r#"{"method":-0.0e5}"#,
            r#"{"method":false}"#,
        ] {
            check(payload, Err(".method required"));
        }
        for args in ["", r#","args":null"#, r#","args":"""#, r#","args":0"#] {
            let payload = format!(r#"{{"method":"m"{args}}}"#);
            check(&payload, Err(".args required"));
        }
        for args in ["{}", "1", r#""x""#, "true", "{\"length\":1}"] {
            let payload = format!(r#"{{"method":"m","args":{args}}}"#);
            check(&payload, Err(".args must be an array"));
        }
        for payload in ["null", "[]", "5", r#""x""#] {
            check(payload, Err("request must be a JSON object"));
        }
        for payload in ["", "{", "{]", r#"{"method":}"#, "{}x", r#"{"a":01}"#] {
            check(payload, Err("request is not valid JSON: "));
        }
        let text = Argument::Text("{}".to_owned());
        assert_eq!(decode(text).unwrap_err(), RequestError::NotAnObject);
        let blob = Argument::Blob(b"{}".to_vec());
        assert_eq!(decode(blob).unwrap_err(), RequestError::NotAnObject);
    }

    #[test]
    fn the_number_of_arguments_is_limited() {
        let payload = |count| {
            let values = vec!["0"; count].join(",");
            format!(r#"{{"method":"m","args":[{values}]}}"#)
        };
        let most = Argument::Json(payload(MAX_CALL_ARGUMENTS));
        assert!(decode(most).is_ok());
        check(&payload(MAX_CALL_ARGUMENTS + 1), Err(".args must not have more than 64 values"));
    }

    #[test]
    fn nesting_is_limited_and_never_overflows_the_stack() {
        let nested = |count| {
            let (open, close) = ("[".repeat(count), "]".repeat(count));
            format!(r#"{{"method":"m","args":{open}{close}}}"#)
        };
        // Brackets inside a string are no nesting.
        let text = format!(r#"{{"method":"\"{}","args":[]}}"#, "[".repeat(1000));
        assert!(decode(Argument::Json(text)).is_ok());
        let deepest = decode(Argument::Json(nested(MAX_NESTING - 1))).unwrap();
        let Request::Call { args, .. } = deepest else { panic!("not a call") };
        serde_json::from_str::<serde_json::Value>(args[0].get()).unwrap();
        for payload in [nested(MAX_NESTING), nested(5_000_000), "[".repeat(5_000_000)] {
            let error = decode(Argument::Json(payload)).unwrap_err();
            assert_eq!(error, RequestError::TooDeep);
        }
    }

    #[test]
    fn broken_characters_do_not_cost_the_message() {
        check(r#"{"\udc00":1,"method":"m","args":["\ud800"]}"#, Ok(r#"m("\ufffd")"#));
        check(r#"{"method":"\ud800","args":[]}"#, Ok("\u{fffd}()"));
        let payload = b"j:{\"method\":\"m\",\"args\":[\"\xff\"]}".to_vec();
        let Ok(Request::Call { args, .. }) = decode(Argument::Blob(payload)) else { panic!("not a call") };
        assert_eq!(args[0].get(), "\"\u{fffd}\"");
    }

    #[test]
    fn a_request_has_two_arguments() {
        for count in [1, 3, 15] {
            let arguments = vec![Argument::Json("{}".to_owned()); count];
            let what = "request";
            let error = decode_request(arguments).unwrap_err();
            assert_eq!(error, FrameError::ArgumentCount { what, count });
        }
    }
}
