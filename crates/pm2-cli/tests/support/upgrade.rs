//! A daemon that goes over to another program.

use std::path::{Path, PathBuf};

use pm2_core::protocol::{Argument, Reply, decode_reply, encode_call};
use serde_json::{Value, json};

use super::client::Client;
use super::home::{EXECUTABLE, TestHome};
use super::{eventually, until, write_program};

impl TestHome {
    /// Lets the daemon go over to a program, by default its own, and waits until that one answers.
    ///
    /// # Errors
    /// Why it did not; it answers then as before.
    #[track_caller]
    pub(crate) fn upgrade(&self, program: Option<&Path>) -> Result<(), String> {
        let mut client = self.client();
        client.post("upgrade", &json!([program]));
        outcome(&mut client)?;
        self.client().call("ping", json!({})).unwrap();
        Ok(())
    }

    /// How often this daemon has gone over.
    pub(crate) fn n_upgrades(&self) -> usize {
        self.log().matches(" goes on with ").count()
    }

    /// A shell script that may be run.
    pub(crate) fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        write_program(&path, text, "755");
        path
    }

    /// A program that says that it can go on, and then cannot be run.
    pub(crate) fn deceiver(&self) -> PathBuf {
        self.program("deceiver", &format!("#!/bin/sh\nchmod -x \"$0\"\nexec {EXECUTABLE} \"$@\"\n"))
    }
}

/// Sends a call on a connection that the daemon may have closed; says whether it is still open.
pub(crate) fn try_post(client: &mut Client, method: &str, args: &Value) -> bool {
    let id = Argument::Text("1:0".to_owned());
    client.write(&encode_call(&id, method, &args.to_string())).is_ok()
}

/// Waits for the answer to an upgrade, or for the end of the connection, which is the good one.
///
/// # Errors
/// The answer.
#[track_caller]
pub(crate) fn outcome(client: &mut Client) -> Result<(), String> {
    match client.arguments().map(|arguments| decode_reply(arguments).unwrap()) {
        None => Ok(()),
        Some((_, Reply::Error { message, .. })) => Err(message),
        Some(other) => panic!("upgrade answered {other:?}"),
    }
}

/// The next packet of that topic.
#[track_caller]
pub(crate) fn hear(bus: &mut Client, topic: &str) -> Value {
    let packet = eventually(topic, || {
        let event = bus.event();
        (event.topic == Argument::Text(topic.to_owned())).then_some(event.packet)
    });
    serde_json::from_str(&packet).unwrap()
}

/// The entries of a list, one line for each fact, without what is measured.
pub(crate) fn facts(list: &[Value]) -> Vec<String> {
    let mut facts = Vec::new();
    for entry in list {
        let mut entry = entry.clone();
        // What the app runtime measures; what the app itself does stays.
        if let Some(metrics) = entry["pm2_env"]["axm_monitor"].as_object_mut() {
            metrics.retain(|_, metric| {
                !metric["type"].as_str().is_some_and(|kind| kind.starts_with("internal/"))
            });
        }
        let id = &entry["pm_id"];
        for (key, value) in entry.as_object().unwrap().iter().filter(|(key, _)| *key != "monit") {
            match value.as_object() {
                Some(members) => {
                    facts.extend(members.iter().map(|(name, value)| format!("{id} {key}.{name}: {value}")));
                }
                None => facts.push(format!("{id} {key}: {value}")),
            }
        }
    }
    facts
}

/// Checks that a list says what it said before.
#[track_caller]
pub(crate) fn assert_listed(list: &[Value], before: &[String]) {
    let now = facts(list);
    let differs = now.iter().zip(before).find(|(now, before)| now != before);
    assert_eq!(differs, None);
    assert_eq!(now.len(), before.len());
}

/// Waits until a file is there.
#[track_caller]
pub(crate) fn until_exists(path: &Path) {
    until(&format!("{} is there", path.display()), || path.exists());
}
