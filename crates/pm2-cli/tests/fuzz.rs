//! Random bytes and damaged frames on both sockets: the daemon lives on, and keeps nothing of them.
//!
//! A few seconds in every run; as long as `PM2_RS_FUZZ_SECONDS` says (600 unless set) with
//! `cargo test -p pm2-cli --test fuzz -- --ignored`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use pm2_core::protocol::{Argument, encode, encode_call};
use serde_json::json;
use support::{Random, TestHome, is_alive, memory, until};

/// Calls that are worth damaging. Those that end the daemon are not among them.
fn frame(random: &mut Random) -> Vec<u8> {
    let calls = [
        ("ping", "[{}]"),
        ("getMonitorData", "[{}]"),
        ("restartProcessId", r#"[{"id":0,"env":{"current_conf":{"a":1},"B":"2"}}]"#),
        ("sendDataToProcessId", r#"[{"id":0,"topic":"t","data":{"deep":[[[[1]]]]}}]"#),
        ("sendLineToStdin", r#"[{"pm_id":0,"line":"\ud800 text"}]"#),
        ("stopWatch", r#"["stopProcessId",0]"#),
        ("notifyByProcessId", r#"[{"id":0,"action_name":"x","manually":true}]"#),
        ("sendSignalToProcessName", r#"[{"process_name":"all","signal":"SIGCONT"}]"#),
        ("prepare", r#"[{"name":"x","env":{},"instances":"max"}]"#),
    ];
    let (method, args) = calls[random.below(calls.len())];
    let id = match random.below(3) {
        0 => Argument::Text("1:2".to_owned()),
        1 => Argument::Json("{\"a\":[null]}".to_owned()),
        _ => Argument::Blob(random.bytes(9)),
    };
    encode_call(&id, method, args)
}

fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.bytes(1)[0],
            2 => bytes.truncate(at),
            3 => {
                let count = random.below(20);
                let more = random.bytes(count);
                bytes.splice(at..at, more);
            }
            4 => drop(bytes.drain(at..(at + 1 + random.below(8)).min(bytes.len()))),
            _ => {
                let again = bytes[at..].to_vec();
                bytes.extend(again);
            }
        }
    }
}

/// One connection's worth of nonsense.
fn nonsense(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => {
            let count = random.below(2000);
            random.bytes(count)
        }
        // A large length and nothing behind it.
        1 => [&[0x12, 0x03, 0xff, 0xff, 0xff][..], &random.bytes(100)].concat(),
        2 => {
            let arguments: Vec<Argument> =
                (0..=random.below(14)).map(|_| Argument::Blob(random.bytes(5))).collect();
            encode(&arguments).unwrap()
        }
        3 => {
            let text = "[".repeat(random.below(5000)) + &"{\"a\":".repeat(random.below(50));
            encode(&[Argument::Json(text), Argument::Text("1".to_owned())]).unwrap()
        }
        _ => {
            let mut bytes: Vec<u8> = (0..=random.below(5)).flat_map(|_| frame(random)).collect();
            damage(random, &mut bytes);
            bytes
        }
    }
}

fn attack(socket: &Path, random: &mut Random) {
    let Ok(mut stream) = UnixStream::connect(socket) else { return };
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let bytes = nonsense(random);
    for part in bytes.chunks(1 + random.below(bytes.len().max(1))) {
        // The daemon may have closed the connection.
        if stream.write_all(part).is_err() {
            return;
        }
    }
    if random.below(4) == 0 {
        let _ = stream.read(&mut [0; 4096]);
    }
}

fn fuzz(home: &TestHome, begin: u64, duration: Duration) -> u64 {
    let end = Instant::now() + duration;
    let workers: Vec<_> = (0..2_u64)
        .map(|number| {
            let sockets = [home.file("rpc.sock"), home.file("pub.sock")];
            let mut random = Random::of(begin, number + 1);
            std::thread::spawn(move || {
                let mut count = 0;
                while Instant::now() < end {
                    attack(&sockets[usize::from(random.below(4) == 0)], &mut random);
                    count += 1;
                }
                count
            })
        })
        .collect();
    workers.into_iter().map(|worker| worker.join().unwrap()).sum()
}

fn check(duration: Duration) {
    let home = TestHome::new();
    let daemon = home.start();
    let mut client = home.client();
    client.start(home.shell("cat", "exec cat > /dev/null"));
    let settle = |client: &mut support::Client| {
        until("all connections are closed", || support::descriptors(daemon).len() < 40);
        assert_eq!(client.call("ping", json!({})).unwrap(), json!({"msg": "pong"}));
    };
    fuzz(&home, 1, (duration / 4).max(Duration::from_secs(1)));
    settle(&mut client);
    let warm = memory(daemon);
    let n_connections = fuzz(&home, 2, duration);
    assert!(n_connections > 100, "{n_connections}");
    settle(&mut client);
    assert!(is_alive(daemon));
    let list = client.list();
    assert_eq!(list.len(), 1, "{list:?}");
    let mut now = 0;
    until("the memory is given back", || {
        now = memory(daemon);
        now <= warm + warm / 5
    });
}

#[test]
fn random_bytes_for_some_seconds() {
    check(Duration::from_secs(8));
}

#[test]
#[ignore = "takes minutes: PM2_RS_FUZZ_SECONDS, 600 unless set"]
fn random_bytes_on_both_sockets() {
    let seconds = std::env::var("PM2_RS_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    check(Duration::from_secs(seconds.unwrap_or(600)));
}
