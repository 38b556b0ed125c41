//! The frames of Node's cluster module, read and written. Specification `node-cluster-protocol.md` §3 to §5.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A frame `NODE_CLUSTER` of a worker. The fields are loosely typed in Node, so most stay text.
#[derive(Debug, Deserialize)]
pub(super) struct WorkerFrame<'a> {
    #[serde(default)]
    pub(super) act: Option<String>,
    #[serde(default)]
    pub(super) seq: Option<u64>,
    /// Whose answer this is.
    #[serde(default)]
    pub(super) ack: Option<u64>,
    #[serde(default)]
    pub(super) accepted: Option<bool>,
    #[serde(default)]
    pub(super) key: Option<String>,
    #[serde(borrow, default)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) address: Option<String>,
    #[serde(default)]
    pub(super) port: Option<i64>,
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

impl WorkerFrame<'_> {
    /// `4`, `6`, `-1` (a path), `udp4`, `udp6` or `null`.
    pub(super) fn address_type(&self) -> &str {
        text(self.address_type).unwrap_or("null")
    }

    /// What tells the servers of one worker apart, and brings those of several together. As in Node 22 and later,
    /// which all versions understand.
    pub(super) fn wanted_key(&self) -> String {
        let address = self.address.as_deref().unwrap_or("null");
        let port = self.port.map_or("undefined".to_owned(), |port| port.to_string());
        let key = format!("{address}:{port}:{}", self.address_type());
        if self.port == Some(0) {
            // The first such server of every worker shares one port, the second another.
            format!("{key}:{}", text(self.index).unwrap_or("0"))
        } else {
            key
        }
    }

    pub(super) fn backlog(&self) -> i32 {
        number(self.backlog).filter(|backlog| *backlog > 0).unwrap_or(511)
    }

    pub(super) fn flags(&self) -> i32 {
        number(self.flags).unwrap_or(0)
    }

    pub(super) fn names_descriptor(&self) -> bool {
        number(self.fd).is_some_and(|fd| fd >= 0)
    }

    pub(super) fn readable_all(&self) -> bool {
        text(self.readable_all) == Some("true")
    }

    pub(super) fn writable_all(&self) -> bool {
        text(self.writable_all) == Some("true")
    }

    /// JSON of the session ticket keys of a TLS server.
    pub(super) fn data(&self) -> Option<&str> {
        self.data.map(RawValue::get).filter(|data| *data != "null")
    }
}

fn text(value: Option<&RawValue>) -> Option<&str> {
    value.map(|value| value.get().trim_matches('"'))
}

fn number(value: Option<&RawValue>) -> Option<i32> {
    value.and_then(|value| value.get().parse().ok())
}

/// The answer to a connection, read without a parser: there is one for each.
pub(super) fn answer_to_connection(line: &[u8]) -> Option<(u64, bool)> {
    let rest = line.strip_prefix(br#"{"cmd":"NODE_CLUSTER","ack":"#)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let ack = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let rest = rest[digits..].strip_prefix(br#","accepted":"#)?;
    if rest.starts_with(b"true") {
        Some((ack, true))
    } else {
        rest.starts_with(b"false").then_some((ack, false))
    }
}

/// Node's own text of an acknowledgement.
pub(super) const ACKNOWLEDGED: &[u8] = br#"{"cmd":"NODE_HANDLE_ACK"}"#;

/// Answers `queryServer`: `sockname` when the worker is to be dealt connections, without it the frame is for
/// [`with_handle`]. All texts are JSON.
pub(super) fn listens(key: &str, ack: u64, data: Option<&str>, sockname: Option<&str>, seq: u64) -> String {
    let data = data.unwrap_or("null");
    let sockname = sockname.map(|name| format!(r#","sockname":{name}"#)).unwrap_or_default();
    format!(
        r#"{{"cmd":"NODE_CLUSTER","errno":0,"key":{key},"ack":{ack},"data":{data}{sockname},"seq":{seq}}}"#
    )
}

/// Answers a `queryServer` that fails; `errno` is negative.
pub(super) fn refused(key: &str, ack: u64, errno: i32, seq: u64) -> String {
    format!(r#"{{"cmd":"NODE_CLUSTER","errno":{errno},"key":{key},"ack":{ack},"data":null,"seq":{seq}}}"#)
}

/// A connection for the server with that key (JSON).
pub(super) fn connection(key: &str, seq: u64) -> String {
    with_handle("net.Native", &format!(r#"{{"cmd":"NODE_CLUSTER","act":"newconn","key":{key},"seq":{seq}}}"#))
}

/// Says that a descriptor comes with this frame; `kind` is `net.Native` or `dgram.Native`.
pub(super) fn with_handle(kind: &str, frame: &str) -> String {
    format!(r#"{{"cmd":"NODE_HANDLE","type":"{kind}","msg":{frame}}}"#)
}

/// The answer that a worker waits for before it ends by itself.
pub(super) fn acknowledge(ack: u64, seq: u64) -> String {
    format!(r#"{{"cmd":"NODE_CLUSTER","ack":{ack},"seq":{seq}}}"#)
}

/// Makes a worker close its servers and then its channel.
pub(super) fn disconnect(seq: u64) -> String {
    format!(r#"{{"cmd":"NODE_CLUSTER","act":"disconnect","seq":{seq}}}"#)
}

/// Asks the app runtime to let go of clients, and of idle ones after so many milliseconds.
pub(super) fn drain(idle_ms: u64) -> String {
    format!(r#"{{"cmd":"NODE_PM2RS","act":"drain","idle":{idle_ms}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(text: &str) -> String {
        serde_json::from_str::<WorkerFrame<'_>>(text).unwrap().wanted_key()
    }

    #[test]
    fn keys_as_in_newer_node() {
        let key = key_of(r#"{"index":0,"address":null,"port":41000,"addressType":4,"fd":null}"#);
        assert_eq!(key, "null:41000:4");
        let key = key_of(r#"{"index":3,"address":"127.0.0.1","port":0,"addressType":4,"fd":-1}"#);
        assert_eq!(key, "127.0.0.1:0:4:3");
        let key = key_of(r#"{"index":0,"address":"/run/a.sock","port":-1,"addressType":-1}"#);
        assert_eq!(key, "/run/a.sock:-1:-1");
        let key = key_of(r#"{"index":0,"address":null,"port":5,"addressType":"udp4","flags":0}"#);
        assert_eq!(key, "null:5:udp4");
    }

    #[test]
    fn loose_fields() {
        let frame: WorkerFrame<'_> =
            serde_json::from_str(r#"{"backlog":false,"fd":null,"flags":5,"data":null,"readableAll":true}"#)
                .unwrap();
        assert_eq!((frame.backlog(), frame.flags(), frame.names_descriptor()), (511, 5, false));
        assert_eq!((frame.data(), frame.readable_all(), frame.writable_all()), (None, true, false));
        let frame: WorkerFrame<'_> = serde_json::from_str(r#"{"backlog":16,"fd":4,"data":{"a":1}}"#).unwrap();
        assert_eq!((frame.backlog(), frame.names_descriptor(), frame.data()), (16, true, Some(r#"{"a":1}"#)));
    }

    #[test]
    fn answers_to_connections() {
        let read = |text: &str| answer_to_connection(text.as_bytes());
        assert_eq!(read(r#"{"cmd":"NODE_CLUSTER","ack":5,"accepted":true,"seq":10}"#), Some((5, true)));
        assert_eq!(read(r#"{"cmd":"NODE_CLUSTER","ack":51,"accepted":false,"seq":10}"#), Some((51, false)));
        assert_eq!(read(r#"{"cmd":"NODE_CLUSTER","ack":5,"seq":10}"#), None);
        assert_eq!(read(r#"{"cmd":"NODE_CLUSTER","ack":,"accepted":true}"#), None);
        assert_eq!(read(r#"{"cmd":"NODE_HANDLE_ACK"}"#), None);
    }
}
