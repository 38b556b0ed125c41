//! What an app's line on its channel means.

use std::borrow::Cow;
use std::collections::BTreeSet;

use pm2_core::protocol::repair_surrogates;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::handover::MessageState;

/// A line of an app's channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// For the job.
    Message(AppMessage),
    /// A handle was sent upward, perhaps with a message; the sender waits for an acknowledgement.
    Handle(Option<AppMessage>),
    /// A frame of Node's cluster module.
    Cluster(String),
    /// The oldest descriptor on its way has arrived.
    Acknowledged,
    /// The oldest descriptor on its way has not arrived.
    Missing,
    /// The app runtime says that a worker serves nobody any more.
    Drained,
}

/// One message of an app, sorted by what the daemon does with it. JSON stays text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AppMessage {
    /// `process.send('ready')`.
    Ready,
    /// The Node version reported by the app runtime.
    NodeVersion(String),
    /// An object with a truthy `type` and a truthy `data`.
    Typed { kind: String, data: String },
    /// Anything else an app sends.
    Raw(String),
    /// The sender of a handle waits for an acknowledgement.
    Handle,
    /// A Node app had nothing left to do and ends by itself.
    Done,
    /// A worker's side of the cluster module runs.
    Online,
    /// A worker's server is up; with the keys of all sockets that the worker has.
    Listening(BTreeSet<String>),
}

impl AppMessage {
    /// The message as data.
    pub(crate) fn freeze(self) -> MessageState {
        match self {
            AppMessage::Ready => MessageState::Ready,
            AppMessage::NodeVersion(version) => MessageState::NodeVersion(version),
            AppMessage::Typed { kind, data } => MessageState::Typed { kind, data },
            AppMessage::Raw(text) => MessageState::Raw(text),
            AppMessage::Handle => MessageState::Handle,
            AppMessage::Done => MessageState::Done,
            AppMessage::Online => MessageState::Online,
            AppMessage::Listening(keys) => MessageState::Listening(keys),
        }
    }

    pub(crate) fn thaw(state: MessageState) -> AppMessage {
        match state {
            MessageState::Ready => AppMessage::Ready,
            MessageState::NodeVersion(version) => AppMessage::NodeVersion(version),
            MessageState::Typed { kind, data } => AppMessage::Typed { kind, data },
            MessageState::Raw(text) => AppMessage::Raw(text),
            MessageState::Handle => AppMessage::Handle,
            MessageState::Done => AppMessage::Done,
            MessageState::Online => AppMessage::Online,
            MessageState::Listening(keys) => AppMessage::Listening(keys),
        }
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    cmd: Option<&'a RawValue>,
    #[serde(borrow, default)]
    act: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    msg: Option<&'a RawValue>,
    #[serde(borrow, default)]
    node_version: Option<&'a RawValue>,
}

/// Reads one line; `None` when it is not JSON or is of no concern (Node's other internal frames).
pub(crate) fn parse(line: Vec<u8>) -> Option<Line> {
    let line = String::from_utf8(line)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    let text = match repair_surrogates(&line) {
        Cow::Borrowed(_) => line,
        Cow::Owned(repaired) => repaired,
    };
    let bare = text.trim_matches([' ', '\t', '\r', '\n']);
    if bare.len() == text.len() { sort(text, false) } else { sort(bare.to_owned(), false) }
}

/// `with_handle`: the message of a handle, which has none itself.
fn sort(text: String, with_handle: bool) -> Option<Line> {
    if !text.starts_with('{') {
        // Validity matters because the text is quoted in packets.
        serde_json::from_str::<&RawValue>(&text).ok()?;
        let is_ready = text == "\"ready\"";
        return Some(Line::Message(if is_ready { AppMessage::Ready } else { AppMessage::Raw(text) }));
    }
    let Ok(head) = serde_json::from_str::<Head<'_>>(&text) else {
        // A member may be there twice; the last one counts.
        let object: Value = serde_json::from_str(&text).ok()?;
        let once = object.to_string();
        return if once == text { None } else { sort(once, with_handle) };
    };
    if let Some(command) = head.cmd.and_then(string)
        && command.starts_with("NODE_")
        && command.len() > 5
    {
        return match command.as_str() {
            "NODE_CLUSTER" => Some(Line::Cluster(text)),
            "NODE_HANDLE" if !with_handle => {
                let message = match head.msg.map(|message| sort(message.get().to_owned(), true)) {
                    Some(Some(Line::Message(message))) => Some(message),
                    _ => None,
                };
                Some(Line::Handle(message))
            }
            "NODE_HANDLE_ACK" => Some(Line::Acknowledged),
            "NODE_HANDLE_NACK" => Some(Line::Missing),
            "NODE_PM2RS" => match head.act.and_then(string).as_deref() {
                Some("drained") => Some(Line::Drained),
                Some("done") => Some(Line::Message(AppMessage::Done)),
                _ => None,
            },
            _ => None,
        };
    }
    let in_text = |value: &RawValue| {
        serde_json::from_str(value.get()).map(|value: Value| as_text(&value)).unwrap_or_default()
    };
    let [kind, data, version] = [head.kind, head.data, head.node_version].map(|member| member.filter(truthy));
    Some(Line::Message(match (kind, data, version) {
        (Some(kind), Some(data), _) => AppMessage::Typed { kind: in_text(kind), data: data.get().to_owned() },
        (_, _, Some(version)) => AppMessage::NodeVersion(in_text(version)),
        _ => AppMessage::Raw(text),
    }))
}

fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// A value as JavaScript puts it into a text.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items
            .iter()
            .map(|item| if item.is_null() { String::new() } else { as_text(item) })
            .collect::<Vec<_>>()
            .join(","),
        Value::Object(_) => "[object Object]".to_owned(),
        Value::Number(number) => match number.as_f64() {
            // As many digits as JavaScript shows without an exponent; zero has no sign.
            Some(whole) if whole.fract() == 0.0 && whole.abs() < 1e21 => format!("{:.0}", whole + 0.0),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// JavaScript's notion of a true value.
fn truthy(value: &&RawValue) -> bool {
    !matches!(value.get(), "null" | "false" | "\"\"") && value.get().parse::<f64>() != Ok(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_line(line: &str, expected: Option<Line>) {
        assert_eq!(parse(line.as_bytes().to_vec()), expected, "{line}");
    }

    fn check(line: &str, expected: Option<AppMessage>) {
        check_line(line, expected.map(Line::Message));
    }

    #[test]
    fn messages_are_sorted() {
        let raw = |text: &str| Some(AppMessage::Raw(text.to_owned()));
        check("\"ready\"", Some(AppMessage::Ready));
        check("\"other\"", raw("\"other\""));
        check("null", raw("null"));
        check(" \"ready\"\r", Some(AppMessage::Ready));
        check("\t{\"a\":1} ", raw("{\"a\":1}"));
        check("[1]", raw("[1]"));
        check(r#"{"node_version":"20.1.0"}"#, Some(AppMessage::NodeVersion("20.1.0".to_owned())));
        check(
            r#"{"type":"process:msg","data":{"a":1}}"#,
            Some(AppMessage::Typed { kind: "process:msg".to_owned(), data: r#"{"a":1}"#.to_owned() }),
        );
        check(r#"{"node_version":5}"#, Some(AppMessage::NodeVersion("5".to_owned())));
        check(r#"{"node_version":""}"#, raw(r#"{"node_version":""}"#));
        let own = Some(AppMessage::Typed { kind: "own".to_owned(), data: "1".to_owned() });
        check(r#"{"node_version":"v1","type":"own","data":1}"#, own.clone());
        check(r#"{"type":"a","data":[],"type":"own","data":1}"#, own);
        check(
            r#"{"type":5,"data":1}"#,
            Some(AppMessage::Typed { kind: "5".to_owned(), data: "1".to_owned() }),
        );
        for (kind, topic) in [
            ("[\"x\",null,[1,2]]", "x,,1,2"),
            ("{\"a\":1}", "[object Object]"),
            ("true", "true"),
            ("1e3", "1000"),
            ("[-0.0,1.5]", "0,1.5"),
        ] {
            check(
                &format!(r#"{{"type":{kind},"data":1}}"#),
                Some(AppMessage::Typed { kind: topic.to_owned(), data: "1".to_owned() }),
            );
        }
        for falsy in ["null", "false", "0", "\"\"", "-0", "0.0"] {
            let text = format!(r#"{{"type":"t","data":{falsy}}}"#);
            check(&text, raw(&text));
        }
        check(r#"{"cmd":"NODE_"}"#, raw(r#"{"cmd":"NODE_"}"#));
        check_line(
            r#"{"cmd":"NODE_CLUSTER","act":"online"}"#,
            Some(Line::Cluster(r#"{"cmd":"NODE_CLUSTER","act":"online"}"#.to_owned())),
        );
        check_line(r#"{"cmd":"NODE_HANDLE","type":"net.Socket"}"#, Some(Line::Handle(None)));
        check_line(
            r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":"ready"}"#,
            Some(Line::Handle(Some(AppMessage::Ready))),
        );
        check_line(r#"{"cmd":"NODE_HANDLE","msg":{"cmd":"NODE_CLUSTER"}}"#, Some(Line::Handle(None)));
        check_line(r#"{"cmd":"NODE_HANDLE_ACK"}"#, Some(Line::Acknowledged));
        check_line(r#"{"cmd":"NODE_HANDLE_NACK"}"#, Some(Line::Missing));
        check_line(r#"{"cmd":"NODE_PM2RS","act":"drained"}"#, Some(Line::Drained));
        check(r#"{"cmd":"NODE_SOCKET_COUNT"}"#, None);
        check("{broken", None);
        check("", None);
    }

    #[test]
    fn lone_surrogates_and_bad_utf8_cost_nothing_else() {
        check(r#"{"a":"\ud800"}"#, Some(AppMessage::Raw(r#"{"a":"\ufffd"}"#.to_owned())));
        let repaired = AppMessage::Raw("\"\u{fffd}\"".to_owned());
        assert_eq!(parse(b"\"\xff\"".to_vec()), Some(Line::Message(repaired)));
    }
}
