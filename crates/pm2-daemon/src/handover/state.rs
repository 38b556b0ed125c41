//! Everything that a daemon knows, as data: the text that one program image leaves to the next.
//!
//! Structures of their own, so that nothing else changes the text by accident. A field that is added needs a default;
//! anything else that changes needs a new [`VERSION`]. Moments are milliseconds from the freeze, see
//! [`super::Clock`].

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Bytes, Kept};
use crate::host::Tracking;

/// The version that is written.
pub(crate) const VERSION: u32 = 1;

/// Whether a state of that version can be read.
pub(crate) fn is_readable(version: u32) -> bool {
    version == VERSION
}

/// A daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) version: u32,
    /// The version of the program that wrote it.
    pub(crate) program: String,
    /// Epoch ms of the freeze.
    pub(crate) at: i64,
    /// All descriptors that the rest names.
    pub(crate) descriptors: Vec<Kept>,
    pub(crate) home: HomeState,
    pub(crate) engine: EngineState,
    pub(crate) files: Vec<LogFileState>,
    pub(crate) pumps: Vec<PumpState>,
    pub(crate) jobs: Vec<JobState>,
    /// Absent when there never was a worker.
    pub(crate) cluster: Option<ClusterState>,
}

/// The lock and the two sockets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HomeState {
    pub(crate) lock: Kept,
    pub(crate) rpc: SocketState,
    pub(crate) bus: SocketState,
}

/// A listening socket of the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SocketState {
    pub(crate) socket: Kept,
    /// Device and inode of its file.
    pub(crate) file: Option<(u64, u64)>,
}

/// What belongs to no app.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct EngineState {
    pub(crate) started_at: i64,
    /// The end was announced.
    pub(crate) announced: bool,
    pub(crate) next_job: u32,
    pub(crate) next_worker: u64,
    pub(crate) next_pump: u64,
    /// The folder of the runtime file for apps of other users.
    pub(crate) runtime_folder: Option<PathBuf>,
    /// The runtime files that apps were started with.
    #[serde(default)]
    pub(crate) runtime_files: Vec<PathBuf>,
    /// Processes that could not be stopped, each with its worker.
    pub(crate) survivors: Vec<(i32, Option<u64>)>,
    pub(crate) samples: Vec<SampleState>,
}

/// What a process was measured to have used.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SampleState {
    pub(crate) pid: i32,
    pub(crate) memory: u64,
    pub(crate) cpu_us: u64,
    pub(crate) at: i64,
}

/// An open log file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogFileState {
    pub(crate) path: String,
    /// Without it the path is opened again.
    pub(crate) file: Option<Kept>,
    pub(crate) fault: Option<FaultState>,
    pub(crate) mid_line: Option<bool>,
    pub(crate) is_due: bool,
    /// What the app says of its rotation.
    pub(crate) rotation: Option<Value>,
    pub(crate) is_module: bool,
}

/// Why bytes for a log file are lost.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FaultState {
    pub(crate) error: String,
    /// Epoch ms.
    pub(crate) since: i64,
    pub(crate) lost: u64,
    pub(crate) is_skipping: bool,
}

/// The transport of one stream of an app. Files are places in [`State::files`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PumpState {
    pub(crate) id: u64,
    pub(crate) pipe: Kept,
    pub(crate) files: Vec<usize>,
    pub(crate) is_error: bool,
    pub(crate) process: String,
    pub(crate) muted: bool,
    pub(crate) format: Option<FormatState>,
    /// The beginning of a character.
    pub(crate) carry: Bytes,
    /// The beginning of a line.
    pub(crate) line: Bytes,
    /// Before that another piece of the line was written.
    pub(crate) is_rest: bool,
    /// What is not written to each file before a line has ended.
    pub(crate) held: Vec<Bytes>,
    /// Zone of dates.
    pub(crate) zone: Option<String>,
}

/// How lines are written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FormatState {
    Dated(String),
    Json { date_format: Option<String>, process_id: u32, app_name: String },
}

/// One app instance.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JobState {
    pub(crate) view: ViewState,
    pub(crate) unstable_restarts: u64,
    pub(crate) last_delay_ms: Option<u64>,
    pub(crate) n_quick: u64,
    pub(crate) has_run: bool,
    pub(crate) asked_to_stop: bool,
    /// The last process that has ended by itself, if it has left somebody behind.
    pub(crate) left_by: Option<KinState>,
    pub(crate) triggers: TriggersState,
    pub(crate) phase: PhaseState,
}

/// What tells the descendants of a process from others.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KinState {
    pub(crate) root: i32,
    /// Epoch ms of its start, as it knows it itself.
    pub(crate) started: i64,
    pub(crate) group: Option<PathBuf>,
}

/// What makes a job act without being asked.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TriggersState {
    pub(crate) cron: Option<CronState>,
    /// A file that has changed: the first of a burst that is not over.
    pub(crate) changed: Option<String>,
}

/// A `cron_restart` pattern that is followed. Moments are epoch ms.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CronState {
    pub(crate) pattern: String,
    pub(crate) read_at: i64,
    pub(crate) next: Option<i64>,
}

/// What everyone may see of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ViewState {
    pub(crate) id: u32,
    /// The description. Text, because it may be nested as deep as a parser goes.
    pub(crate) app: Box<RawValue>,
    pub(crate) status: String,
    pub(crate) pid: i32,
    pub(crate) pm_uptime: Option<i64>,
    pub(crate) created_at: Option<i64>,
    pub(crate) restart_time: u64,
    pub(crate) unstable_restarts: u64,
    pub(crate) prev_restart_delay: Option<u64>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) exit_signal: Option<String>,
    pub(crate) spawn_error: Option<String>,
    pub(crate) app_version: Option<String>,
    pub(crate) node_version: Option<String>,
    pub(crate) ready_assumed: bool,
    pub(crate) process_tree: Option<Tracking>,
    pub(crate) axm_actions: Vec<Value>,
    pub(crate) axm_monitor: Map<String, Value>,
    pub(crate) axm_options: Map<String, Value>,
    pub(crate) km_monitored: Option<bool>,
}

/// What a job does.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PhaseState {
    Idle,
    Launching { process: ProcessState, deadline: Option<i64> },
    Online { process: ProcessState },
    Waiting { at: i64 },
}

/// A running process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProcessState {
    pub(crate) kin: KinState,
    pub(crate) started: i64,
    pub(crate) worker: Option<u64>,
    pub(crate) version: Option<String>,
    /// The pumps of its output and its errors.
    pub(crate) output: [u64; 2],
    /// Places in [`State::files`].
    pub(crate) out_files: Vec<usize>,
    pub(crate) error_files: Vec<usize>,
    /// Absent when it has closed its standard input.
    pub(crate) input: Option<InputState>,
    /// Absent for a worker, and when it has closed its channel.
    pub(crate) channel: Option<ChannelState>,
    /// It has said that it has nothing left to do.
    pub(crate) is_done: bool,
    /// Messages that its job has not looked at.
    pub(crate) said: Vec<MessageState>,
}

/// The writing end of a process's standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InputState {
    pub(crate) pipe: Kept,
    pub(crate) unwritten: Bytes,
}

/// The IPC channel of a process that is no worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChannelState {
    pub(crate) socket: Kept,
    pub(crate) lines: LinesState,
    /// Messages for which there was no room.
    pub(crate) received: Vec<MessageState>,
    pub(crate) unsent: Bytes,
}

/// The line that has not ended.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LinesState {
    pub(crate) pending: Bytes,
    pub(crate) skipping: bool,
}

/// A message of an app.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessageState {
    Ready,
    NodeVersion(String),
    Typed { kind: String, data: String },
    Raw(String),
    Handle,
    Done,
    Online,
    Listening(BTreeSet<String>),
}

/// The thread that serves cluster workers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClusterState {
    /// Those of all descriptors that are named here.
    pub(crate) descriptors: Vec<Kept>,
    pub(crate) next_listener: usize,
    pub(crate) next_seq: u64,
    pub(crate) workers: Vec<WorkerState>,
    pub(crate) listeners: Vec<ListenerState>,
    /// Listening sockets that have not arrived, each with its worker.
    pub(crate) missed_sockets: Vec<(u64, HeldState)>,
    /// Frames of workers that wish for an address that is about to be free.
    pub(crate) postponed: Vec<(u64, String)>,
    /// Where listeners were closed, and when.
    pub(crate) left: Vec<(PlaceState, i64)>,
}

/// A worker, as the cluster's thread sees it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WorkerState {
    pub(crate) id: u64,
    pub(crate) app: String,
    pub(crate) job: u32,
    pub(crate) foreign: bool,
    pub(crate) policy: String,
    pub(crate) sticky: bool,
    /// Absent when it is closed.
    pub(crate) channel: Option<WorkerChannelState>,
    pub(crate) undelivered: Vec<MessageState>,
    pub(crate) unaccepted: Vec<UnacceptedState>,
    pub(crate) leaving: bool,
    pub(crate) rests_until: Option<i64>,
}

/// The channel of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WorkerChannelState {
    pub(crate) socket: Kept,
    pub(crate) lines: LinesState,
    pub(crate) unsent: Vec<FrameState>,
    /// Descriptors on their way, oldest first.
    pub(crate) on_the_way: Vec<OnTheWayState>,
    /// Listening sockets that wait.
    pub(crate) held: Vec<HeldState>,
    pub(crate) n_text: u64,
    pub(crate) n_read: u64,
}

/// A descriptor that a worker has not acknowledged.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OnTheWayState {
    /// The number of its frame if it is a connection.
    pub(crate) seq: Option<u64>,
    /// What it is if it is a listening socket.
    pub(crate) held: Option<HeldState>,
    /// Text sent before it.
    pub(crate) n_text: u64,
}

/// A listening socket for a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HeldState {
    pub(crate) line: String,
    pub(crate) socket: Kept,
    pub(crate) listener: usize,
    /// Number of the frame that it answers.
    pub(crate) ack: u64,
    /// Times that it has not arrived.
    pub(crate) n_failed: u8,
}

/// What is left of a frame.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FrameState {
    pub(crate) rest: Bytes,
    pub(crate) descriptor: Option<Kept>,
    pub(crate) is_message: bool,
}

/// A connection that a worker was given and has not taken.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UnacceptedState {
    pub(crate) seq: u64,
    pub(crate) listener: usize,
    pub(crate) since: i64,
    pub(crate) connection: ConnectionState,
}

/// A client that no worker has taken yet.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ConnectionState {
    pub(crate) socket: Kept,
    pub(crate) address: Option<IpAddr>,
    pub(crate) since: i64,
    pub(crate) n_failed: u8,
}

/// An address on which workers listen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListenerState {
    pub(crate) id: usize,
    pub(crate) app: String,
    pub(crate) key: String,
    pub(crate) place: PlaceState,
    pub(crate) way: WayState,
    pub(crate) sticky: bool,
    /// In the order of their numbers, each with the worker that has it.
    pub(crate) sockets: Vec<(Kept, Option<u64>)>,
    pub(crate) backlog: i32,
    pub(crate) shown_address: Option<String>,
    pub(crate) data: Option<String>,
    /// Workers, and until when each rests.
    pub(crate) members: Vec<(u64, Option<i64>)>,
    pub(crate) kept_for: BTreeSet<u32>,
    pub(crate) deserted: Option<i64>,
    pub(crate) waiting: Vec<ConnectionState>,
    pub(crate) is_direct: bool,
    pub(crate) last: u64,
    /// The file that goes with it.
    pub(crate) path: Option<String>,
}

/// What a listener is bound to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PlaceState {
    Tcp(i64),
    Udp(i64),
    Path(String),
}

/// How connections come to the workers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WayState {
    Deal,
    Steer,
    Share,
}

impl State {
    /// Writes the text into an empty file.
    ///
    /// # Errors
    /// No memory or disk space.
    pub(crate) fn write(&self, file: &File) -> io::Result<()> {
        let mut text = BufWriter::with_capacity(64 * 1024, file);
        serde_json::to_writer(&mut text, self)?;
        text.flush()
    }

    /// Reads the text of a file from its beginning.
    ///
    /// # Errors
    /// What cannot be read, and what is not understood.
    pub(crate) fn read(mut file: &File) -> io::Result<State> {
        let mut text = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut text)?;
        let Head { version } = serde_json::from_slice(&text)?;
        if !is_readable(version) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("its version is {version}")));
        }
        Ok(serde_json::from_slice(&text)?)
    }
}

#[derive(Deserialize)]
struct Head {
    version: u32,
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::memory_file;

    /// A state with everything in it that a state can have, as it was written by that version.
    const WRITTEN: [(u32, &str); 1] = [(1, include_str!("states/1.json"))];

    fn in_a_file(text: &str) -> File {
        let mut file = memory_file().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn states_of_every_version_can_be_read() {
        for (version, text) in WRITTEN {
            assert!(is_readable(version));
            let state = State::read(&in_a_file(text)).unwrap();
            assert_eq!((state.version, state.jobs.len(), state.descriptors.len()), (version, 5, 16));
        }
        assert!(!is_readable(0) && !is_readable(VERSION + 1));
    }

    /// When this fails the text has changed: that needs a new version and one more file.
    #[test]
    fn what_is_written_is_what_this_version_wrote() {
        let (version, text) = WRITTEN[WRITTEN.len() - 1];
        assert_eq!(version, VERSION);
        let file = memory_file().unwrap();
        State::read(&in_a_file(text)).unwrap().write(&file).unwrap();
        let again = State::read(&file).unwrap();
        assert_eq!(
            serde_json::to_value(&again).unwrap(),
            serde_json::from_str::<Value>(text).unwrap(),
            "nothing is lost and nothing is added"
        );
    }

    #[test]
    fn other_versions_are_refused_before_anything_is_looked_at() {
        let error = State::read(&in_a_file(r#"{"version":2,"at":"another thing"}"#)).unwrap_err();
        assert_eq!(error.to_string(), "its version is 2");
        for broken in ["", "{", "{\"version\":1}", "[]"] {
            assert!(State::read(&in_a_file(broken)).is_err(), "{broken}");
        }
    }

    #[test]
    fn the_file_is_closed_on_exec() {
        let file = memory_file().unwrap();
        let flags = nix::fcntl::fcntl(file.as_fd(), nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, libc::FD_CLOEXEC);
    }
}
