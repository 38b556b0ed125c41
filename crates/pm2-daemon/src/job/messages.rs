//! What an app says over its channel.

use parking_lot::Mutex;

use super::task::Job;
use super::view::View;
use crate::clock::epoch_ms;
use crate::cluster::{Demand, Worker};
use crate::context::Context;
use crate::ipc::AppMessage;

impl Job {
    /// Deals with a message of the running process.
    pub(super) fn receive(&mut self, message: &AppMessage) {
        match message {
            AppMessage::Cluster(frame) => self.serve_worker(frame),
            AppMessage::Handle => {
                if let Some(process) = self.process() {
                    // The handle itself is closed by not being received; the sender waits for this line.
                    let _ = process.channel.send(r#"{"cmd":"NODE_HANDLE_ACK"}"#, None);
                }
            }
            AppMessage::Ready => {
                self.report(message);
                if self.spec().wait_ready {
                    self.ready();
                }
            }
            AppMessage::NodeVersion(_) | AppMessage::Typed { .. } | AppMessage::Raw(_) => {
                self.report(message)
            }
        }
    }

    fn serve_worker(&mut self, frame: &str) {
        let spec = self.spec();
        let Some(process) = self.process() else { return };
        let Some(id) = process.worker else { return };
        let channel = process.channel.clone();
        let worker = Worker { id, foreign: spec.uid.is_some() };
        let demand = self.context.cluster.lock().receive(&spec.name, worker, frame);
        match demand {
            Demand::Online if !spec.wait_ready => self.ready(),
            Demand::Answer { frame, descriptor } => {
                if let Err(error) = channel.send(&frame, descriptor) {
                    let journal = &self.context.journal;
                    journal.error(format_args!("cannot answer a worker of {}: {error}", spec.name));
                }
            }
            Demand::Online | Demand::Listening | Demand::Nothing => {}
        }
    }

    /// Messages that only change the published state or go to the bus.
    pub(super) fn report(&self, message: &AppMessage) {
        report(&self.context, &self.view, message);
    }
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
        AppMessage::Cluster(_) | AppMessage::Handle => {}
    }
}
