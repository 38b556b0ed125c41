//! A daemon's life: lock, sockets, ready, service, and the orderly end.

mod banner;
mod resurrect;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use pm2_core::dump;
use pm2_core::home::{Endpoint, Home, HomeError};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

use crate::bus::Bus;
use crate::context::Context;
use crate::engine::{Ending, Engine};
use crate::host::InProcessHost;
use crate::job::{JobHandle, View};
use crate::journal::Journal;
use crate::logs::LogWriter;
use crate::ready::Ready;
use crate::server::{self, Listener, Service};
use crate::settings::Settings;
use crate::supervisor::Supervisor;
use crate::sys::{Signal, raise_descriptor_limit, send_signal};

/// How long a daemon that finds the lock taken waits for the other one to answer.
const PATIENCE: Duration = Duration::from_secs(5);

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
            DaemonError::System(_) => "PM2_DAEMON_START",
        }
    }
}

/// Serves a home until somebody ends it. Standard output is the daemon's log.
///
/// # Errors
/// Everything that keeps it from serving; nothing of the home is changed then but missing folders.
pub fn run(home: &Home, options: RunOptions, ready: &mut Ready) -> Result<Outcome, DaemonError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Starts of apps wait for disks and for the new program; a few at a time fill the machine.
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(Duration::from_secs(1))
        .thread_stack_size(512 * 1024)
        .build()
        .map_err(DaemonError::System)?;
    let outcome = runtime.block_on(serve(home, options, ready));
    // Tasks of apps that outlived the end are not waited for.
    runtime.shutdown_background();
    outcome
}

async fn serve(home: &Home, options: RunOptions, ready: &mut Ready) -> Result<Outcome, DaemonError> {
    home.check_sockets()?;
    home.create()?;
    let _lock = match own(home).await? {
        Ownership::Ours(lock) => lock,
        Ownership::Others => return Ok(Outcome::AlreadyRunning { pid: read_pid(&home.pid_file) }),
    };
    // A daemon of npm's pm2 takes no lock; it is alive if it answers.
    if answers(&home.rpc).await {
        return Ok(Outcome::AlreadyRunning { pid: read_pid(&home.pid_file) });
    }

    raise_descriptor_limit();
    let settings = Settings::read(&home.dir, &|key| std::env::var(key).ok());
    let (bus_listener, rpc_listener) = bind_sockets(home, &settings).await?;
    write_pid(&home.pid_file)?;
    let bus = Bus::default();
    let journal = Journal::new(bus.clone(), &settings.log_date_format);
    let logs = LogWriter::start(journal.clone()).map_err(DaemonError::System)?;
    let context = Context::new(Box::new(InProcessHost), logs, bus, journal.clone(), settings.clone());
    let (engine, mut ended) = Engine::new(Supervisor::new(context));

    let mut signals = Signals::install().map_err(DaemonError::System)?;
    let sockets = [SocketFile::of(&home.rpc), SocketFile::of(&home.bus)];
    let bus_service = tokio::spawn(server::serve(bus_listener, Service::Bus(engine.clone())));
    let rpc_service = tokio::spawn(server::serve(rpc_listener, Service::Rpc(engine.clone())));
    banner::write(home, &settings, &journal);
    ready.serving();

    let restoring = async {
        if options.resurrect {
            resurrect::resurrect(home.clone(), journal.clone()).await;
        }
    };
    tokio::pin!(restoring);
    let mut is_restored = false;
    let ending = loop {
        tokio::select! {
            ending = &mut ended => break ending.unwrap_or(Ending::Signal),
            () = owner_gone(), if options.lifetime == Lifetime::Attached => break Ending::OwnerGone,
            () = &mut restoring, if !is_restored => {
                is_restored = true;
                tell(ready.notify("READY=1"), &journal);
            }
            signal = signals.next() => match signal {
                Received::End => break Ending::Signal,
                Received::ReloadLogs => engine.reload_logs(),
            }
        }
    };
    tell(ready.notify("STOPPING=1"), &journal);
    let ended = end(home, &engine, ending, [rpc_service, bus_service], &sockets);
    hurrying(ended, &mut signals, &engine).await;
    Ok(Outcome::Served)
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
    sockets: &[Option<SocketFile>],
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
    for socket in sockets.iter().flatten() {
        socket.remove();
    }
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

/// A socket's file as it was bound, so that only this one is removed.
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(endpoint: &Endpoint) -> Option<SocketFile> {
        let Endpoint::Unix(path) = endpoint else { return None };
        let meta = std::fs::symlink_metadata(path).ok()?;
        Some(SocketFile { path: path.clone(), device: meta.dev(), inode: meta.ino() })
    }

    fn remove(&self) {
        let same = |meta: std::fs::Metadata| (meta.dev(), meta.ino()) == (self.device, self.inode);
        if std::fs::symlink_metadata(&self.path).is_ok_and(same) {
            remove(&self.path);
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

fn take_lock(path: &Path) -> Result<Option<Flock<std::fs::File>>, DaemonError> {
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |action, source| DaemonError::File { action, path: path.to_owned(), source };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| failed("open", error))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(failed("lock", errno.into())),
    }
}

enum Ownership {
    Ours(Flock<std::fs::File>),
    /// Another daemon serves.
    Others,
}

/// Takes the lock. While another daemon holds it, that one is starting (soon it answers), serving,
/// or ending (soon the lock is free).
async fn own(home: &Home) -> Result<Ownership, DaemonError> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(lock) = take_lock(&home.lock_file)? {
            return Ok(Ownership::Ours(lock));
        }
        if answers(&home.rpc).await {
            return Ok(Ownership::Others);
        }
        if tokio::time::Instant::now() > deadline {
            return Err(DaemonError::Unresponsive {
                path: home.lock_file.clone(),
                pid: read_pid(&home.pid_file),
            });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn answers(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Unix(path) => tokio::net::UnixStream::connect(path).await.is_ok(),
        Endpoint::Tcp(address) => tokio::net::TcpStream::connect(address).await.is_ok(),
    }
}

async fn bind_sockets(home: &Home, settings: &Settings) -> Result<(Listener, Listener), DaemonError> {
    for endpoint in [&home.bus, &home.rpc] {
        if let Endpoint::Unix(path) = endpoint {
            // Nobody answers there and the lock is ours: left by a killed daemon.
            remove(path);
        }
    }
    // No moment in which somebody else could connect; apps are started with the usual mask.
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let bus = Listener::bind(&home.bus).await;
    let rpc = Listener::bind(&home.rpc).await;
    nix::sys::stat::umask(mask);
    let failed = |endpoint: &Endpoint| {
        let endpoint = endpoint.to_string();
        move |source| DaemonError::Listen { endpoint, source }
    };
    let (bus, rpc) = (bus.map_err(failed(&home.bus))?, rpc.map_err(failed(&home.rpc))?);
    if let Some((user, group)) = settings.socket_owner {
        for endpoint in [&home.bus, &home.rpc] {
            if let Endpoint::Unix(path) = endpoint {
                std::os::unix::fs::chown(path, Some(user), Some(group)).map_err(|source| {
                    DaemonError::File { action: "change the owner of", path: path.clone(), source }
                })?;
            }
        }
    }
    Ok((bus, rpc))
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

enum Received {
    End,
    ReloadLogs,
}

/// The signals of specification `lifecycle.md` §14.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
    reload: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn install() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            reload: signal(SignalKind::user_defined2())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Received {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Received::End,
                _ = self.interrupt.recv() => return Received::End,
                _ = self.quit.recv() => return Received::End,
                _ = self.reload.recv() => return Received::ReloadLogs,
                // Ignored, as a terminal that closes must not end the daemon.
                _ = self.hangup.recv() => {}
            }
        }
    }
}
