//! What an app says over its channel.

use parking_lot::Mutex;

use super::task::Job;
use super::view::View;
use crate::clock::epoch_ms;
use crate::context::Context;
use crate::ipc::{AppMessage, ChannelSender};

/// The longest name that an app can give itself.
const MAX_NAME_BYTES: usize = 1024;

#[derive(serde::Deserialize)]
struct Options {
    name: Option<String>,
}

impl Job {
    /// Deals with a message of the running process.
    pub(super) fn receive(&mut self, message: &AppMessage) {
        let Some(process) = self.process() else { return };
        process.is_done |= *message == AppMessage::Done;
        let channel = process.channel.clone();
        take(&self.context, &self.view, &channel, message);
        self.rename_by(message);
        match (message, self.spec().wait_ready) {
            (AppMessage::Ready, true) | (AppMessage::Online, false) => self.ready(),
            _ => {}
        }
    }

    /// An app may choose the name under which it is listed, as PM2's modules do.
    fn rename_by(&mut self, message: &AppMessage) {
        let AppMessage::Typed { kind, data } = message else { return };
        if kind != "axm:option:configuration" {
            return;
        }
        let Ok(Options { name: Some(name) }) = serde_json::from_str(data) else { return };
        if !name.is_empty() && name.len() <= MAX_NAME_BYTES && name != self.spec().name {
            self.change_app(|app| {
                app.insert("name".to_owned(), name.into());
            });
        }
    }

    /// Messages that only change the published state or go to the bus.
    pub(super) fn report(&self, message: &AppMessage) {
        report(&self.context, &self.view, message);
    }
}

/// Answers, publishes or notes a message of a process.
pub(super) fn take(context: &Context, view: &Mutex<View>, channel: &ChannelSender, message: &AppMessage) {
    if *message == AppMessage::Handle {
        // The handle itself is closed by not being received; the sender waits for this line.
        let _ = channel.send(r#"{"cmd":"NODE_HANDLE_ACK"}"#);
    }
    report(context, view, message);
}

/// Messages that only change the published state or go to the bus.
pub(super) fn report(context: &Context, view: &Mutex<View>, message: &AppMessage) {
    let raw = |text: &str| {
        context.bus.publish("process:msg", || {
            let process = view.lock().identity_json(false);
            format!(r#"{{"at":{},"raw":{text},"process":{process}}}"#, epoch_ms())
        });
    };
    match message {
        AppMessage::NodeVersion(version) => view.lock().node_version = Some(version.clone()),
        AppMessage::Ready => raw("\"ready\""),
        AppMessage::Raw(text) => raw(text),
        AppMessage::Typed { kind, data } => {
            if view.lock().take_axm(kind, data) {
                return;
            }
            context.bus.publish(kind, || {
                let view = view.lock();
                let process = view.identity_json(view.spec.cluster);
                format!(r#"{{"at":{},"data":{data},"process":{process}}}"#, epoch_ms())
            });
        }
        AppMessage::Handle | AppMessage::Done | AppMessage::Online | AppMessage::Listening(_) => {}
    }
}
