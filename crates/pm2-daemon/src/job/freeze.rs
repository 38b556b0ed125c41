//! A job as data, and back.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::handle::JobHandle;
use super::input::Input;
use super::policy::History;
use super::process::Process;
use super::task::{self, Job, Past, State};
use super::triggers::Triggers;
use super::view::{Status, View};
use crate::context::Context;
use crate::handover::{Clock, Descriptors, JobState, PhaseState, ProcessState, ViewState};
use crate::host::Kin;
use crate::ipc::{self, AppMessage, Ends};
use crate::logs::{FileTable, LogFiles};

/// A job whose task has stopped between two events. Dropped, it is lost; its process goes on.
pub(crate) struct Frozen(pub(super) Job);

impl std::fmt::Debug for Frozen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Frozen").finish_non_exhaustive()
    }
}

impl Frozen {
    /// Lets it go on; its handle is still the same.
    pub(crate) fn go_on(self) {
        tokio::spawn(self.0.run());
    }

    /// Everything there is to know of it. Nothing may talk to its process any more but the kernel.
    pub(crate) async fn into_state(
        self,
        clock: &Clock,
        files: &mut FileTable,
        descriptors: &mut Descriptors,
    ) -> JobState {
        let Frozen(Job { view, state, history, triggers, left_by, has_run, asked_to_stop, .. }) = self;
        let phase = match state {
            State::Idle => PhaseState::Idle,
            // Whoever waited for it was answered, or is gone.
            State::Launching { process, deadline, answers: _ } => PhaseState::Launching {
                process: process.freeze(clock, files, descriptors).await,
                deadline: deadline.map(|deadline| clock.tell(deadline.into_std())),
            },
            State::Online { process } => {
                PhaseState::Online { process: process.freeze(clock, files, descriptors).await }
            }
            State::Waiting { at } => PhaseState::Waiting { at: clock.tell(at.into_std()) },
        };
        let view = view.lock().freeze();
        let History { unstable_restarts, last_delay_ms, n_quick } = history;
        let triggers = triggers.freeze();
        let left_by = left_by.as_ref().map(Kin::freeze);
        JobState {
            view,
            unstable_restarts,
            last_delay_ms,
            n_quick,
            has_run,
            asked_to_stop,
            left_by,
            triggers,
            phase,
        }
    }
}

/// Starts the task of a job that was frozen. The ends of workers' channels are taken out of `workers`.
pub(crate) fn thaw(
    context: &Arc<Context>,
    state: JobState,
    clock: &Clock,
    files: &FileTable,
    workers: &mut BTreeMap<u64, Ends>,
    descriptors: &mut Descriptors,
) -> JobHandle {
    let JobState {
        view,
        unstable_restarts,
        last_delay_ms,
        n_quick,
        has_run,
        asked_to_stop,
        left_by,
        triggers,
        phase,
    } = state;
    let view = View::thaw(view);
    let plan = view.spec.watch.as_ref().filter(|_| has_run);
    let triggers = Triggers::thaw(triggers, plan, &context.watches, clock);
    let id = view.id;
    let left_by = left_by.map(|kin| Kin::thaw(kin, id, true));
    let mut process = |state| Process::thaw(context, id, state, clock, files, workers, descriptors);
    let moment = |ms| Instant::from_std(clock.moment(ms));
    let state = match phase {
        PhaseState::Idle => State::Idle,
        PhaseState::Launching { process: state, deadline } => {
            State::Launching { process: process(state), deadline: deadline.map(moment), answers: Vec::new() }
        }
        PhaseState::Online { process: state } => State::Online { process: process(state) },
        PhaseState::Waiting { at } => State::Waiting { at: moment(at) },
    };
    let history = History { unstable_restarts, last_delay_ms, n_quick };
    task::start_with(
        context.clone(),
        view,
        Past { state, history, triggers, left_by, has_run, asked_to_stop },
    )
}

impl Process {
    async fn freeze(
        self,
        clock: &Clock,
        files: &mut FileTable,
        descriptors: &mut Descriptors,
    ) -> ProcessState {
        // Its end is found again by its pid: it is not reaped before somebody asks.
        let Process {
            kin,
            mut messages,
            serving,
            output,
            files: own,
            input,
            started,
            worker,
            version,
            is_done,
            ..
        } = self;
        let channel = match serving {
            Some(serving) => serving.freeze(descriptors).await,
            None => None,
        };
        let said = std::iter::from_fn(|| messages.try_recv().ok()).map(AppMessage::freeze).collect();
        ProcessState {
            kin: kin.freeze(),
            started: clock.tell(started.into_std()),
            worker,
            version,
            output: output.pumps(),
            out_files: files.places(&own.out),
            error_files: files.places(&own.error),
            input: input.freeze(descriptors).await,
            channel,
            is_done,
            said,
        }
    }

    fn thaw(
        context: &Context,
        id: u32,
        state: ProcessState,
        clock: &Clock,
        files: &FileTable,
        workers: &mut BTreeMap<u64, Ends>,
        descriptors: &mut Descriptors,
    ) -> Process {
        let said: Vec<AppMessage> = state.said.into_iter().map(AppMessage::thaw).collect();
        let ends = match (state.worker, state.channel) {
            (Some(worker), _) => workers.remove(&worker),
            (None, Some(channel)) => {
                let report = |error: &io::Error| {
                    context
                        .journal
                        .error(format_args!("pid={} has lost its channel: {error}", state.kin.root));
                };
                ipc::thaw(channel, said, descriptors).inspect_err(report).ok()
            }
            (None, None) => Some(ipc::closed(said)),
        };
        let Ends { sender, messages, channel: serving } = ends.unwrap_or_else(|| ipc::closed(Vec::new()));
        Process {
            pid: state.kin.root,
            exit: context.host.follow(state.kin.root),
            kin: Kin::thaw(state.kin, id, false),
            messages,
            channel: sender,
            serving,
            output: context.logs.output(state.output),
            files: Arc::new(LogFiles {
                out: files.files(&state.out_files),
                error: files.files(&state.error_files),
            }),
            input: Input::thaw(state.input, descriptors),
            is_done: state.is_done,
            started: Instant::from_std(clock.moment(state.started)),
            worker: state.worker,
            version: state.version,
        }
    }
}

impl View {
    fn freeze(&self) -> ViewState {
        let no_app = || RawValue::from_string("{}".to_owned()).expect("that is JSON");
        ViewState {
            id: self.id,
            app: to_raw_value(&self.description.app()).unwrap_or_else(|_| no_app()),
            status: self.status.as_str().to_owned(),
            pid: self.pid,
            pm_uptime: self.pm_uptime,
            created_at: self.created_at,
            restart_time: self.restart_time,
            unstable_restarts: self.unstable_restarts,
            prev_restart_delay: self.prev_restart_delay,
            exit_code: self.exit_code,
            exit_signal: self.exit_signal.clone(),
            spawn_error: self.spawn_error.clone(),
            app_version: self.version.clone(),
            node_version: self.node_version.clone(),
            ready_assumed: self.ready_assumed,
            process_tree: self.process_tree,
            axm_actions: self.axm_actions.clone(),
            axm_monitor: self.axm_monitor.clone(),
            axm_options: self.axm_options.clone(),
            km_monitored: self.km_monitored,
        }
    }

    fn thaw(state: ViewState) -> View {
        let app: Map<String, Value> = serde_json::from_str(state.app.get()).unwrap_or_default();
        View {
            status: Status::by_name(&state.status).unwrap_or(Status::Errored),
            pid: state.pid,
            pm_uptime: state.pm_uptime,
            created_at: state.created_at,
            restart_time: state.restart_time,
            unstable_restarts: state.unstable_restarts,
            prev_restart_delay: state.prev_restart_delay,
            exit_code: state.exit_code,
            exit_signal: state.exit_signal,
            spawn_error: state.spawn_error,
            version: state.app_version,
            node_version: state.node_version,
            ready_assumed: state.ready_assumed,
            process_tree: state.process_tree,
            axm_actions: state.axm_actions,
            axm_monitor: state.axm_monitor,
            axm_options: state.axm_options,
            km_monitored: state.km_monitored,
            ..View::new(state.id, &app)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::host::Tracking;

    fn again(view: &View) -> View {
        let text = serde_json::to_string(&view.freeze()).unwrap();
        View::thaw(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn a_view_comes_back() {
        let app =
            json!({"name": "a\"b", "pm_exec_path": "/a", "env": {"K": "v", "n": 1.5}, "kill_timeout": 7});
        let mut view = View::new(3, app.as_object().unwrap());
        let same = |view: &View| {
            let back = again(view);
            assert_eq!(back.proc_json(None), view.proc_json(None));
            assert_eq!((&*back.spec, back.pid), (&*view.spec, view.pid));
        };
        same(&view);
        for status in [
            Status::Launching,
            Status::Online,
            Status::Stopping,
            Status::Stopped,
            Status::Errored,
            Status::WaitingRestart,
        ] {
            view.status = status;
            same(&view);
        }
        view.launching();
        view.pid = 42;
        view.restart_time = 2;
        view.unstable_restarts = 1;
        view.prev_restart_delay = Some(150);
        view.exit_code = Some(137);
        view.exit_signal = Some("SIGKILL".to_owned());
        view.spawn_error = Some("none".to_owned());
        view.version = Some("1.0.0".to_owned());
        view.node_version = Some("20.0.0".to_owned());
        view.km_monitored = Some(true);
        view.ready_assumed = true;
        view.process_tree = Some(Tracking::Subreaper);
        assert!(view.take_axm("axm:action", r#"{"action_name":"a"}"#));
        assert!(view.take_axm("axm:monitor", r#"{"Heap":{"value":"1"}}"#));
        assert!(view.take_axm("axm:option:configuration", r#"{"o":1}"#));
        same(&view);
    }

    #[test]
    fn a_description_may_be_as_deep_as_a_request() {
        let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
        let app = json!({"name": "a", "env": {}, "deep": serde_json::from_str::<Value>(&deep).unwrap()});
        let view = View::new(0, app.as_object().unwrap());
        assert_eq!(again(&view).proc_json(None), view.proc_json(None));
    }
}
