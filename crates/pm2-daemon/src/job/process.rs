//! A running process with everything that hangs on it: its end, its channel, its pipes, its logs.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::exec::{self, RuntimeVariables};
use super::input::Input;
use super::package;
use super::spec::AppSpec;
use super::view::View;
use crate::cluster::WorkerInfo;
use crate::context::Context;
use crate::host::{ExitFuture, Kin, Spawned};
use crate::ipc::{self, AppMessage, ChannelSender, Ends};
use crate::logs::{LineFormat, LogFileError, LogFiles, Output, SETTINGS_KEY, Tap};
use crate::sys::{Launch, channel_pair, output_pipe};

/// A child of this daemon, owned by its job's task.
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) exit: ExitFuture,
    pub(crate) kin: Kin,
    pub(crate) messages: mpsc::Receiver<AppMessage>,
    pub(crate) channel: ChannelSender,
    /// What serves the channel, unless it is a worker's.
    pub(crate) serving: Option<Box<ipc::Channel>>,
    pub(crate) output: Output,
    pub(crate) files: Arc<LogFiles>,
    pub(crate) input: Input,
    pub(crate) started: Instant,
    /// It has said that it has nothing left to do.
    pub(crate) is_done: bool,
    /// `NODE_UNIQUE_ID` of a cluster worker.
    pub(crate) worker: Option<u64>,
    /// Version of the app's package.
    pub(crate) version: Option<String>,
}

/// How long the last words of a process are waited for, whose channel does not end with it.
const LAST_WORDS: Duration = Duration::from_millis(20);

impl Process {
    /// Whether anything it said has not been taken, or can still come.
    pub(super) fn has_messages(&self) -> bool {
        !self.messages.is_closed() || !self.messages.is_empty()
    }

    /// Everything it said, after its end. Its sockets stay open for whoever comes next.
    pub(super) async fn last_words(&mut self, context: &Context) -> Vec<AppMessage> {
        let mut words = Vec::new();
        match self.worker {
            Some(worker) => {
                let left = context.cluster.leave(worker).await;
                while let Ok(message) = self.messages.try_recv() {
                    words.push(message);
                }
                words.extend(left);
            }
            None => {
                let all = async {
                    while let Some(message) = self.messages.recv().await {
                        words.push(message);
                    }
                };
                // A child that it left may hold the channel open.
                drop(tokio::time::timeout(LAST_WORDS, all).await);
            }
        }
        self.is_done |= words.contains(&AppMessage::Done);
        words
    }
}

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The app itself is at fault; it stays listed as errored.
    #[error("{0}")]
    App(String),
    /// A log file cannot be opened; PM2 refuses such an app altogether.
    #[error(transparent)]
    Log(#[from] LogFileError),
}

/// Starts the process that a view describes.
///
/// Everything that may wait for a disk, and the start itself, which stops its thread until the new
/// program runs, happens away from the control loop.
///
/// # Errors
/// Log files that cannot be opened, and every reason for which the system could not start it.
pub(crate) async fn start(context: &Arc<Context>, view: View) -> Result<Process, StartError> {
    let failed =
        |error: &dyn std::fmt::Display| StartError::App(format!("cannot start {}: {error}", view.spec.name));
    let worker = (view.spec.cluster && view.spec.runs_node()).then(|| context.next_worker());
    let (ours, mut theirs) = channel_pair().map_err(|error| failed(&error))?;
    if worker.is_none() && has_runtime(&view.spec) {
        // The app runtime writes to it before Node opens it, and must not wait for a daemon that does not read.
        let end = UnixStream::from(theirs);
        end.set_nonblocking(true).map_err(|error| failed(&error))?;
        theirs = end.into();
    }
    // Before the start: a process without a channel could not be kept.
    let Ends { sender, messages, channel: serving } = match worker {
        Some(worker) => {
            let attached = context.cluster.attach(worker, worker_info(context, &view), ours);
            attached.map(|(sender, messages)| Ends { sender, messages, channel: None })
        }
        None => ipc::open(ours),
    }
    .map_err(|error| failed(&error))?;
    let taps = taps(context, &view);
    let name = view.spec.name.clone();
    let is_rotating = rotates_logs(&view.spec);
    let (id, at) = (view.id, view.pm_uptime.unwrap_or_default());
    let started = tokio::task::spawn_blocking({
        let context = context.clone();
        move || spawn(&context, &view, worker, theirs)
    });
    // The thread can only fail by a panic.
    let started = started.await.map_err(|error| StartError::App(format!("cannot start {name}: {error}")));
    let started = match started.flatten() {
        Ok(started) => started,
        Err(error) => {
            if let Some(worker) = worker {
                context.cluster.leave(worker).await;
            }
            return Err(error);
        }
    };
    let output = context.logs.attach(started.pipes, &started.files, taps);
    let files = Arc::new(started.files);
    know_rotating_module(context, is_rotating, &files);
    Ok(Process {
        pid: started.spawned.pid,
        exit: started.spawned.exit,
        kin: Kin {
            root: started.spawned.pid,
            root_ended: false,
            id,
            started: at,
            group: started.spawned.group,
        },
        messages,
        channel: sender,
        serving,
        output,
        files,
        input: Input::new(started.input),
        started: Instant::now(),
        is_done: false,
        worker,
        version: started.version,
    })
}

/// Whether it is PM2's module that rotates logs.
pub(super) fn rotates_logs(spec: &AppSpec) -> bool {
    spec.is_module && spec.name == SETTINGS_KEY
}

/// Has the daemon leave to the module what the module does.
pub(super) fn know_rotating_module(context: &Context, is_it: bool, files: &Arc<LogFiles>) {
    if is_it {
        context.logs.shared.settings.yield_to_module(files);
    }
}

/// Whether the app runtime is preloaded.
fn has_runtime(spec: &AppSpec) -> bool {
    spec.pmx && spec.runs_node()
}

fn worker_info(context: &Context, view: &View) -> WorkerInfo {
    let spec = &view.spec;
    WorkerInfo {
        app: spec.name.clone(),
        job: view.id,
        foreign: spec.uid.is_some(),
        policy: spec.scheduling_policy.unwrap_or(context.settings.scheduling_policy),
        sticky: spec.sticky,
    }
}

struct Started {
    spawned: Spawned,
    files: LogFiles,
    pipes: [OwnedFd; 2],
    input: OwnedFd,
    version: Option<String>,
}

fn spawn(
    context: &Context,
    view: &View,
    worker: Option<u64>,
    channel: OwnedFd,
) -> Result<Started, StartError> {
    let spec = &view.spec;
    let files = open_logs(context, view)?;
    let failed = |error: std::io::Error| StartError::App(format!("cannot start {}: {error}", spec.name));
    let preload = if has_runtime(spec) {
        let path = context.runtime_file.path_for(spec.uid);
        Some(path.map_err(|error| StartError::App(format!("cannot write the app runtime: {error}")))?)
    } else {
        None
    };
    let runtime = RuntimeVariables {
        pm_id: view.id,
        pm_uptime: view.pm_uptime.unwrap_or_default(),
        created_at: view.created_at,
        restart_time: view.restart_time,
        unstable_restarts: view.unstable_restarts,
        prev_restart_delay: view.prev_restart_delay,
        exit_code: view.exit_code,
        node_version: view.node_version.clone(),
        version: view.version.clone(),
        worker,
        instance_variable: context.settings.instance_variable.clone(),
    };
    let command =
        exec::command(spec, &view.description, &runtime, &context.settings.node_options, preload.as_deref())
            .map_err(|error| StartError::App(error.to_string()))?;

    let (input_theirs, input) = output_pipe().map_err(failed)?;
    let (out, out_theirs) = output_pipe().map_err(failed)?;
    let (error, error_theirs) = output_pipe().map_err(failed)?;
    let launch = Launch {
        program: command.program,
        arguments: command.arguments,
        environment: command.environment,
        folder: command.folder,
        uid: spec.uid,
        gid: spec.gid,
        descriptors: [input_theirs, out_theirs, error_theirs, channel],
        own_session: !spec.cluster,
        is_app: true,
    };
    let spawned = context.host.spawn(launch).map_err(|error| {
        let program = if spec.interpreter == "none" { &spec.script } else { &spec.interpreter };
        StartError::App(format!("cannot execute {program}: {error}"))
    })?;
    write_pid(context, spec, spawned.pid);
    Ok(Started { spawned, files, pipes: [out, error], input, version: package::version(&spec.script) })
}

/// Writes the pid file of an app that has one.
pub(super) fn write_pid(context: &Context, spec: &AppSpec, pid: i32) {
    if let Some(path) = &spec.pid_file
        && let Err(error) = std::fs::write(path, pid.to_string())
    {
        context.journal.error(format_args!("cannot write the pid file {path}: {error}"));
    }
}

/// Opens the log files of an app. What cannot be opened keeps an app from being started for the first time, as in PM2;
/// later it goes on without.
pub(super) fn open_logs(context: &Context, view: &View) -> Result<LogFiles, LogFileError> {
    let spec = &view.spec;
    let open = |path: &Option<String>| {
        let path = Path::new(path.as_ref()?);
        let own = spec.log_rotation.clone();
        Some(match view.logs.is_some() {
            true => Ok(context.logs.open_sometime(path, own)),
            false => context.logs.open(path, own),
        })
    };
    let out = open(&spec.out_log).transpose()?;
    let error = open(&spec.error_log).transpose()?;
    let combined = open(&spec.combined_log).transpose()?;
    if let (true, Some(uid)) = (spec.cluster, spec.uid) {
        [&out, &error, &combined].into_iter().flatten().for_each(|file| file.give_to(uid, spec.gid));
    }
    if spec.disable_logs {
        return Ok(LogFiles::default());
    }
    Ok(LogFiles {
        out: out.into_iter().chain(combined.clone()).collect(),
        error: error.into_iter().chain(combined).collect(),
    })
}

fn taps(context: &Context, view: &View) -> [Tap; 2] {
    let process: Arc<str> = view.identity_json(true).into();
    [false, true].map(|is_error| Tap {
        bus: context.bus.clone(),
        is_error,
        process: process.clone(),
        muted: view.spec.disable_logs,
        format: line_format(view),
        zone: view.spec.cluster.then(|| zone_of(view)).flatten(),
    })
}

/// A worker of PM2 writes its own logs, with the dates of its own zone.
fn zone_of(view: &View) -> Option<String> {
    view.spec.log_date_format.as_ref()?;
    let app = view.description.app();
    Some(app.get("env")?.get("TZ")?.as_str()?.trim_start_matches(':').to_owned())
}

/// JSON records win over date prefixes, whose format they then use.
fn line_format(view: &View) -> Option<LineFormat> {
    let date_format = view.spec.log_date_format.clone();
    if view.spec.log_json {
        let app_name = view.spec.name.clone();
        return Some(LineFormat::Json { date_format, process_id: view.id, app_name });
    }
    date_format.map(LineFormat::Dated)
}
