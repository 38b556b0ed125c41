//! What an app says over its channel.

use parking_lot::Mutex;

use super::process::Peer;
use super::spec::AppSpec;
use super::task::Job;
use super::view::View;
use crate::clock::epoch_ms;
use crate::cluster::{Demand, Worker};
use crate::context::Context;
use crate::ipc::AppMessage;

/// What a message says about the process itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// `process.send('ready')`.
    Ready,
    /// A worker's side of the cluster module runs.
    Online,
    /// A worker's server is up.
    Listening,
    /// A worker serves nobody any more.
    Drained,
}

impl Job {
    /// Deals with a message of the running process.
    pub(super) fn receive(&mut self, message: &AppMessage) {
        let spec = self.spec();
        let context = self.context.clone();
        let view = self.view.clone();
        let Some(peer) = self.process().map(|process| process.peer()) else { return };
        match (take(&context, &view, &spec, &peer, message), spec.wait_ready) {
            (Some(Word::Ready), true) | (Some(Word::Online), false) => self.ready(),
            _ => {}
        }
    }

    /// Messages that only change the published state or go to the bus.
    pub(super) fn report(&self, message: &AppMessage) {
        report(&self.context, &self.view, message);
    }
}

/// Answers, publishes or notes a message of a process.
pub(super) fn take(
    context: &Context,
    view: &Mutex<View>,
    spec: &AppSpec,
    peer: &Peer,
    message: &AppMessage,
) -> Option<Word> {
    match message {
        AppMessage::Cluster(frame) => return serve_worker(context, spec, peer, frame),
        AppMessage::Handle => {
            // The handle itself is closed by not being received; the sender waits for this line.
            let _ = peer.channel.send(r#"{"cmd":"NODE_HANDLE_ACK"}"#, None);
        }
        AppMessage::Ready => {
            report(context, view, message);
            return Some(Word::Ready);
        }
        AppMessage::Drained => return Some(Word::Drained),
        AppMessage::NodeVersion(_) | AppMessage::Typed { .. } | AppMessage::Raw(_) => {
            report(context, view, message);
        }
    }
    None
}

fn serve_worker(context: &Context, spec: &AppSpec, peer: &Peer, frame: &str) -> Option<Word> {
    let worker = Worker { id: peer.worker?, foreign: spec.uid.is_some() };
    let demand = context.cluster.lock().receive(&spec.name, worker, frame);
    match demand {
        Demand::Online => Some(Word::Online),
        Demand::Listening => Some(Word::Listening),
        Demand::Answer { frame, descriptor, refusal } => {
            if let Some(refusal) = refusal {
                context.journal.error(format_args!("App [{}] {refusal}", spec.name));
            }
            if let Err(error) = peer.channel.send(&frame, descriptor) {
                context.journal.error(format_args!("cannot answer a worker of {}: {error}", spec.name));
            }
            None
        }
        Demand::Nothing => None,
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
        AppMessage::Cluster(_) | AppMessage::Handle | AppMessage::Drained => {}
    }
}
