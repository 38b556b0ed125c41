//! The thread against workers that speak the protocol by hand.

mod frozen;

use std::collections::VecDeque;
use std::io::{IoSliceMut, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::bus::Bus;
use crate::sys::channel_pair;

fn primary() -> ClusterPrimary {
    let journal = Journal::new(Bus::default(), "");
    ClusterPrimary::new(journal, Limits { window: 4, direct_above: 1000 })
}

fn info(app: &str, job: u32) -> WorkerInfo {
    WorkerInfo { app: app.to_owned(), job, foreign: false, policy: Policy::RoundRobin, sticky: false }
}

/// The worker's end of a channel.
struct Worker {
    id: u64,
    stream: UnixStream,
    messages: mpsc::Receiver<AppMessage>,
    _sender: ChannelSender,
    text: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
    seq: u64,
}

const PATIENCE: Duration = Duration::from_secs(5);

impl Worker {
    fn new(primary: &ClusterPrimary, id: u64, info: WorkerInfo) -> Worker {
        let (ours, theirs) = channel_pair().unwrap();
        let (sender, messages) = primary.attach(id, info, ours).unwrap();
        let stream = UnixStream::from(theirs);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Worker {
            id,
            stream,
            messages,
            _sender: sender,
            text: Vec::new(),
            descriptors: VecDeque::new(),
            seq: 0,
        }
    }

    fn say(&mut self, mut frame: Value) -> u64 {
        self.seq += 1;
        frame["cmd"] = json!("NODE_CLUSTER");
        frame["seq"] = json!(self.seq);
        self.write(&frame.to_string());
        self.seq
    }

    fn write(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The next line of the primary.
    fn hear(&mut self) -> Value {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return serde_json::from_slice(&line).unwrap();
            }
            let mut chunk = [0; 65536];
            let mut space = nix::cmsg_space!([i32; 4]);
            let mut slices = [IoSliceMut::new(&mut chunk)];
            let received = recvmsg::<()>(
                self.stream.as_raw_fd(),
                &mut slices,
                Some(&mut space),
                MsgFlags::MSG_CMSG_CLOEXEC,
            )
            .expect("the primary says something in time");
            let fds: Vec<i32> = received
                .cmsgs()
                .unwrap()
                .filter_map(|message| match message {
                    ControlMessageOwned::ScmRights(fds) => Some(fds),
                    _ => None,
                })
                .flatten()
                .collect();
            let count = received.bytes;
            assert!(count > 0, "the channel is closed");
            // SAFETY: just received, nobody else owns them.
            self.descriptors.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            self.text.extend_from_slice(&chunk[..count]);
        }
    }

    fn query(&mut self, address: &str, port: u16) -> Value {
        self.query_with(json!({"address": address, "port": port, "addressType": 4, "index": 0, "data": null}))
    }

    fn query_with(&mut self, mut frame: Value) -> Value {
        frame["act"] = json!("queryServer");
        let seq = self.say(frame);
        let answer = self.hear();
        let inner = answer.get("msg").unwrap_or(&answer).clone();
        assert_eq!(inner["ack"], json!(seq), "{answer}");
        if answer["cmd"] == "NODE_HANDLE" {
            self.acknowledge();
        }
        answer
    }

    fn acknowledge(&mut self) {
        self.write(r#"{"cmd":"NODE_HANDLE_ACK"}"#);
    }

    /// Takes a connection as Node does.
    fn take(&mut self) -> TcpStream {
        let (seq, connection) = self.given();
        self.acknowledge();
        self.answer(seq, true);
        connection
    }

    /// A connection with the number of its frame.
    fn given(&mut self) -> (u64, TcpStream) {
        let frame = self.hear();
        assert_eq!(
            (&frame["cmd"], &frame["msg"]["act"]),
            (&json!("NODE_HANDLE"), &json!("newconn")),
            "{frame}"
        );
        let descriptor = self.descriptors.pop_front().expect("a descriptor comes with it");
        (frame["msg"]["seq"].as_u64().unwrap(), TcpStream::from(descriptor))
    }

    fn answer(&mut self, seq: u64, accepted: bool) {
        self.write(&format!(r#"{{"cmd":"NODE_CLUSTER","ack":{seq},"accepted":{accepted},"seq":0}}"#));
    }

    /// Whether nothing comes for a while.
    fn hears_nothing(&mut self) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut byte = [0; 1];
        let quiet = self.stream.read(&mut byte).is_err();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        quiet && self.text.is_empty()
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn client(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).unwrap()
}

/// Whether the two are the ends of one connection.
fn belong_together(server: &TcpStream, client: &TcpStream) -> bool {
    server.peer_addr().unwrap() == client.local_addr().unwrap()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn connections_are_dealt_in_turn() {
    let primary = primary();
    let port = free_port();
    let mut workers: Vec<Worker> = (1..4).map(|id| Worker::new(&primary, id, info("a", id as u32))).collect();
    for worker in &mut workers {
        let answer = worker.query("127.0.0.1", port);
        assert_eq!(answer["sockname"], json!({"address": "127.0.0.1", "family": "IPv4", "port": port}));
    }
    let clients: Vec<TcpStream> = (0..6).map(|_| client(port)).collect();
    for (n, client) in clients.iter().enumerate() {
        let connection = workers[n % 3].take();
        assert!(belong_together(&connection, client), "{n}");
    }
}

#[tokio::test]
async fn the_window_bounds_what_a_silent_worker_holds() {
    let primary = primary();
    let port = free_port();
    let mut silent = Worker::new(&primary, 1, info("a", 1));
    let mut other = Worker::new(&primary, 2, info("a", 2));
    silent.query("127.0.0.1", port);
    other.query("127.0.0.1", port);
    let clients: Vec<TcpStream> = (0..20).map(|_| client(port)).collect();
    let mut served = 0;
    while !other.hears_nothing_whole(&mut served) {}
    assert!(served >= 16, "{served}");
    // What the silent one never took goes to the other when it dies.
    drop(silent);
    while served < clients.len() {
        other.take();
        served += 1;
    }
}

impl Worker {
    /// Takes one connection, or says that none comes.
    fn hears_nothing_whole(&mut self, served: &mut usize) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut byte = [0; 1];
        // SAFETY: a peek at an open descriptor into a buffer of that size.
        let count =
            unsafe { libc::recv(self.stream.as_raw_fd(), byte.as_mut_ptr().cast(), 1, libc::MSG_PEEK) };
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        if count <= 0 && self.text.is_empty() {
            return true;
        }
        self.take();
        *served += 1;
        false
    }
}

#[tokio::test]
async fn a_refused_connection_goes_to_another() {
    let primary = primary();
    let port = free_port();
    let mut full = Worker::new(&primary, 1, info("a", 1));
    let mut other = Worker::new(&primary, 2, info("a", 2));
    full.query("127.0.0.1", port);
    other.query("127.0.0.1", port);
    let client = client(port);
    let (seq, _) = full.given();
    full.acknowledge();
    full.answer(seq, false);
    assert!(belong_together(&other.take(), &client));
}

#[tokio::test]
async fn a_descriptor_that_did_not_arrive_is_sent_to_another() {
    let primary = primary();
    let port = free_port();
    let mut poor = Worker::new(&primary, 1, info("a", 1));
    let mut other = Worker::new(&primary, 2, info("a", 2));
    poor.query("127.0.0.1", port);
    other.query("127.0.0.1", port);
    let first = client(port);
    poor.given();
    poor.write(r#"{"cmd":"NODE_HANDLE_NACK"}"#);
    assert!(belong_together(&other.take(), &first));
    // The poor one rests.
    let second = client(port);
    assert!(belong_together(&other.take(), &second));
    assert!(poor.hears_nothing());
}

#[tokio::test]
async fn nobody_has_descriptors() {
    let primary = primary();
    let port = free_port();
    let mut poor = Worker::new(&primary, 1, info("a", 1));
    poor.query("127.0.0.1", port);
    let mut client = client(port);
    for _ in 0..7 {
        poor.given();
        poor.write(r#"{"cmd":"NODE_HANDLE_NACK"}"#);
    }
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(client.read(&mut [0; 1]), Ok(0)), "it is closed in the end");
}

#[tokio::test]
async fn unread_text_leaves_room_for_one_descriptor() {
    let primary = primary();
    let port = free_port();
    let mut worker = Worker::new(&primary, 1, info("a", 1));
    worker.query("127.0.0.1", port);
    let text = format!("\"{}\"", "x".repeat(40_000));
    worker._sender.send(&text).unwrap();
    let clients: Vec<TcpStream> = (0..3).map(|_| client(port)).collect();
    assert_eq!(worker.hear(), serde_json::from_str::<Value>(&text).unwrap());
    let (seq, connection) = worker.given();
    assert!(belong_together(&connection, &clients[0]));
    assert!(worker.hears_nothing(), "the next one waits for the acknowledgement");
    worker.acknowledge();
    worker.answer(seq, true);
    assert!(belong_together(&worker.take(), &clients[1]));
    assert!(belong_together(&worker.take(), &clients[2]));
}

#[tokio::test]
async fn one_address_one_worker_when_sticky() {
    let primary = primary();
    let port = free_port();
    let sticky = |job| WorkerInfo { sticky: true, ..info("a", job) };
    let mut workers: Vec<Worker> = (1..4).map(|id| Worker::new(&primary, id, sticky(id as u32))).collect();
    for worker in &mut workers {
        worker.query("127.0.0.1", port);
    }
    let clients: Vec<TcpStream> = (0..3).map(|_| client(port)).collect();
    let mut n = [0; 3];
    for (worker, n) in workers.iter_mut().zip(&mut n) {
        while !worker.hears_nothing_whole(n) {}
    }
    n.sort_unstable();
    assert_eq!(n, [0, 0, 3]);
    drop(clients);
}

#[tokio::test]
async fn apps_do_not_share_a_port_and_the_log_says_who_has_it() {
    let primary = primary();
    let port = free_port();
    let mut first = Worker::new(&primary, 1, info("first", 1));
    let mut second = Worker::new(&primary, 2, info("second", 2));
    assert_eq!(first.query("127.0.0.1", port)["errno"], 0);
    let in_use = json!(-libc::EADDRINUSE);
    assert_eq!(second.query("127.0.0.1", port)["errno"], in_use);
    assert_eq!(first.query("127.0.0.1", port)["errno"], in_use, "twice in one process");
    // What failed can be tried again.
    first.say(json!({"act": "close", "key": format!("127.0.0.1:{port}:4")}));
    until("free", || second.query("127.0.0.1", port)["errno"] == 0).await;
}

#[tokio::test]
async fn a_port_is_kept_for_a_successor_and_closed_without_one() {
    let primary = primary();
    let port = free_port();
    let mut old = Worker::new(&primary, 1, info("a", 7));
    old.query("127.0.0.1", port);
    drop(old);
    assert!(primary.leave(1).await.is_empty());
    let waits = client(port);
    let mut new = Worker::new(&primary, 2, info("a", 7));
    new.query("127.0.0.1", port);
    assert!(belong_together(&new.take(), &waits));
    primary.leave(new.id).await;
    primary.give_up(7).await;
    drop(TcpListener::bind(("127.0.0.1", port)).unwrap());
}

#[tokio::test]
async fn a_successor_that_listens_elsewhere_leaves_nothing_open() {
    let primary = primary();
    let (before, after) = (free_port(), free_port());
    let mut old = Worker::new(&primary, 1, info("a", 7));
    old.query("127.0.0.1", before);
    let mut new = Worker::new(&primary, 2, info("a", 7));
    new.query("127.0.0.1", after);
    new.say(json!({"act": "listening", "port": after}));
    assert!(matches!(new.messages.recv().await, Some(AppMessage::Listening(_))));
    primary.drain(1, true);
    old.hear();
    old.say(json!({"act": "close", "key": format!("127.0.0.1:{before}:4")}));
    until("closed", || TcpListener::bind(("127.0.0.1", before)).is_ok()).await;
}

#[tokio::test]
async fn the_last_words_of_a_worker_are_given_back() {
    let primary = primary();
    let mut worker = Worker::new(&primary, 1, info("a", 1));
    let n = 200;
    for number in 0..n {
        worker.write(&number.to_string());
    }
    let Worker { stream, mut messages, _sender, .. } = worker;
    drop(stream);
    let left = primary.leave(1).await;
    let mut all = Vec::new();
    while let Ok(message) = messages.try_recv() {
        all.push(message);
    }
    all.extend(left);
    let expected: Vec<AppMessage> = (0..n).map(|number| AppMessage::Raw(number.to_string())).collect();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn an_app_that_floods_a_slow_job_is_held_up_and_loses_nothing() {
    let primary = primary();
    let worker = Worker::new(&primary, 1, info("a", 1));
    let Worker { mut stream, mut messages, _sender, .. } = worker;
    let n = 100_000;
    let writer = std::thread::spawn(move || {
        for number in 0..n {
            stream.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
    });
    for number in 0..n {
        assert_eq!(messages.recv().await, Some(AppMessage::Raw(number.to_string())));
    }
    writer.join().unwrap();
    assert_eq!(messages.recv().await, None);
}

#[tokio::test]
async fn listening_is_told_with_the_keys() {
    let primary = primary();
    let port = free_port();
    let mut worker = Worker::new(&primary, 1, info("a", 1));
    worker.say(json!({"act": "online"}));
    worker.query("127.0.0.1", port);
    worker.say(json!({"act": "listening", "port": port}));
    assert_eq!(worker.messages.recv().await, Some(AppMessage::Online));
    let keys = BTreeSet::from([format!("127.0.0.1:{port}:4")]);
    assert_eq!(worker.messages.recv().await, Some(AppMessage::Listening(keys.clone())));
    assert_eq!(primary.keys_of(1).await, keys);
}

#[tokio::test]
async fn draining_comes_after_what_was_handed_over_and_ends_with_disconnect() {
    let primary = primary();
    let port = free_port();
    let mut worker = Worker::new(&primary, 1, info("a", 1));
    worker.query("127.0.0.1", port);
    let client = client(port);
    let connection = worker.take();
    assert!(belong_together(&connection, &client));
    primary.drain(1, true);
    assert_eq!(worker.hear()["act"], "drain");
    let _late = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert!(worker.hears_nothing(), "it gets nothing new");
    worker.write(r#"{"cmd":"NODE_PM2RS","act":"drained"}"#);
    assert_eq!(worker.hear()["act"], "disconnect");
    // Without the runtime at once.
    let mut plain = Worker::new(&primary, 2, info("b", 2));
    primary.drain(2, false);
    assert_eq!(plain.hear()["act"], "disconnect");
    let seq = plain.say(json!({"act": "exitedAfterDisconnect"}));
    assert_eq!(plain.hear()["ack"], json!(seq));
}

#[tokio::test]
async fn a_socket_file_goes_with_its_last_listener() {
    let primary = primary();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut worker = Worker::new(&primary, 1, info("a", 1));
    let wanted = |path: &Path| json!({"address": path, "port": -1, "addressType": -1, "readableAll": true, "writableAll": true});
    assert_eq!(worker.query_with(wanted(&path))["errno"], 0);
    let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
    assert_eq!(mode & 0o666, 0o666);
    let _client = UnixStream::connect(&path).unwrap();
    worker.given();
    worker.say(json!({"act": "close", "key": format!("{}:-1:-1", path.display())}));
    until("removed", || !path.exists()).await;
    let missing = folder.path().join("missing").join("s");
    assert_eq!(worker.query_with(wanted(&missing))["errno"], -libc::EACCES);
    let long = folder.path().join("x".repeat(200));
    assert_eq!(worker.query_with(wanted(&long))["errno"], -libc::ENAMETOOLONG);
}

#[tokio::test]
async fn session_ticket_keys_of_the_first_are_those_of_all() {
    let primary = primary();
    let port = free_port();
    let query = |data: Value| json!({"address": "127.0.0.1", "port": port, "addressType": 4, "data": data});
    let mut first = Worker::new(&primary, 1, info("a", 1));
    let mut second = Worker::new(&primary, 2, info("a", 2));
    assert_eq!(first.query_with(query(json!({"type": "Buffer", "data": [1]})))["data"]["data"], json!([1]));
    assert_eq!(second.query_with(query(json!({"type": "Buffer", "data": [2]})))["data"]["data"], json!([1]));
}

#[tokio::test]
async fn whatever_a_worker_says_the_thread_goes_on() {
    let primary = primary();
    let mut worker = Worker::new(&primary, 1, info("a", 1));
    for line in [
        "",
        "{",
        "[]",
        r#"{"cmd":"NODE_CLUSTER"}"#,
        r#"{"cmd":"NODE_CLUSTER","act":"unheard-of"}"#,
        r#"{"cmd":"NODE_CLUSTER","act":"close","key":"none"}"#,
        r#"{"cmd":"NODE_CLUSTER","ack":77,"accepted":true}"#,
        r#"{"cmd":"NODE_CLUSTER","act":7}"#,
        r#"{"cmd":"NODE_HANDLE_ACK"}"#,
        r#"{"cmd":"NODE_HANDLE_NACK"}"#,
        r#"{"cmd":"NODE_SOCKET_NOTIFY_CLOSE","key":1}"#,
        r#"{"cmd":"NODE_CLUSTER","act":"queryServer","address":{},"seq":1}"#,
    ] {
        worker.write(line);
    }
    // A handle upward is closed and acknowledged.
    worker.write(r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{}}"#);
    assert_eq!(worker.hear(), json!({"cmd": "NODE_HANDLE_ACK"}));
    let descriptor = json!({"address": null, "port": null, "addressType": 4, "fd": 5});
    assert_eq!(worker.query_with(descriptor)["errno"], -libc::EINVAL);
}

/// Only where the system can steer; elsewhere hybrid is round robin.
#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod steered {
    use super::*;

    fn hybrid(job: u32) -> WorkerInfo {
        WorkerInfo { policy: Policy::Hybrid, ..info("a", job) }
    }

    /// The listening socket that came with an answer.
    fn own_socket(worker: &mut Worker) -> TcpListener {
        TcpListener::from(worker.descriptors.pop_front().unwrap())
    }

    #[tokio::test]
    async fn a_single_worker_accepts_for_itself_and_two_are_dealt_to() {
        let primary = primary();
        let port = free_port();
        let mut first = Worker::new(&primary, 1, hybrid(1));
        assert_eq!(first.query("127.0.0.1", port)["type"], "net.Native");
        let own = own_socket(&mut first);
        own.set_nonblocking(true).unwrap();
        // Steered a moment after the answer.
        primary.keys_of(1).await;
        let by_itself = client(port);
        assert!(belong_together(&own.accept().unwrap().0, &by_itself));
        let mut second = Worker::new(&primary, 2, hybrid(2));
        second.query("127.0.0.1", port);
        let _own = own_socket(&mut second);
        primary.keys_of(2).await;
        let third = client(port);
        let fourth = client(port);
        let (a, b) = (first.take(), second.take());
        let pairs = [(&a, &third), (&b, &fourth)];
        let swapped = [(&a, &fourth), (&b, &third)];
        let fits = |pairs: [(&TcpStream, &TcpStream); 2]| pairs.iter().all(|(s, c)| belong_together(s, c));
        assert!(fits(pairs) || fits(swapped));
    }

    #[tokio::test]
    async fn a_listening_socket_that_did_not_arrive_is_sent_again_and_refused_in_the_end() {
        let primary = primary();
        let mut poor = Worker::new(&primary, 1, hybrid(1));
        poor.say(
            json!({"act": "queryServer", "address": "127.0.0.1", "port": free_port(), "addressType": 4}),
        );
        poor.hear();
        poor.write(r#"{"cmd":"NODE_HANDLE_NACK"}"#);
        assert_eq!(poor.hear()["msg"]["errno"], 0, "once more");
        poor.acknowledge();
        let port = free_port();
        poor.say(json!({"act": "queryServer", "address": "127.0.0.1", "port": port, "addressType": 4}));
        for _ in 0..7 {
            assert_eq!(poor.hear()["cmd"], "NODE_HANDLE");
            poor.write(r#"{"cmd":"NODE_HANDLE_NACK"}"#);
        }
        assert_eq!(poor.hear()["errno"], -libc::EMFILE);
        poor.descriptors.clear();
        until("the port is given up", || TcpListener::bind(("127.0.0.1", port)).is_ok()).await;
    }

    #[tokio::test]
    async fn what_waits_for_a_dead_worker_goes_to_its_successor() {
        let primary = primary();
        let port = free_port();
        let mut first = Worker::new(&primary, 1, hybrid(1));
        first.query("127.0.0.1", port);
        drop(own_socket(&mut first));
        primary.keys_of(1).await;
        let waiting: Vec<TcpStream> = (0..3).map(|_| client(port)).collect();
        drop(first);
        primary.leave(1).await;
        let mut second = Worker::new(&primary, 2, hybrid(1));
        second.query("127.0.0.1", port);
        let own = own_socket(&mut second);
        // Either way: on the socket that it inherited, or dealt.
        own.set_nonblocking(true).unwrap();
        let mut n = 0;
        let mut taken = 0;
        until("all are there", || {
            while own.accept().is_ok() {
                n += 1;
            }
            second.hears_nothing_whole(&mut taken);
            n + taken == waiting.len()
        })
        .await;
    }

    #[tokio::test]
    async fn at_a_high_rate_workers_accept_and_a_blocked_one_is_relieved() {
        let journal = Journal::new(Bus::default(), "");
        let primary = ClusterPrimary::new(journal, Limits { window: 4, direct_above: 0 });
        let port = free_port();
        let mut blocked = Worker::new(&primary, 1, hybrid(1));
        let mut other = Worker::new(&primary, 2, hybrid(2));
        blocked.query("127.0.0.1", port);
        other.query("127.0.0.1", port);
        let _blocked_socket = own_socket(&mut blocked);
        let own = own_socket(&mut other);
        own.set_nonblocking(true).unwrap();
        primary.keys_of(2).await;
        let clients: Vec<TcpStream> = (0..200).map(|_| client(port)).collect();
        let mut by_itself = 0;
        let mut dealt = 0;
        // The blocked one keeps what was handed to it, four at most.
        until("all that can be served are", || {
            while own.accept().is_ok() {
                by_itself += 1;
            }
            other.hears_nothing_whole(&mut dealt);
            by_itself + dealt >= clients.len() - 4
        })
        .await;
        assert!(by_itself > 20 && dealt > 20, "{by_itself} {dealt}");
    }
}
