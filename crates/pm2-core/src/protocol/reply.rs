//! Replies on `rpc.sock`.

use serde_json::value::RawValue;

use super::argument::{Argument, ArgumentRef};
use super::envelope::{Envelope, quote, text_of};
use super::frame::{FrameError, encode_parts};
use super::surrogates::repair_owned;

/// What the daemon answers. Behaviour of PM2 7.0.4, specification `wire.md` §5.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The method succeeded: `{"args":[…]}`.
    Success {
        /// Text of the array of results, `[]` when there are none. Usually one result.
        args: Box<RawValue>,
    },
    /// The method failed or could not be called: `{"error":…,"stack":…}`.
    Error {
        /// The text shown to the user.
        message: String,
        /// JavaScript stack text; absent for errors of the RPC layer.
        stack: Option<String>,
    },
    /// Text of the object of methods: `{"methods":{"<name>":{"name":…,"params":[…]}}}`.
    Methods(Box<RawValue>),
}

/// A reply as one frame. One of 4 GiB or more becomes an error reply.
#[must_use]
pub fn encode_reply(id: &Argument, reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Success { args } => encode_success(id, args.get()),
        Reply::Methods(methods) => encode_payload(id, &["j:{\"methods\":", methods.get(), "}"]),
        Reply::Error { message, stack } => {
            let message = quote(message);
            match stack.as_deref().map(quote) {
                None => encode_payload(id, &["j:{\"error\":", &message, "}"]),
                Some(stack) => {
                    let payload = ["j:{\"error\":", &message, ",\"stack\":", &stack, "}"];
                    encode_payload(id, &payload)
                }
            }
        }
    }
}

/// A success reply as one frame. `args_json` is the text of a JSON array and is not checked.
#[must_use]
pub fn encode_success(id: &Argument, args_json: &str) -> Vec<u8> {
    encode_payload(id, &["j:{\"args\":", args_json, "}"])
}

/// A success reply with one result as one frame. `result_json` is the text of any JSON value and is not checked.
#[must_use]
pub fn encode_result(id: &Argument, result_json: &str) -> Vec<u8> {
    encode_payload(id, &["j:{\"args\":[", result_json, "]}"])
}

fn encode_payload(id: &Argument, payload: &[&str]) -> Vec<u8> {
    let id = ArgumentRef::from(id).parts();
    let payload: Vec<_> = payload.iter().map(|part| part.as_bytes()).collect();
    encode_parts(&[&payload[..], &id]).unwrap_or_else(|_| {
        let refusal: &[&[u8]] = &[b"j:{\"error\":\"reply is too large\"}"];
        encode_parts(&[refusal, &id]).expect("an id comes from a frame, which limits it")
    })
}

/// Reads a reply and the id of the request it answers.
///
/// The key `error` alone makes it an error, whatever its value. The nesting of results is not
/// limited here: `serde_json::Value` refuses more than 127 levels.
///
/// # Errors
/// Not exactly two arguments, or a payload without any of the keys `error`, `args` and `methods`.
pub fn decode_reply(arguments: Vec<Argument>) -> Result<(Argument, Reply), FrameError> {
    let [payload, id] = <[Argument; 2]>::try_from(arguments)
        .map_err(|arguments| FrameError::ArgumentCount { what: "reply", count: arguments.len() })?;
    let text = payload.into_json().ok_or_else(|| malformed("not JSON"))?;
    let text = repair_owned(text);
    let envelope: Envelope<'_> =
        serde_json::from_str(&text).map_err(|error| malformed(&error.to_string()))?;
    let reply = if let Some(error) = envelope.error {
        Reply::Error {
            message: text_of(error),
            stack: envelope.stack.and_then(|stack| serde_json::from_str(stack.get()).ok()),
        }
    } else if let Some(args) = envelope.args {
        if !args.get().starts_with('[') {
            return Err(malformed("args is not an array"));
        }
        Reply::Success { args: args.to_owned() }
    } else if let Some(methods) = envelope.methods {
        Reply::Methods(methods.to_owned())
    } else {
        return Err(malformed("neither error nor args nor methods"));
    };
    Ok((id, reply))
}

/// The text of the `args` array of a success reply, found without parsing.
///
/// For large replies whose reader parses the text anyway, such as JavaScript: [`decode_reply`] checks
/// the whole text first, about a millisecond per megabyte. `None` when the payload does not look
/// exactly like what PM2 and this daemon send; then use [`decode_reply`]. The text is neither checked
/// nor repaired.
#[must_use]
pub fn success_args_unchecked(payload: &Argument) -> Option<&str> {
    let Argument::Json(text) = payload else {
        return None;
    };
    let args = text.strip_prefix("{\"args\":")?.strip_suffix('}')?;
    (args.starts_with('[') && args.ends_with(']')).then_some(args)
}

fn malformed(reason: &str) -> FrameError {
    FrameError::Malformed { what: "reply", reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(payload: &str) -> Result<Reply, FrameError> {
        let id = Argument::Blob(vec![0, 1, 2]);
        let (found, reply) = decode_reply(vec![Argument::Json(payload.to_owned()), id.clone()])?;
        assert_eq!(found, id);
        Ok(reply)
    }

    #[track_caller]
    fn check(payload: &str, expected: &str) {
        let found = match decode(payload) {
            Ok(Reply::Success { args }) => format!("success {args}"),
            Ok(Reply::Methods(methods)) => format!("methods {methods}"),
            Ok(Reply::Error { message, stack }) => format!("error {message} {stack:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn replies() {
        check(r#"{"args":[{"msg":"pong"}]}"#, r#"success [{"msg":"pong"}]"#);
        check(r#"{"args":[]}"#, "success []");
        check(r#"{"args":["\ud800"]}"#, r#"success ["\ufffd"]"#);
        check(r#"{"methods":{"a":{}}}"#, r#"methods {"a":{}}"#);
        check(r#"{"error":"no"}"#, "error no None");
        check(r#"{"error":"no","stack":"at x"}"#, r#"error no Some("at x")"#);
        check(r#"{"error":"no","stack":{}}"#, "error no None");
        check(r#"{"args":[],"error":null}"#, "error null None");
        check(r#"{"error":{"a":1}}"#, r#"error {"a":1} None"#);
    }

    #[test]
    fn success_without_parsing() {
        let check = |payload: &str, expected: Option<&str>| {
            let payload = Argument::Json(payload.to_owned());
            assert_eq!(success_args_unchecked(&payload), expected);
        };
        check(r#"{"args":[[{"a":1}]]}"#, Some(r#"[[{"a":1}]]"#));
        check(r#"{"args":[]}"#, Some("[]"));
        check(r#"{"args":[],"error":"x"}"#, None);
        check(r#"{"error":"x"}"#, None);
        check(r#"{"args":"#, None);
        check("", None);
        assert_eq!(success_args_unchecked(&Argument::Blob(Vec::new())), None);
    }

    #[test]
    fn malformed_replies() {
        check("{}", "reply is malformed: neither error nor args nor methods");
        check(r#"{"args":1}"#, "reply is malformed: args is not an array");
        assert!(decode("null").is_err());
        assert!(decode("{").is_err());
        assert!(decode_reply(vec![Argument::Text(String::new()); 2]).is_err());
        assert!(decode_reply(vec![Argument::Json("{}".to_owned())]).is_err());
    }

    #[test]
    fn deep_replies_do_not_overflow_the_stack() {
        let (open, close) = ("[".repeat(2_000_000), "]".repeat(2_000_000));
        let Ok(Reply::Success { args }) = decode(&format!(r#"{{"args":{open}{close}}}"#)) else {
            panic!("not a success")
        };
        assert!(serde_json::from_str::<serde_json::Value>(args.get()).is_err());
        assert!(decode(&open).is_err());
        assert!(decode(&format!(r#"{{"args":{open}"#)).is_err());
    }
}
