//! The primary's half of Node's cluster module: listening sockets that workers share.
//!
//! The daemon binds what a worker wants to listen on and hands the same socket to every worker of
//! the app, which then accept by themselves. Specification `node-cluster-protocol.md` §4 and §5.

mod socket;

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A frame `NODE_CLUSTER` of a worker.
#[derive(Debug, Deserialize)]
pub(crate) struct WorkerFrame<'a> {
    #[serde(default)]
    act: Option<String>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    key: Option<String>,
    #[serde(borrow, default)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    port: Option<i64>,
    #[serde(borrow, default, rename = "addressType")]
    address_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    fd: Option<&'a RawValue>,
    #[serde(borrow, default)]
    backlog: Option<&'a RawValue>,
    #[serde(borrow, default)]
    flags: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "readableAll")]
    readable_all: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "writableAll")]
    writable_all: Option<&'a RawValue>,
}

/// Who sent a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Worker {
    /// Its `NODE_UNIQUE_ID`.
    pub(crate) id: u64,
    /// Whether it runs as another user than the daemon.
    pub(crate) foreign: bool,
}

/// What a frame asks the daemon to do.
#[derive(Debug)]
pub(crate) enum Demand {
    /// The worker runs.
    Online,
    /// The worker's server is up.
    Listening,
    /// Send this back, with the descriptor if there is one.
    Answer {
        frame: String,
        descriptor: Option<OwnedFd>,
        /// For the log: why the worker cannot listen.
        refusal: Option<String>,
    },
    Nothing,
}

/// All listeners of all cluster apps. An app is known by its name, as its instances are.
#[derive(Default)]
pub(crate) struct ClusterPrimary {
    listeners: HashMap<(String, String), Listener>,
    next_seq: u64,
}

struct Listener {
    socket: OwnedFd,
    /// Its file, which goes with it.
    _path: Option<socket::BoundPath>,
    datagram: bool,
    members: HashSet<u64>,
    /// Session ticket keys of the first TLS worker, echoed to the others.
    data: Option<String>,
}

impl ClusterPrimary {
    /// Deals with one frame of a worker.
    pub(crate) fn receive(&mut self, app: &str, worker: Worker, text: &str) -> Demand {
        let Ok(frame) = serde_json::from_str::<WorkerFrame<'_>>(text) else { return Demand::Nothing };
        match frame.act.as_deref() {
            Some("online") => Demand::Online,
            Some("listening") => Demand::Listening,
            Some("queryServer") => self.query(app, worker, &frame),
            Some("exitedAfterDisconnect") => {
                let seq = self.seq();
                let ack = frame.seq.unwrap_or_default();
                Demand::Answer {
                    frame: format!(r#"{{"cmd":"NODE_CLUSTER","ack":{ack},"seq":{seq}}}"#),
                    descriptor: None,
                    refusal: None,
                }
            }
            Some("close") => {
                if let Some(key) = frame.key {
                    let at = (app.to_owned(), key);
                    let empty = self.listeners.get_mut(&at).is_some_and(|listener| {
                        listener.members.remove(&worker.id);
                        listener.members.is_empty()
                    });
                    if empty {
                        self.listeners.remove(&at);
                    }
                }
                Demand::Nothing
            }
            _ => Demand::Nothing,
        }
    }

    /// Forgets a worker that has ended. Its sockets stay open while other workers hold them, and
    /// also without any when `keep` says that a successor is on its way.
    pub(crate) fn leave(&mut self, worker: u64, keep: bool) {
        self.listeners.retain(|_, listener| {
            let was_member = listener.members.remove(&worker);
            keep || !was_member || !listener.members.is_empty()
        });
    }

    /// The keys of the sockets that a worker has.
    pub(crate) fn keys_of(&self, worker: u64) -> HashSet<String> {
        let held = self.listeners.iter().filter(|(_, listener)| listener.members.contains(&worker));
        held.map(|((_, key), _)| key.clone()).collect()
    }

    /// The frame that makes a worker close its servers and then its channel.
    pub(crate) fn disconnect(&mut self) -> String {
        format!(r#"{{"cmd":"NODE_CLUSTER","act":"disconnect","seq":{}}}"#, self.seq())
    }

    /// Closes what no worker of an app holds any more.
    pub(crate) fn close_unused(&mut self, app: &str) {
        self.listeners.retain(|(name, _), listener| name != app || !listener.members.is_empty());
    }

    fn query(&mut self, app: &str, worker: Worker, frame: &WorkerFrame<'_>) -> Demand {
        let text = |value: Option<&RawValue>, absent: &str| {
            value.map_or(absent.to_owned(), |value| value.get().trim_matches('"').to_owned())
        };
        let address_type = text(frame.address_type, "null");
        let port = frame.port.map_or("undefined".to_owned(), |port| port.to_string());
        let mut key = format!("{}:{port}:{address_type}", frame.address.as_deref().unwrap_or("null"));
        if frame.port == Some(0) {
            // The first such server of every worker shares one port, the second another.
            key = format!("{key}:{}", text(frame.index, "0"));
        }
        let ack = frame.seq.unwrap_or_default();
        let seq = self.seq();
        let at = (app.to_owned(), key.clone());
        let in_use = std::io::Error::from_raw_os_error(libc::EADDRINUSE);
        if self.listeners.get(&at).is_some_and(|listener| listener.members.contains(&worker.id)) {
            // Node takes a key for one server of a worker.
            return refused(&key, ack, seq, &in_use, format!("{key} twice in one process"));
        }
        if !self.listeners.contains_key(&at) {
            let number = |value: Option<&RawValue>| value.and_then(|value| value.get().parse::<i32>().ok());
            let wanted = socket::Wanted {
                address: frame.address.as_deref(),
                port: frame.port.unwrap_or(0),
                address_type: &address_type,
                backlog: number(frame.backlog).filter(|backlog| *backlog > 0).unwrap_or(511),
                flags: number(frame.flags).unwrap_or(0),
                foreign: worker.foreign,
                names_descriptor: number(frame.fd).is_some_and(|fd| fd >= 0),
                readable_all: frame.readable_all.is_some_and(|value| value.get() == "true"),
                writable_all: frame.writable_all.is_some_and(|value| value.get() == "true"),
            };
            match socket::bind(&wanted) {
                Ok((socket, path)) => {
                    let listener = Listener {
                        socket,
                        _path: path,
                        datagram: wanted.is_datagram(),
                        members: HashSet::new(),
                        data: None,
                    };
                    self.listeners.insert(at.clone(), listener);
                }
                Err(error) => {
                    let owner = self.listeners.keys().find(|(_, held)| *held == key).map(|(owner, _)| owner);
                    let who = owner.map_or(String::new(), |owner| format!(", the app {owner} listens there"));
                    return refused(&key, ack, seq, &error, format!("{key}: {error}{who}"));
                }
            }
        }
        let listener = self.listeners.get_mut(&at).expect("inserted above");
        let descriptor = match listener.socket.try_clone() {
            Ok(descriptor) => descriptor,
            // Out of descriptors: the app hears it as the error of its `listen`.
            Err(error) => return refused(&key, ack, seq, &error, format!("{key}: {error}")),
        };
        listener.members.insert(worker.id);
        if listener.data.is_none() {
            listener.data = frame.data.map(RawValue::get).filter(|data| *data != "null").map(str::to_owned);
        }
        let data = listener.data.as_deref().unwrap_or("null");
        let kind = if listener.datagram { "dgram.Native" } else { "net.Native" };
        let key = serde_json::Value::from(key);
        let message = format!(
            r#"{{"cmd":"NODE_CLUSTER","errno":0,"key":{key},"ack":{ack},"data":{data},"seq":{seq}}}"#
        );
        let frame = format!(r#"{{"cmd":"NODE_HANDLE","type":"{kind}","msg":{message}}}"#);
        Demand::Answer { frame, descriptor: Some(descriptor), refusal: None }
    }

    fn seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq
    }
}

/// The answer to a `listen` that fails with the system's error.
fn refused(key: &str, ack: u64, seq: u64, error: &std::io::Error, what: String) -> Demand {
    let errno = -error.raw_os_error().unwrap_or(libc::EINVAL);
    let key = serde_json::Value::from(key);
    let frame = format!(
        r#"{{"cmd":"NODE_CLUSTER","errno":{errno},"key":{key},"ack":{ack},"data":null,"seq":{seq}}}"#
    );
    Demand::Answer { frame, descriptor: None, refusal: Some(format!("cannot listen on {what}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(primary: &mut ClusterPrimary, app: &str, worker: u64, port: u16) -> (String, bool) {
        let text = format!(
            r#"{{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"127.0.0.1","port":{port},"addressType":4,"backlog":0,"seq":1}}"#
        );
        match primary.receive(app, Worker { id: worker, foreign: false }, &text) {
            Demand::Answer { frame, descriptor, .. } => (frame, descriptor.is_some()),
            other => panic!("{other:?}"),
        }
    }

    fn free_port() -> u16 {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn workers_of_one_app_share_and_other_apps_are_refused() {
        let mut primary = ClusterPrimary::default();
        let port = free_port();
        let (first, with_socket) = ask(&mut primary, "a", 1, port);
        assert!(
            with_socket && first.contains("\"type\":\"net.Native\"") && first.contains("\"ack\":1"),
            "{first}"
        );
        assert!(ask(&mut primary, "a", 2, port).1);
        let (refused, with_socket) = ask(&mut primary, "b", 3, port);
        assert!(!with_socket && refused.contains(&format!("\"errno\":{}", -libc::EADDRINUSE)), "{refused}");
        let (again, with_socket) = ask(&mut primary, "a", 2, port);
        assert!(!with_socket && again.contains(&format!("\"errno\":{}", -libc::EADDRINUSE)), "{again}");
    }

    #[test]
    fn who_holds_the_port_is_told() {
        let mut primary = ClusterPrimary::default();
        let port = free_port();
        ask(&mut primary, "first", 1, port);
        let text = format!(
            r#"{{"act":"queryServer","index":0,"address":"127.0.0.1","port":{port},"addressType":4,"seq":1}}"#
        );
        let Demand::Answer { refusal: Some(text), .. } =
            primary.receive("second", Worker { id: 2, foreign: false }, &text)
        else {
            panic!("not refused");
        };
        assert!(
            text.contains(&format!("127.0.0.1:{port}")) && text.contains("the app first listens there"),
            "{text}"
        );
    }

    #[test]
    fn a_socket_file_goes_with_its_last_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let shown = path.to_str().unwrap();
        let mut primary = ClusterPrimary::default();
        let text = format!(
            r#"{{"act":"queryServer","index":0,"address":"{shown}","port":-1,"addressType":-1,"seq":1,"readableAll":true,"writableAll":true}}"#
        );
        let worker = Worker { id: 1, foreign: false };
        let Demand::Answer { descriptor: Some(_), .. } = primary.receive("a", worker, &text) else {
            panic!("not bound");
        };
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode & 0o666, 0o666);
        primary.receive("a", worker, &format!(r#"{{"act":"close","key":"{shown}:-1:-1","seq":2}}"#));
        assert!(!path.exists());
    }

    #[test]
    fn the_port_is_free_when_the_last_worker_left_for_good() {
        let mut primary = ClusterPrimary::default();
        let port = free_port();
        ask(&mut primary, "a", 1, port);
        primary.leave(1, true);
        assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_err());
        primary.close_unused("a");
        assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
    }

    #[test]
    fn other_frames() {
        let mut primary = ClusterPrimary::default();
        assert!(matches!(
            primary.receive("a", Worker { id: 1, foreign: false }, r#"{"act":"online","seq":0}"#),
            Demand::Online
        ));
        assert!(matches!(
            primary.receive("a", Worker { id: 1, foreign: false }, r#"{"act":"unheard-of"}"#),
            Demand::Nothing
        ));
        assert!(matches!(primary.receive("a", Worker { id: 1, foreign: false }, "[]"), Demand::Nothing));
        let Demand::Answer { frame, .. } = primary.receive(
            "a",
            Worker { id: 1, foreign: false },
            r#"{"act":"exitedAfterDisconnect","seq":7}"#,
        ) else {
            panic!("no answer");
        };
        assert!(frame.contains("\"ack\":7"), "{frame}");
    }
}
