//! Events on `pub.sock`: a topic and a packet, from the daemon to every subscriber.

use super::argument::{Argument, ArgumentRef};
use super::frame::{FrameError, encode_parts};
use super::surrogates::repair_owned;

/// One event of the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Normally `Text`, but whatever the app gave as `type`: a number comes as `Json`.
    /// [`Argument::as_text`] gives what patterns are matched against.
    pub topic: Argument,
    /// Text of the packet. Not checked to be valid JSON, so that nobody pays for events that are
    /// filtered out.
    pub packet: String,
}

/// An event as one frame. `packet_json` is JSON text and is not checked. The same frame goes to every subscriber.
///
/// Empty, so that nothing is sent, when the event would have 4 GiB or more.
#[must_use]
pub fn encode_event<'a>(topic: impl Into<ArgumentRef<'a>>, packet_json: &str) -> Vec<u8> {
    let packet = ArgumentRef::Json(packet_json);
    encode_parts(&[topic.into().parts(), packet.parts()]).unwrap_or_default()
}

/// Reads an event.
///
/// # Errors
/// Not exactly two arguments, or a packet that is not JSON by its tag.
pub fn decode_event(arguments: Vec<Argument>) -> Result<Event, FrameError> {
    let [topic, packet] = <[Argument; 2]>::try_from(arguments)
        .map_err(|arguments| FrameError::ArgumentCount { what: "event", count: arguments.len() })?;
    let packet = packet
        .into_json()
        .ok_or_else(|| FrameError::Malformed { what: "event", reason: "packet is not JSON".to_owned() })?;
    Ok(Event { topic, packet: repair_owned(packet) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Decoder;

    #[track_caller]
    fn check<'a>(topic: impl Into<ArgumentRef<'a>>, packet: &str, text: &str, expected: &str) {
        let frame = encode_event(topic, packet);
        let message = Decoder::default().decode(&mut &frame[..]).unwrap().unwrap();
        let event = decode_event(message).unwrap();
        assert_eq!(event.topic.as_text(), text);
        assert_eq!(event.packet, expected);
    }

    #[test]
    fn events_come_back() {
        check("log:out", r#"{"at":1}"#, "log:out", r#"{"at":1}"#);
        check(&"x".to_owned(), "{}", "x", "{}");
        check(&Argument::Json("123".to_owned()), "null", "123", "null");
        check(&Argument::Blob(b"s:\xff".to_vec()), "1", "\u{fffd}", "1");
        check("t", r#"["\udfff"]"#, "t", r#"["\ufffd"]"#);
    }

    #[test]
    fn other_messages_are_no_events() {
        let text = || Argument::Text("x".to_owned());
        for arguments in [vec![text()], vec![text(); 2], vec![text(); 3]] {
            assert!(decode_event(arguments).is_err());
        }
    }
}
