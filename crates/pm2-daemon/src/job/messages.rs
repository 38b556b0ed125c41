//! What an app says over its channel.

use parking_lot::Mutex;

use super::task::Job;
use super::view::View;
use crate::clock::epoch_ms;
use crate::context::Context;
use crate::ipc::{AppMessage, ChannelSender};

impl Job {
    /// Deals with a message of the running process.
    pub(super) fn receive(&mut self, message: &AppMessage) {
        let Some(process) = self.process() else { return };
        process.is_done |= *message == AppMessage::Done;
        let channel = process.channel.clone();
        take(&self.context, &self.view, &channel, message);
        match (message, self.spec().wait_ready) {
            (AppMessage::Ready, true) | (AppMessage::Online, false) => self.ready(),
            _ => {}
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
                let process = view.lock().identity_json(false);
                format!(r#"{{"at":{},"data":{data},"process":{process}}}"#, epoch_ms())
            });
        }
        AppMessage::Handle | AppMessage::Done | AppMessage::Online | AppMessage::Listening(_) => {}
    }
}
