//! Frames captured from PM2 7.0.4 (specification `wire.md` §3): they are understood, and the same
//! values give the same bytes.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use pm2_core::protocol::{
    Argument, Decoder, Reply, Request, decode_event, decode_reply, decode_request, encode, encode_call,
    encode_event, encode_methods_request, encode_reply, encode_success,
};

fn from_hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

macro_rules! frame {
    ($name:literal) => {
        from_hex(include_str!(concat!("fixtures/frames/", $name, ".hex")))
    };
}

fn message(frame: &[u8]) -> Vec<Argument> {
    let mut decoder = Decoder::default();
    let mut rest = frame;
    let message = decoder.decode(&mut rest).unwrap().unwrap();
    assert!(rest.is_empty() && decoder.is_idle());
    assert_eq!(encode(&message).unwrap(), frame);
    message
}

fn id(text: &str) -> Argument {
    Argument::Text(text.to_owned())
}

#[track_caller]
fn check_call(frame: &[u8], expected_id: &str, expected_method: &str, expected_args: &[&str]) {
    let request = decode_request(message(frame)).unwrap();
    assert_eq!(request.id, id(expected_id));
    let Ok(Request::Call { method, args }) = request.request else { panic!("not a call") };
    let args: Vec<_> = args.iter().map(|value| value.get()).collect();
    assert_eq!((method.as_str(), &args[..]), (expected_method, expected_args));
    let args_json = format!("[{}]", args.join(","));
    assert_eq!(encode_call(&request.id, &method, &args_json), frame);
}

#[track_caller]
fn check_event(frame: &[u8], topic: &str, packet: &str) {
    let event = decode_event(message(frame)).unwrap();
    assert_eq!((event.topic, event.packet.as_str()), (id(topic), packet));
    assert_eq!(encode_event(topic, packet), frame);
}

#[test]
fn methods_request() {
    let frame = frame!("methods-request");
    let request = decode_request(message(&frame)).unwrap();
    assert!(matches!(request.request, Ok(Request::Methods)));
    assert_eq!(request.id, id("4242:0"));
    assert_eq!(encode_methods_request(&request.id), frame);
}

#[test]
fn calls() {
    check_call(&frame!("call-ping"), "4242:0", "ping", &["{}"]);
    let args = ["\"stopProcessId\"", "0"];
    check_call(&frame!("call-stop-watch"), "4242:3", "stopWatch", &args);
}

#[test]
fn success_reply() {
    let frame = frame!("success-ping");
    let (id, reply) = decode_reply(message(&frame)).unwrap();
    assert_eq!(encode_reply(&id, &reply), frame);
    let Reply::Success { args } = reply else { panic!("not a success") };
    assert_eq!(args.get(), r#"[{"msg":"pong"}]"#);
    assert_eq!(encode_success(&id, args.get()), frame);
}

#[test]
fn error_reply() {
    let frame = frame!("error-unknown-method");
    let (id, reply) = decode_reply(message(&frame)).unwrap();
    assert_eq!(encode_reply(&id, &reply), frame);
    let Reply::Error { message, stack } = reply else { panic!("not an error") };
    assert_eq!(message, "method \"foo\" does not exist");
    assert_eq!(stack, None);
}

#[test]
fn events() {
    check_event(
        &frame!("event-log-out"),
        "log:out",
        concat!(
            r#"{"process":{"pm_id":0,"name":"a","rev":null,"namespace":"default"},"#,
            r#""at":1795360652895,"data":"hello out\n"}"#
        ),
    );
    check_event(
        &frame!("event-pm2-kill"),
        "pm2:kill",
        r#"{"status":"killed","msg":"pm2 has been killed via CLI"}"#,
    );
}
