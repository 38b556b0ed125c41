//! A daemon's life: lock, sockets, ready, service, and the orderly end.

mod banner;
mod lock;
mod resurrect;
mod signals;
mod sockets;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pm2_core::dump;
use pm2_core::home::{Home, HomeError};
use tokio::io::AsyncReadExt;

use crate::bus::Bus;
use crate::clock::epoch_ms;
use crate::context::Context;
use crate::engine::{Ending, Engine};
use crate::handover::{self, Descriptors, HomeState, State};
use crate::host::InProcessHost;
use crate::job::{JobHandle, View};
use crate::journal::Journal;
use crate::logs::{LogOptions, LogWriter};
use crate::ready::Ready;
use crate::server::{self, Service};
use crate::settings::Settings;
use crate::supervisor::Supervisor;
use crate::sys::{
    Adoption, Signal, leave_signals_to_others, raise_descriptor_limit, send_signal, take_signals_again,
};
use crate::upgrade::{self, Image, Predecessor};
use lock::Lock;
pub(crate) use signals::{Received, Signals};
use sockets::{Socket, Sockets};

/// Threads that start apps.
const BLOCKING_THREADS: usize = 4;

/// How long the daemon lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is killed.
    Detached,
    /// Until its standard input ends: it belongs to the process at the other end of that pipe.
    Attached,
}

/// How to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// How long.
    pub lifetime: Lifetime,
    /// Whether to bring the saved list back; a service manager is told that the daemon is ready after that.
    pub resurrect: bool,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It served, and was ended.
    Served,
    /// Another daemon serves this home.
    AlreadyRunning {
        /// Process id of that daemon, if its pid file tells.
        pid: Option<i32>,
    },
}

/// Why a daemon could not serve.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A file or socket of the home cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A socket cannot be bound.
    #[error("cannot listen on {endpoint}: {source}")]
    Listen {
        /// The socket.
        endpoint: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the lock but does not answer.
    #[error("another daemon (pid {}) holds {} but does not answer", pid.map_or("unknown".to_owned(), |pid| pid.to_string()), path.display())]
    Unresponsive {
        /// The lock file.
        path: PathBuf,
        /// Process id from the pid file.
        pid: Option<i32>,
    },
    /// What an earlier image of this process has left cannot be used.
    #[error("cannot go on with what the daemon before has left: {0}")]
    Predecessor(io::Error),
    /// The system refuses a thread, a poll descriptor or a signal handler.
    #[error("cannot start: {0}")]
    System(io::Error),
}

impl DaemonError {
    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            DaemonError::Home(error) => error.code(),
            DaemonError::File { source, .. } | DaemonError::Listen { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => "EACCES",
                io::ErrorKind::AddrInUse => "EADDRINUSE",
                io::ErrorKind::NotFound => "ENOENT",
                _ => "PM2_DAEMON_START",
            },
            DaemonError::Unresponsive { .. } => "PM2_DAEMON_UNRESPONSIVE",
            DaemonError::Predecessor(_) | DaemonError::System(_) => "PM2_DAEMON_START",
        }
    }
}

/// Serves a home until somebody ends it. Standard output is the daemon's log. With a predecessor it goes on with the apps
/// and the sockets of that one.
///
/// # Errors
/// Everything that keeps it from serving; nothing of the home is changed then but missing folders.
pub fn run(
    home: &Home,
    options: RunOptions,
    predecessor: Option<Predecessor>,
    ready: &mut Ready,
) -> Result<Outcome, DaemonError> {
    Adoption::prepare();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Starts of apps wait for disks and for the new program; a few at a time fill the machine.
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(Duration::from_secs(1))
        .thread_stack_size(512 * 1024)
        .on_thread_start(leave_signals_to_others)
        .build()
        .map_err(DaemonError::System)?;
    let outcome = runtime.block_on(serve(home, options, predecessor, ready));
    // Tasks of apps that outlived the end are not waited for.
    runtime.shutdown_background();
    outcome
}

async fn serve(
    home: &Home,
    options: RunOptions,
    predecessor: Option<Predecessor>,
    ready: &mut Ready,
) -> Result<Outcome, DaemonError> {
    raise_descriptor_limit();
    let settings = Settings::read(&home.dir, &|key| std::env::var(key).ok());
    let left = predecessor.map(Predecessor::read).transpose().map_err(DaemonError::Predecessor)?;
    let (hold, left) = match left {
        Some((state, mut descriptors)) => {
            let hold = Hold::thaw(home, &state.home, &mut descriptors).map_err(DaemonError::Predecessor)?;
            (hold, Some((state, descriptors)))
        }
        None => match Hold::take(home, &settings).await? {
            Some(hold) => (hold, None),
            None => return Ok(Outcome::AlreadyRunning { pid: read_pid(&home.pid_file) }),
        },
    };
    let bus = Bus::default();
    let journal = Journal::new(bus.clone(), &settings.log_date_format);
    let log_options = LogOptions {
        settings: home.module_conf_file.clone(),
        own_log: Some(home.log_file.clone()),
        mode: settings.log_mode,
        since: left.as_ref().map(|(state, _)| state.at),
    };
    let logs = LogWriter::start(log_options, journal.clone(), bus.clone()).map_err(DaemonError::System)?;
    let context = Context::new(
        Box::new(InProcessHost::new(settings.cgroups)),
        logs,
        bus,
        journal.clone(),
        settings.clone(),
    );
    let started_at = left.as_ref().map_or_else(epoch_ms, |(state, _)| state.engine.started_at);
    let (engine, mut wishes) = Engine::new(Supervisor::new(context), started_at);
    let listed = Arc::downgrade(&engine);
    let logs_of = |engine: Arc<Engine>| engine.supervisor.logs();
    let logs = &engine.supervisor.context.logs;
    logs.shared.know_list(move || listed.upgrade().map(logs_of).unwrap_or_default());

    let mut signals = Signals::install().map_err(DaemonError::System)?;
    // The image before has held them up.
    take_signals_again();
    let goes_on = left.is_some();
    match left {
        Some((state, descriptors)) => go_on(&engine, state, descriptors),
        None => banner::write(home, &settings, &journal),
    }
    let Hold { sockets: Sockets { bus, rpc }, .. } = &hold;
    let bus_service = tokio::spawn(server::serve(bus.listener.clone(), Service::Bus(engine.clone())));
    let rpc_service = tokio::spawn(server::serve(rpc.listener.clone(), Service::Rpc(engine.clone())));
    ready.serving();

    let restoring = async {
        if options.resurrect {
            resurrect::resurrect(home.clone(), journal.clone()).await;
        }
    };
    tokio::pin!(restoring);
    let context = engine.supervisor.context.clone();
    let keeping = context.runtime_file.keep();
    tokio::pin!(keeping);
    let mut is_restored = goes_on;
    let ending = loop {
        tokio::select! {
            ending = &mut wishes.ended => break ending.unwrap_or(Ending::Signal),
            () = &mut keeping => {}
            () = owner_gone(), if options.lifetime == Lifetime::Attached => break Ending::OwnerGone,
            () = &mut restoring, if !is_restored => {
                is_restored = true;
                tell(ready.notify("READY=1"), &journal);
            }
            signal = signals.next() => match signal {
                Received::End => break Ending::Signal,
                Received::ReloadLogs => engine.reload_logs(),
            },
            // A list that is half restored would end where it is.
            Some(wish) = wishes.upgrades.recv(), if is_restored => {
                let image = Image {
                    program: &wish.program,
                    lifetime: options.lifetime,
                    service_manager: ready.service_manager(),
                };
                let failure = upgrade::perform(&engine, &hold, &image, &mut signals).await;
                wish.has_failed(failure);
            }
        }
    };
    tell(ready.notify("STOPPING=1"), &journal);
    let ended = end(home, &engine, ending, [rpc_service, bus_service], hold);
    hurrying(ended, &mut signals, &engine).await;
    Ok(Outcome::Served)
}

/// Makes everything live again that an earlier image has left.
fn go_on(engine: &Arc<Engine>, state: State, descriptors: Descriptors) {
    let (program, at, n_jobs) = (state.program.clone(), state.at, state.jobs.len());
    handover::thaw(engine, state, descriptors);
    engine.supervisor.context.journal.log(format_args!(
        "pm2-rs {} goes on with {n_jobs} processes of version {program} after {} ms",
        pm2_core::VERSION,
        epoch_ms().saturating_sub(at)
    ));
}

/// What makes this process the daemon of a home.
pub(crate) struct Hold {
    lock: Lock,
    sockets: Sockets,
}

impl Hold {
    /// Takes the lock, the sockets and the pid file; `None` when another daemon serves.
    async fn take(home: &Home, settings: &Settings) -> Result<Option<Hold>, DaemonError> {
        home.check_sockets()?;
        home.create()?;
        let Some(lock) = Lock::take(home).await? else { return Ok(None) };
        // Before the sockets: who finds that somebody answers there wants to know who.
        write_pid(&home.pid_file)?;
        match Sockets::bind(home, settings).await {
            Ok(sockets) => Ok(Some(Hold { lock, sockets })),
            Err(error) => {
                // It is this process that does not serve.
                remove(&home.pid_file);
                Err(error)
            }
        }
    }

    /// Everything as data; it stays in use here.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub(crate) fn freeze(&self, descriptors: &mut Descriptors) -> io::Result<HomeState> {
        Ok(HomeState {
            lock: self.lock.freeze(descriptors)?,
            rpc: self.sockets.rpc.freeze(descriptors)?,
            bus: self.sockets.bus.freeze(descriptors)?,
        })
    }

    fn thaw(home: &Home, state: &HomeState, descriptors: &mut Descriptors) -> io::Result<Hold> {
        let lock = Lock::thaw(state.lock, descriptors)?;
        let rpc = Socket::thaw(&home.rpc, &state.rpc, descriptors)?;
        let bus = Socket::thaw(&home.bus, &state.bus, descriptors)?;
        Ok(Hold { lock, sockets: Sockets { bus, rpc } })
    }
}

/// A service manager that does not hear is no reason to do anything else.
fn tell(notified: io::Result<()>, journal: &Journal) {
    if let Err(error) = notified {
        journal.error(format_args!("cannot notify the service manager: {error}"));
    }
}

/// Ends the apps, then everything that tells of this daemon.
async fn end(
    home: &Home,
    engine: &Arc<Engine>,
    ending: Ending,
    services: [tokio::task::JoinHandle<()>; 2],
    hold: Hold,
) {
    let context = &engine.supervisor.context;
    context.begin_end();
    let message = match ending {
        Ending::Killed { .. } => "pm2 has been killed via CLI",
        Ending::Signal | Ending::OwnerGone => "pm2 has been killed by SIGNAL",
    };
    context.bus.publish("pm2:kill", || serde_json::json!({"status": "killed", "msg": message}).to_string());
    if ending == Ending::Signal {
        context.journal.log("pm2 has been killed by signal, dumping process list before exit...");
        if let Err(error) = write_dump(home, &engine.supervisor.jobs()) {
            context.journal.error(error);
        }
    }
    engine.supervisor.delete_all().await;
    context.bus.close();
    // The last packets reach subscribers that read.
    tokio::task::yield_now().await;
    for service in services {
        service.abort();
        // Aborted is what it shall be.
        drop(service.await);
    }
    let Hold { lock, sockets } = hold;
    sockets.close();
    // Another daemon may serve a home that was removed and made anew under this one.
    if read_pid(&home.pid_file) == i32::try_from(std::process::id()).ok() {
        remove(&home.pid_file);
    }
    if let Ending::Killed { notify: Some(pid) } = ending {
        // Whoever asked may have ended.
        drop(send_signal(pid, Signal::QUIT));
    }
    context.journal.log(match ending {
        Ending::Killed { .. } => "PM2 successfully stopped",
        Ending::Signal | Ending::OwnerGone => "Exited peacefully",
    });
    // Nothing of this daemon is left that another one could meet.
    drop(lock);
}

/// Waits for the end; a second signal means that whoever ends the daemon has lost patience.
async fn hurrying(ended: impl Future<Output = ()>, signals: &mut Signals, engine: &Engine) {
    tokio::pin!(ended);
    loop {
        tokio::select! {
            () = &mut ended => return,
            signal = signals.next() => if let Received::End = signal {
                engine.supervisor.context.hurry();
            }
        }
    }
}

fn write_dump(home: &Home, jobs: &[JobHandle]) -> Result<(), String> {
    let entries: Vec<_> =
        jobs.iter().filter_map(|job| job.peek(View::pm2_env)?.as_object().and_then(dump::entry)).collect();
    if entries.is_empty() {
        return Ok(());
    }
    dump::save(&home.dump_file, &home.dump_backup_file, &entries).map_err(|error| error.to_string())
}

fn write_pid(path: &Path) -> Result<(), DaemonError> {
    std::fs::write(path, std::process::id().to_string()).map_err(|source| DaemonError::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

fn read_pid(path: &Path) -> Option<i32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn remove(path: &Path) {
    // Absent is as good.
    drop(std::fs::remove_file(path));
}

/// Completes when standard input ends.
async fn owner_gone() {
    use std::os::fd::AsFd;
    let input = std::io::stdin().as_fd().try_clone_to_owned();
    let Ok(mut input) = input.and_then(tokio::net::unix::pipe::Receiver::from_owned_fd) else {
        // Not a pipe, so nobody owns this daemon.
        return std::future::pending().await;
    };
    let mut ignored = [0; 64];
    while matches!(input.read(&mut ignored).await, Ok(count) if count > 0) {}
}
