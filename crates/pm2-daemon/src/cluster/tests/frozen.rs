//! The thread is frozen and another one goes on.

use std::collections::BTreeMap;

use super::*;
use crate::ipc::Ends;

/// What a primary leaves, as text, with what goes with it.
async fn frozen(primary: &ClusterPrimary) -> (String, i64, Descriptors) {
    let clock = Clock::stop();
    let (state, descriptors) = primary.freeze(&clock).await.unwrap();
    (serde_json::to_string(&state).unwrap(), clock.at, descriptors)
}

fn thawed(text: &str, at: i64, descriptors: Descriptors) -> (ClusterPrimary, BTreeMap<u64, Ends>) {
    let primary = primary();
    let state = serde_json::from_str(text).unwrap();
    let ends = primary.thaw(state, &Clock::stopped_at(at), descriptors).unwrap();
    (primary, ends)
}

/// Another primary that goes on with these workers.
async fn exchange(primary: ClusterPrimary, workers: &mut [&mut Worker]) -> ClusterPrimary {
    let (text, at, descriptors) = frozen(&primary).await;
    drop(primary);
    let (primary, mut ends) = thawed(&text, at, descriptors);
    for worker in workers {
        let Ends { sender, messages, .. } = ends.remove(&worker.id).unwrap();
        worker.messages = messages;
        worker._sender = sender;
    }
    primary
}

#[tokio::test]
async fn connections_go_on_in_turn() {
    for policy in [Policy::RoundRobin, Policy::Hybrid] {
        let info = |job| WorkerInfo { policy, ..info("a", job) };
        let mut primary = primary();
        let port = free_port();
        let mut first = Worker::new(&primary, 1, info(1));
        let mut second = Worker::new(&primary, 2, info(2));
        first.query("127.0.0.1", port);
        second.query("127.0.0.1", port);
        // Where the system can steer, those of a group have a socket of their own.
        first.descriptors.clear();
        second.descriptors.clear();
        for round in 0..4 {
            let client = client(port);
            let next = if round % 2 == 0 { &mut first } else { &mut second };
            assert!(belong_together(&next.take(), &client), "{policy:?} {round}");
            primary = exchange(primary, &mut [&mut first, &mut second]).await;
        }
        // A third one joins as if nothing had been.
        let mut third = Worker::new(&primary, 3, info(3));
        assert_eq!(third.query("127.0.0.1", port)["errno"].as_i64().unwrap_or(0), 0);
        third.descriptors.clear();
        let clients: Vec<TcpStream> = (0..3).map(|_| client(port)).collect();
        for (worker, client) in [&mut third, &mut first, &mut second].into_iter().zip(&clients) {
            assert!(belong_together(&worker.take(), client));
        }
    }
}

#[tokio::test]
async fn connections_on_their_way_are_not_lost() {
    let mut primary = primary();
    let port = free_port();
    let mut silent = Worker::new(&primary, 1, info("a", 1));
    silent.query("127.0.0.1", port);
    // Four with the worker, of which it has seen one, two with the daemon, and one with the system.
    let clients: Vec<TcpStream> = (0..6).map(|_| client(port)).collect();
    let (seq, connection) = silent.given();
    assert!(belong_together(&connection, &clients[0]));
    let (text, at, descriptors) = loop {
        let (text, at, descriptors) = frozen(&primary).await;
        let state: ClusterState = serde_json::from_str(&text).unwrap();
        if (state.workers[0].unaccepted.len(), state.listeners[0].waiting.len()) == (4, 2) {
            break (text, at, descriptors);
        }
        primary = thawed(&text, at, descriptors).0;
    };
    let late = client(port);
    let (primary, mut ends) = thawed(&text, at, descriptors);
    silent._sender = ends.remove(&1).unwrap().sender;
    // An answer to what the other one has sent.
    silent.acknowledge();
    silent.answer(seq, true);
    let second = silent.take();
    assert!(belong_together(&second, &clients[1]));
    // It dies with what it has not taken.
    let mut other = Worker::new(&primary, 2, info("a", 2));
    other.query("127.0.0.1", port);
    drop(silent);
    let mut left: Vec<&TcpStream> = clients[2..].iter().chain([&late]).collect();
    for _ in 0..5 {
        let connection = other.take();
        left.retain(|client| !belong_together(&connection, client));
    }
    assert!(left.is_empty(), "{left:?}");
    // Nothing is done twice.
    assert!(other.hears_nothing());
}

#[tokio::test]
async fn there_is_room_for_one_descriptor_until_the_first_is_acknowledged() {
    let primary = primary();
    let port = free_port();
    let mut worker = Worker::new(&primary, 1, info("a", 1));
    worker.query("127.0.0.1", port);
    let _primary = exchange(primary, &mut [&mut worker]).await;
    let clients: Vec<TcpStream> = (0..4).map(|_| client(port)).collect();
    let (seq, connection) = worker.given();
    assert!(belong_together(&connection, &clients[0]));
    assert!(worker.hears_nothing());
    worker.acknowledge();
    worker.answer(seq, true);
    // Now all others at once.
    let given: Vec<TcpStream> = (0..3).map(|_| worker.given().1).collect();
    assert!(given.iter().zip(&clients[1..]).all(|(server, client)| belong_together(server, client)));
}

#[tokio::test]
async fn what_a_full_channel_holds_arrives_whole_and_in_order() {
    let primary = primary();
    let (port, other_port) = (free_port(), free_port());
    let mut worker = Worker::new(&primary, 1, WorkerInfo { policy: Policy::Shared, ..info("a", 1) });
    worker.query("127.0.0.1", port);
    worker.descriptors.clear();
    let text = |number: usize| format!("\"{number} {}\"", "x".repeat(1000));
    for number in 0..1000 {
        worker._sender.send(&text(number)).unwrap();
    }
    // An answer with a descriptor that cannot leave.
    let seq = worker
        .say(json!({"act": "queryServer", "address": "127.0.0.1", "port": other_port, "addressType": 4}));
    until("the port is bound", || TcpListener::bind(("127.0.0.1", other_port)).is_err()).await;
    let _primary = exchange(primary, &mut [&mut worker]).await;
    worker._sender.send("\"last\"").unwrap();
    for number in 0..1000 {
        assert_eq!(worker.hear(), serde_json::from_str::<Value>(&text(number)).unwrap());
    }
    let (mut answer, mut last) = (worker.hear(), worker.hear());
    if answer.is_string() {
        std::mem::swap(&mut answer, &mut last);
    }
    assert_eq!((&answer["cmd"], &answer["msg"]["ack"]), (&json!("NODE_HANDLE"), &json!(seq)));
    assert_eq!(last, "last");
    assert_eq!(worker.descriptors.len(), 1);
    let listener = TcpListener::from(worker.descriptors.pop_front().unwrap());
    assert_eq!(listener.local_addr().unwrap().port(), other_port);
    worker.acknowledge();
    // All that was unsent has been given back to the limit.
    assert!(worker._sender.send(&format!("\"{}\"", "x".repeat(16 * 1024 * 1024))).is_ok());
}

#[tokio::test]
async fn messages_of_a_worker_are_not_lost() {
    let primary = primary();
    let mut worker = Worker::new(&primary, 1, info("a", 1));
    // More than its job has room for, and half a message more.
    let n = MAX_INCOMING * 3;
    for number in 0..n {
        worker.write(&number.to_string());
    }
    worker.stream.write_all(b"{\"half\":\"\xc3").unwrap();
    let mut got = Vec::new();
    while got.len() < MAX_INCOMING / 2 {
        got.extend(worker.messages.recv().await);
    }
    let mut heard_before = Vec::new();
    let clock = Clock::stop();
    let (mut state, descriptors) = primary.freeze(&clock).await.unwrap();
    while let Ok(message) = worker.messages.try_recv() {
        heard_before.push(message.freeze());
    }
    state.workers[0].undelivered.splice(..0, heard_before);
    let text = serde_json::to_string(&state).unwrap();
    worker.stream.write_all(b"\xa4\"}\n").unwrap();
    let (_primary, mut ends) = thawed(&text, clock.at, descriptors);
    let mut messages = ends.remove(&1).unwrap().messages;
    while got.len() < n + 1 {
        got.push(tokio::time::timeout(PATIENCE, messages.recv()).await.unwrap().unwrap());
    }
    let mut expected: Vec<AppMessage> = (0..n).map(|number| AppMessage::Raw(number.to_string())).collect();
    expected.push(AppMessage::Raw("{\"half\":\"\u{e4}\"}".to_owned()));
    assert_eq!(got, expected);
    drop(worker.stream);
    assert_eq!(tokio::time::timeout(PATIENCE, messages.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn a_worker_that_has_gone_is_still_heard_and_forgotten() {
    let primary = primary();
    let mut worker = Worker::new(&primary, 1, info("a", 1));
    for number in 0..MAX_INCOMING + 3 {
        worker.write(&number.to_string());
    }
    until("its job is behind", || worker.messages.len() == MAX_INCOMING).await;
    let Worker { stream, mut messages, .. } = worker;
    drop(stream);
    let mut heard_before: Vec<_> = std::iter::from_fn(|| messages.try_recv().ok()).collect();
    let clock = Clock::stop();
    let (state, descriptors) = primary.freeze(&clock).await.unwrap();
    // The thread had time to say more, as there was room.
    heard_before.extend(std::iter::from_fn(|| messages.try_recv().ok()));
    let text = serde_json::to_string(&state).unwrap();
    let (primary, mut ends) = thawed(&text, clock.at, descriptors);
    let mut messages = ends.remove(&1).unwrap().messages;
    let mut n = heard_before.len();
    while tokio::time::timeout(PATIENCE, messages.recv()).await.unwrap().is_some() {
        n += 1;
    }
    n += std::iter::from_fn(|| messages.try_recv().ok()).count() + primary.leave(1).await.len();
    assert_eq!(n, MAX_INCOMING + 3);
    let (state, _) = primary.freeze(&clock).await.unwrap();
    assert!(state.workers.is_empty());
}

#[tokio::test]
async fn addresses_are_kept_for_whoever_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let primary = primary();
    let port = free_port();
    let mut worker = Worker::new(&primary, 1, info("a", 7));
    worker.query("127.0.0.1", port);
    worker.query_with(json!({"address": path, "port": -1, "addressType": -1}));
    drop(worker);
    primary.leave(1).await;
    let (text, at, descriptors) = frozen(&primary).await;
    drop(primary);
    assert!(path.exists());
    // Nobody is refused meanwhile.
    let early = client(port);
    let (primary, _) = thawed(&text, at, descriptors);
    let mut successor = Worker::new(&primary, 2, info("a", 7));
    assert_eq!(successor.query("127.0.0.1", port)["errno"], 0);
    assert!(belong_together(&successor.take(), &early));
    drop(successor);
    primary.leave(2).await;
    primary.give_up(7).await;
    assert!(!path.exists());
    drop(TcpListener::bind(("127.0.0.1", port)).unwrap());
}

#[tokio::test]
async fn a_listening_socket_that_did_not_arrive_is_still_sent_again() {
    let mut primary = primary();
    let mut poor = Worker::new(&primary, 1, WorkerInfo { policy: Policy::Shared, ..info("a", 1) });
    let port = free_port();
    poor.say(json!({"act": "queryServer", "address": "127.0.0.1", "port": port, "addressType": 4}));
    for _ in 0..3 {
        assert_eq!(poor.hear()["msg"]["errno"], 0);
        // On its way, and missed.
        primary = exchange(primary, &mut [&mut poor]).await;
        poor.write(r#"{"cmd":"NODE_HANDLE_NACK"}"#);
        primary = exchange(primary, &mut [&mut poor]).await;
    }
    assert_eq!(poor.hear()["msg"]["errno"], 0);
    poor.acknowledge();
    let listener = TcpListener::from(poor.descriptors.pop_back().unwrap());
    assert_eq!(listener.local_addr().unwrap().port(), port);
    // Those that did not arrive are counted all the same.
    poor.say(json!({"act": "queryServer", "address": "127.0.0.1", "port": free_port(), "addressType": 4}));
    for _ in 0..7 {
        assert_eq!(poor.hear()["cmd"], "NODE_HANDLE");
        poor.write(r#"{"cmd":"NODE_HANDLE_NACK"}"#);
        primary = exchange(primary, &mut [&mut poor]).await;
    }
    assert_eq!(poor.hear()["errno"], -libc::EMFILE);
}
