//! Properties of the frame codec: round trip, indifference to chunking, bounded memory, no panics.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use pm2_core::protocol::{
    Argument, Decoder, FrameError, Limits, Reply, Request, decode_event, decode_reply, decode_request,
    encode, encode_call, encode_event, encode_reply, repair_surrogates,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Bytes that do not look like another kind of argument.
fn blob() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200).prop_map(|mut bytes| {
        if bytes.starts_with(b"j:") || bytes.starts_with(b"s:") {
            bytes[1] = 0;
        }
        bytes
    })
}

fn argument() -> impl Strategy<Value = Argument> {
    prop_oneof![
        any::<String>().prop_map(Argument::Json),
        any::<String>().prop_map(Argument::Text),
        blob().prop_map(Argument::Blob),
    ]
}

fn messages() -> impl Strategy<Value = Vec<Vec<Argument>>> {
    vec(vec(argument(), 1..=15), 0..8)
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Into::into),
            vec((any::<String>(), inner), 0..6)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn encode_all(messages: &[Vec<Argument>]) -> Vec<u8> {
    messages.iter().flat_map(|message| encode(message).unwrap()).collect()
}

/// `bytes` cut at the given places.
fn chunks<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|place| &bytes[place[0]..place[1]]).collect()
}

type Outcome = (Vec<Vec<Argument>>, Option<FrameError>);

/// Everything that comes out, checking after each chunk that the decoder holds no more than it may.
fn decode_fed(limits: Limits, chunks: &[&[u8]]) -> Outcome {
    let mut decoder = Decoder::new(limits);
    let mut messages = Vec::new();
    for chunk in chunks {
        decoder.feed(chunk);
        loop {
            match decoder.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(decoder.held_bytes() <= limits.max_message_bytes + 64 * 1024);
    }
    (messages, None)
}

/// The same without feeding, where nothing but the unfinished message is held.
fn decode_directly(limits: Limits, chunks: &[&[u8]]) -> Outcome {
    let mut decoder = Decoder::new(limits);
    let mut messages = Vec::new();
    let mut n_received = 0;
    for chunk in chunks {
        let mut rest = *chunk;
        loop {
            match decoder.decode(&mut rest) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(rest.is_empty());
        n_received += chunk.len();
        let held = decoder.held_bytes();
        assert!(held <= limits.max_message_bytes && held <= 2 * n_received);
    }
    (messages, None)
}

/// What the decoders above the frames make of it does not matter here, only that they return.
fn decode_envelopes(messages: Vec<Vec<Argument>>) {
    for message in messages {
        let _ = decode_request(message.clone());
        let _ = decode_reply(message.clone());
        let _ = decode_event(message);
    }
}

fn small_limits() -> Limits {
    Limits { max_arguments: 15, max_argument_bytes: 300, max_message_bytes: 500 }
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_messages(
        messages in messages(),
        cuts in vec(any::<Index>(), 0..40),
    ) {
        let bytes = encode_all(&messages);
        let expected = (messages, None);
        let cut = chunks(&bytes, &cuts);
        prop_assert_eq!(&decode_fed(Limits::default(), &cut), &expected);
        prop_assert_eq!(&decode_directly(Limits::default(), &cut), &expected);
        let single: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(&decode_fed(Limits::default(), &single), &expected);
        prop_assert_eq!(&decode_directly(Limits::default(), &single), &expected);
    }

    #[test]
    fn garbage_is_bounded_and_harmless(
        bytes in vec(any::<u8>(), 0..2000),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let cut = chunks(&bytes, &cuts);
        let fed = decode_fed(small_limits(), &cut);
        prop_assert_eq!(&decode_directly(small_limits(), &cut), &fed);
        prop_assert_eq!(&decode_directly(small_limits(), &[&bytes]), &fed);
        decode_envelopes(fed.0);
    }

    #[test]
    fn mutated_frames_are_bounded_and_harmless(
        messages in messages(),
        mutations in vec((any::<Index>(), any::<u8>()), 1..6),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let mut bytes = encode_all(&messages);
        prop_assume!(!bytes.is_empty());
        for (place, value) in mutations {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let cut = chunks(&bytes, &cuts);
        let fed = decode_fed(small_limits(), &cut);
        prop_assert_eq!(&decode_directly(small_limits(), &cut), &fed);
        decode_envelopes(fed.0);
    }

    #[test]
    fn decoded_bytes_encode_to_themselves(body in vec(any::<u8>(), 0..50), tag in 0..3usize) {
        let body = [[&b"j:"[..], b"s:", b""][tag], &body].concat();
        let frame = encode(&[Argument::Blob(body)]).unwrap();
        for size in [1, 3, frame.len()] {
            let cut: Vec<_> = frame.chunks(size).collect();
            let (messages, error) = decode_fed(Limits::default(), &cut);
            prop_assert_eq!(error, None);
            prop_assert_eq!(encode_all(&messages), &frame[..]);
        }
    }

    #[test]
    fn calls_come_back(id in argument(), method in "\\PC+", args in vec(json(), 0..4)) {
        let frame = encode_call(&id, &method, &serde_json::to_string(&args).unwrap());
        let message = Decoder::default().decode(&mut &frame[..]).unwrap().unwrap();
        let request = decode_request(message).unwrap();
        prop_assert_eq!(request.id, id);
        let Ok(Request::Call { method: found_method, args: found_args }) = request.request else {
            panic!("not a call")
        };
        prop_assert_eq!(found_method, method);
        let found_args: Vec<serde_json::Value> = found_args
            .iter()
            .map(|value| serde_json::from_str(value.get()).unwrap())
            .collect();
        prop_assert_eq!(found_args, args);
    }

    #[test]
    fn errors_come_back(id in argument(), text in any::<String>(), trace in any::<Option<String>>()) {
        let reply = Reply::Error { message: text.clone(), stack: trace.clone() };
        let frame = encode_reply(&id, &reply);
        let message = Decoder::default().decode(&mut &frame[..]).unwrap().unwrap();
        let (found_id, found) = decode_reply(message).unwrap();
        prop_assert_eq!(found_id, id);
        let Reply::Error { message, stack } = found else { panic!("not an error") };
        prop_assert_eq!((message, stack), (text, trace));
    }

    #[test]
    fn events_come_back(topic in argument(), packet in json()) {
        let packet = packet.to_string();
        let frame = encode_event(&topic, &packet);
        let message = Decoder::default().decode(&mut &frame[..]).unwrap().unwrap();
        let event = decode_event(message).unwrap();
        prop_assert_eq!((event.topic, event.packet), (topic, packet));
    }

    #[test]
    fn any_payload_gives_a_request_or_a_refusal(payload in r#"[\[\]{}:,"\\ud8 0-9a-f\-methodargs]{0,60}"#) {
        let id = Argument::Text("1:0".to_owned());
        let _ = decode_request(vec![Argument::Json(payload.clone()), id.clone()]).unwrap();
        let _ = decode_reply(vec![Argument::Json(payload), id]);
    }

    /// Whatever escapes a JSON string holds, the repaired text is accepted and repairing again changes nothing.
    #[test]
    fn repaired_strings_parse(escapes in vec(r#"\\u[0-9a-fA-F]{4}|\\u[dD][89a-fA-F][0-9a-f]{2}|\\[\\"/bfnrt]|[a-z]"#, 0..30)) {
        let text = format!("\"{}\"", escapes.concat());
        let repaired = repair_surrogates(&text);
        prop_assert!(serde_json::from_str::<String>(&repaired).is_ok());
        prop_assert_eq!(repair_surrogates(&repaired), &repaired[..]);
        if serde_json::from_str::<String>(&text).is_ok() {
            prop_assert_eq!(&repaired[..], &text[..]);
        }
    }
}

/// A large message in small pieces: linear time, memory never above the message.
#[test]
fn a_large_message_grows_with_what_arrives() {
    let text = "x".repeat(32 << 20);
    let frame = encode(&[Argument::Text(text), Argument::Blob(Vec::new())]).unwrap();
    let mut decoder = Decoder::default();
    let mut n_messages = 0;
    let mut n_received = 0;
    for chunk in frame.chunks(4096) {
        decoder.feed(chunk);
        n_received += chunk.len();
        while let Some(message) = decoder.next().unwrap() {
            assert_eq!(message[0].as_text().len(), 32 << 20);
            n_messages += 1;
        }
        assert!(decoder.held_bytes() <= (2 * n_received).min(frame.len()) + 64 * 1024);
    }
    assert_eq!(n_messages, 1);
    assert!(decoder.is_idle() && decoder.held_bytes() <= 64 * 1024);
}

/// Many small messages fed at once are taken out without moving the rest each time.
#[test]
fn many_messages_in_one_feed() {
    let frame = encode_event("log:out", r#"{"at":1}"#);
    let count = 200_000;
    let mut decoder = Decoder::default();
    decoder.feed(&frame.repeat(count));
    let mut n_messages = 0;
    while decoder.next().unwrap().is_some() {
        n_messages += 1;
        if n_messages % 1000 == 0 {
            decoder.feed(b"");
        }
    }
    assert_eq!(n_messages, count);
}
