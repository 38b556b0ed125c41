//! A host whose processes follow scripts, in the time of tokio's clock. They are nothing to the operating system, but
//! their pipes and channels are real.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::{ExitFuture, Kin, ProcessHost, Relative, Spawned, Tracking};
use crate::bus::Bus;
use crate::sys::{Exit, Launch, Signal};

/// Larger than any pid of a real process.
const FIRST_PID: i32 = 5_000_001;

/// What a process does, by its age in ms.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    refused: Option<i32>,
    acts: Vec<(u64, Act)>,
    signals: BTreeMap<i32, Reaction>,
    shutdown: Option<Reaction>,
    drain: Option<Reaction>,
    pid: Option<i32>,
}

#[derive(Debug, Clone)]
enum Act {
    Say(String),
    Write(String),
    Start(Script),
    End(Exit),
}

#[derive(Debug, Clone, Copy)]
enum Reaction {
    Ignore,
    /// Only later than this, by its age, it takes the usual effect.
    IgnoreUntil(u64),
    End {
        after: u64,
        exit: Exit,
    },
}

impl Script {
    /// Lives until a signal ends it.
    pub(crate) fn new() -> Script {
        Script::default()
    }

    /// Cannot be started, for this reason.
    pub(crate) fn refused(errno: i32) -> Script {
        Script { refused: Some(errno), ..Script::default() }
    }

    pub(crate) fn exits(self, at: u64, code: i32) -> Script {
        self.does(at, Act::End(Exit::Code(code)))
    }

    pub(crate) fn dies(self, at: u64, signal: i32) -> Script {
        self.does(at, Act::End(Exit::Signal(signal)))
    }

    /// Sends a line over its channel.
    pub(crate) fn says(self, at: u64, line: &str) -> Script {
        self.does(at, Act::Say(line.to_owned()))
    }

    /// Writes to its standard output.
    pub(crate) fn writes(self, at: u64, text: &str) -> Script {
        self.does(at, Act::Write(text.to_owned()))
    }

    /// Starts a process, which stays when this one ends.
    pub(crate) fn starts(self, at: u64, child: Script) -> Script {
        self.does(at, Act::Start(child))
    }

    /// Its side of Node's cluster module runs.
    pub(crate) fn comes_online(self, at: u64) -> Script {
        self.says(at, r#"{"cmd":"NODE_CLUSTER","act":"online","seq":0}"#)
    }

    /// Has a server.
    pub(crate) fn listens(self, at: u64) -> Script {
        let server = |act: &str, seq: u32, key: &str| {
            let place = r#""address":"127.0.0.1","port":0,"addressType":4,"index":0,"data":null"#;
            format!(r#"{{"cmd":"NODE_CLUSTER","act":"{act}",{place},{key}"seq":{seq}}}"#)
        };
        self.says(at, &server("queryServer", 1, ""))
            .says(at, &server("listening", 2, r#""key":"127.0.0.1:0:4:0","#))
    }

    pub(crate) fn ignores(mut self, signal: i32) -> Script {
        self.signals.insert(signal, Reaction::Ignore);
        self
    }

    pub(crate) fn ignores_until(mut self, signal: i32, age: u64) -> Script {
        self.signals.insert(signal, Reaction::IgnoreUntil(age));
        self
    }

    pub(crate) fn obeys(mut self, signal: i32, after: u64, code: i32) -> Script {
        self.signals.insert(signal, Reaction::End { after, exit: Exit::Code(code) });
        self
    }

    /// Ends at the message `shutdown`.
    pub(crate) fn shuts_down(mut self, after: u64, code: i32) -> Script {
        self.shutdown = Some(Reaction::End { after, exit: Exit::Code(code) });
        self
    }

    /// Ends when it is told to drain; the age of its clients' last wish does not matter.
    pub(crate) fn drains(mut self, after: u64) -> Script {
        self.drain = Some(Reaction::End { after, exit: Exit::Code(0) });
        self
    }

    /// What is measured of it is what this very process is.
    pub(crate) fn measured(mut self) -> Script {
        self.pid = Some(std::process::id().cast_signed());
        self
    }

    fn does(mut self, at: u64, act: Act) -> Script {
        self.acts.push((at, act));
        self
    }
}

/// The way to a runtime whose clock is paused and goes on only when nothing is left to do at this moment, nor on other
/// threads that work for it.
#[derive(Default)]
pub(crate) struct Stillness {
    rounds: AtomicUsize,
    look: Notify,
    wish: Mutex<Wish>,
    granted: Condvar,
    #[allow(clippy::type_complexity)]
    witness: Mutex<Option<Box<dyn Fn() + Send>>>,
}

/// Of a thread that blocks.
#[derive(Default, PartialEq, Eq)]
enum Wish {
    #[default]
    None,
    /// The runtime has heard of it.
    Heard,
    Granted,
}

/// Descriptors are looked at so often before the clock goes on: each look may cause another event.
const LOOKS: usize = 8;

impl Stillness {
    /// A runtime of this thread. Its clock jumps to the next timer when it parks, even if something has just come in; so it
    /// does not park before that is out of the question.
    pub(crate) fn runtime(self: &Arc<Self>) -> tokio::runtime::Runtime {
        let parking = self.clone();
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .max_blocking_threads(1)
            .on_thread_park(move || parking.before_park())
            .build()
            .unwrap()
    }

    fn before_park(&self) {
        if self.rounds.fetch_add(1, Ordering::Relaxed) < LOOKS {
            self.look.notify_one();
            return;
        }
        self.rounds.store(0, Ordering::Relaxed);
        if let Some(witness) = &*self.witness.lock() {
            witness();
        }
        let mut wish = self.wish.lock();
        if *wish == Wish::Heard {
            *wish = Wish::Granted;
            self.granted.notify_all();
        }
    }

    /// Called each time before the clock goes on, or somebody else does.
    pub(crate) fn witnessed_by(&self, witness: impl Fn() + Send + 'static) {
        *self.witness.lock() = Some(Box::new(witness));
    }

    /// Keeps the runtime from parking, and each time lets `other` threads finish what they have been told.
    pub(crate) async fn keep<Other: Future>(&self, mut other: impl FnMut() -> Other) {
        loop {
            self.look.notified().await;
            let mut other = pin!(other());
            // Whoever is being woken by another thread is, for a moment, neither at rest nor about to run.
            while other.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Lets the one thread that may block wait until the runtime has nothing else to do. The clock does not go on meanwhile.
    fn wait(self: &Arc<Self>) {
        let this = self.clone();
        // It comes after everything that this thread has done.
        Handle::current().spawn(async move { *this.wish.lock() = Wish::Heard });
        let mut wish = self.wish.lock();
        while *wish != Wish::Granted {
            self.granted.wait(&mut wish);
        }
        *wish = Wish::None;
    }
}

/// Plays scripts and tells on the bus, under the topic `trace`, what it was asked for.
pub(crate) struct ScriptedHost {
    bus: Bus,
    stillness: Arc<Stillness>,
    cast: Arc<Cast>,
}

/// Who plays what.
#[derive(Default)]
pub(crate) struct Cast {
    /// By the app's name, for one process after the other; the last one goes on.
    scripts: Mutex<BTreeMap<String, VecDeque<Script>>>,
    actors: Mutex<BTreeMap<i32, mpsc::UnboundedSender<Signal>>>,
    names: Mutex<BTreeMap<i32, String>>,
    /// By the pid of whom they descend from.
    families: Mutex<BTreeMap<i32, Vec<Descendant>>>,
    n_started: Mutex<i32>,
}

impl Cast {
    pub(crate) fn give(&self, app: &str, scripts: impl IntoIterator<Item = Script>) {
        self.scripts.lock().insert(app.to_owned(), scripts.into_iter().collect());
    }

    /// The pid and the name of a new process.
    fn enter(&self, pid: Option<i32>) -> (i32, String) {
        let mut n_started = self.n_started.lock();
        *n_started += 1;
        let name = format!("p{n_started}");
        let pid = pid.unwrap_or(FIRST_PID + *n_started - 1);
        self.names.lock().insert(pid, name.clone());
        (pid, name)
    }

    fn starts(self: &Arc<Self>, parent: i32, script: Script, bus: &Bus) {
        let (pid, name) = self.enter(None);
        let parent_name = self.name(parent).unwrap();
        tell(bus, &format!("{parent_name} starts {name}"));
        let (signals, received) = mpsc::unbounded_channel();
        let (ended, is_gone) = watch::channel(false);
        let member = Descendant { pid, name: name.clone(), bus: bus.clone(), signals, is_gone };
        self.families.lock().entry(parent).or_default().push(member);
        let bus = bus.clone();
        tokio::spawn(async move {
            let exit = play_descendant(script, received).await;
            tell(&bus, &format!("{name} {}", how(exit)));
            ended.send_replace(true);
        });
    }

    /// Who has or had that pid, as a trace shows it.
    pub(crate) fn name(&self, pid: i32) -> Option<String> {
        self.names.lock().get(&pid).cloned()
    }
}

impl ScriptedHost {
    pub(crate) fn new(bus: Bus, stillness: Arc<Stillness>, cast: Arc<Cast>) -> ScriptedHost {
        ScriptedHost { bus, stillness, cast }
    }
}

fn tell(bus: &Bus, line: &str) {
    bus.publish("trace", || Value::from(line).to_string());
}

fn how(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exits with {code}"),
        Exit::Signal(number) => format!("dies of {}", Signal(number).name()),
    }
}

impl ProcessHost for ScriptedHost {
    fn spawn(&self, launch: Launch) -> io::Result<Spawned> {
        // What else happens at this moment happens before.
        self.stillness.wait();
        let variable = |key: &str| {
            let of_key = |pair: &std::ffi::CString| {
                pair.to_str().unwrap().strip_prefix(key)?.strip_prefix('=').map(str::to_owned)
            };
            launch.environment.iter().find_map(of_key).unwrap()
        };
        let (app, id) = (variable("name"), variable("pm_id"));
        let script = {
            let mut scripts = self.cast.scripts.lock();
            let scripts = scripts.get_mut(&app).expect("every app has a script");
            if scripts.len() > 1 { scripts.pop_front().unwrap() } else { scripts[0].clone() }
        };
        if let Some(errno) = script.refused {
            let error = io::Error::from_raw_os_error(errno);
            tell(&self.bus, &format!("spawn {app}:{id} refused: {error}"));
            return Err(error);
        }
        let (pid, name) = self.cast.enter(script.pid);
        let number = match &*variable("NODE_APP_INSTANCE") {
            "0" => String::new(),
            number => format!(", instance {number}"),
        };
        tell(&self.bus, &format!("spawn {app}:{id} as {name}{number}"));
        let (signals, received) = mpsc::unbounded_channel();
        self.cast.actors.lock().insert(pid, signals);
        let (ended, end) = oneshot::channel();
        let [input, output, error, channel] = launch.descriptors;
        let actor = Actor {
            pid,
            name,
            cast: self.cast.clone(),
            bus: self.bus.clone(),
            script,
            signals: received,
            channel,
            output: std::fs::File::from(output),
            others: [input, error],
        };
        let cast = self.cast.clone();
        Handle::current().spawn(async move {
            let exit = actor.play().await;
            cast.actors.lock().remove(&pid);
            // The job may have been given up.
            let _ = ended.send(exit);
        });
        let exit: ExitFuture = Box::pin(async move { end.await.expect("every process ends by a word") });
        Ok(Spawned { pid, exit, group: None })
    }

    fn tracking(&self) -> Tracking {
        Tracking::Subreaper
    }

    fn follow(&self, _pid: i32) -> ExitFuture {
        unreachable!("nothing is handed over")
    }

    fn signal(&self, pid: i32, signal: Signal) -> io::Result<()> {
        let sent = self.cast.actors.lock().get(&pid).is_some_and(|actor| actor.send(signal).is_ok());
        let gone = if sent { "" } else { ", which is gone" };
        let name = self.cast.name(pid).unwrap();
        tell(&self.bus, &format!("signal {} to {name}{gone}", signal.name()));
        if sent { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    }

    fn family(&self, of: &Kin, known: &[Box<dyn Relative>]) -> Vec<Box<dyn Relative>> {
        let families = self.cast.families.lock();
        let members = families.get(&of.root).into_iter().flatten();
        let is_new =
            |member: &&Descendant| !member.is_gone() && !known.iter().any(|known| known.pid() == member.pid);
        members.filter(is_new).map(|member| Box::new(member.clone()) as Box<dyn Relative>).collect()
    }

    fn leave(&self, _family: &Kin) {}
}

/// A process that an actor has started.
#[derive(Clone)]
struct Descendant {
    pid: i32,
    name: String,
    bus: Bus,
    signals: mpsc::UnboundedSender<Signal>,
    is_gone: watch::Receiver<bool>,
}

impl Relative for Descendant {
    fn pid(&self) -> i32 {
        self.pid
    }

    fn is_gone(&self) -> bool {
        *self.is_gone.borrow()
    }

    fn signal(&self, signal: Signal) {
        let gone = if self.signals.send(signal).is_ok() { "" } else { ", which is gone" };
        tell(&self.bus, &format!("signal {} to {}{gone}", signal.name(), self.name));
    }

    fn gone(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut is_gone = self.is_gone.clone();
        // Whoever is played no more is gone, too.
        Box::pin(async move { drop(is_gone.wait_for(|is_gone| *is_gone).await) })
    }

    fn reap(&self) {}
}

/// A process without a channel of its own, until its end.
async fn play_descendant(script: Script, mut signals: mpsc::UnboundedReceiver<Signal>) -> Exit {
    let born = Instant::now();
    let exits = script.acts.iter().find_map(|(age, act)| match act {
        Act::End(exit) => Some((born + Duration::from_millis(*age), *exit)),
        _ => None,
    });
    let mut end = exits;
    loop {
        tokio::select! {
            biased;
            signal = signals.recv() => {
                let Signal(number) = signal.expect("the family keeps the other end");
                match script.signals.get(&number) {
                    Some(Reaction::Ignore) => {}
                    Some(Reaction::IgnoreUntil(age)) if born.elapsed() < Duration::from_millis(*age) => {}
                    Some(Reaction::End { after, exit }) => {
                        end = Some((Instant::now() + Duration::from_millis(*after), *exit));
                    }
                    Some(Reaction::IgnoreUntil(_)) | None => return Exit::Signal(number),
                }
            }
            () = until(end.map(|(at, _)| at)) => return end.unwrap().1,
        }
    }
}

struct Actor {
    pid: i32,
    name: String,
    cast: Arc<Cast>,
    bus: Bus,
    script: Script,
    signals: mpsc::UnboundedReceiver<Signal>,
    channel: OwnedFd,
    output: std::fs::File,
    others: [OwnedFd; 2],
}

impl Actor {
    /// Until its end; then its descriptors are closed.
    async fn play(self) -> Exit {
        let Actor { pid, name, cast, bus, script, mut signals, channel, mut output, others } = self;
        let born = Instant::now();
        let channel = std::os::unix::net::UnixStream::from(channel);
        channel.set_nonblocking(true).unwrap();
        let read = UnixStream::from_std(channel.try_clone().unwrap()).unwrap();
        let say = |line: &str| {
            // Nobody may listen any more.
            drop((&channel).write_all(format!("{line}\n").as_bytes()));
        };
        let mut lines = Some(BufReader::new(read).lines());
        let mut acts = script.acts;
        acts.sort_by_key(|(age, _)| *age);
        let mut acts = VecDeque::from(acts);
        let mut end: Option<(Instant, Exit)> = None;
        let at = |age: u64| born + Duration::from_millis(age);
        let exit = loop {
            let next = acts.front().map(|(age, _)| at(*age));
            tokio::select! {
                biased;
                signal = signals.recv() => {
                    let Signal(number) = signal.expect("the cast keeps the other end");
                    let usual = Exit::Signal(number);
                    match script.signals.get(&number) {
                        Some(Reaction::Ignore) => {}
                        Some(Reaction::IgnoreUntil(age)) if Instant::now() < at(*age) => {}
                        Some(Reaction::End { after, exit }) => {
                            end.get_or_insert((Instant::now() + Duration::from_millis(*after), *exit));
                        }
                        Some(Reaction::IgnoreUntil(_)) | None => break usual,
                    }
                }
                line = next_line(&mut lines) => {
                    let Some(line) = line else { continue };
                    let frame: Value = serde_json::from_str(&line).unwrap();
                    let reaction = if frame == "shutdown" {
                        tell(&bus, &format!("{name} is told \"shutdown\""));
                        script.shutdown
                    } else if frame["act"] == "drain" {
                        tell(&bus, &format!("{name} is told to drain"));
                        if script.drain.is_some() {
                            say(r#"{"cmd":"NODE_PM2RS","act":"drained"}"#);
                        }
                        script.drain
                    } else {
                        if frame["cmd"] == "NODE_HANDLE" {
                            say(r#"{"cmd":"NODE_HANDLE_ACK"}"#);
                        }
                        None
                    };
                    if let Some(Reaction::End { after, exit }) = reaction {
                        end.get_or_insert((Instant::now() + Duration::from_millis(after), exit));
                    }
                }
                () = until(next) => match acts.pop_front().unwrap().1 {
                    Act::Say(line) => say(&line),
                    Act::Write(text) => output.write_all(text.as_bytes()).unwrap(),
                    Act::Start(child) => cast.starts(pid, child, &bus),
                    Act::End(exit) => break exit,
                },
                () = until(end.map(|(at, _)| at)) => break end.unwrap().1,
            }
        };
        tell(&bus, &format!("{name} {}", how(exit)));
        // A process that another test is just starting may have inherited it.
        drop(channel.shutdown(Shutdown::Both));
        drop((lines, channel, output, others));
        exit
    }
}

/// The next line; none when the channel has just been closed, and then never.
async fn next_line(lines: &mut Option<Lines<BufReader<UnixStream>>>) -> Option<String> {
    let Some(reader) = lines else { return std::future::pending().await };
    let line = reader.next_line().await.ok().flatten();
    if line.is_none() {
        *lines = None;
    }
    line
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
