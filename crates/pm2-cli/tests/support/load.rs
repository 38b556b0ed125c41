//! Clients that ask a server again and again, and what becomes of their requests.
//!
//! A server under load answers with its pid, its port and the path it was asked for, so that no answer can pass for
//! another one's.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Client;
use super::home::TestHome;
use super::until;

/// A plain server that answers after `DELAY` ms and has no idea of signals. It says when it listens.
pub(crate) const SERVER: &str = "const http = require('http');
    http.createServer((request, response) => {
        const answer = () => response.end(`${process.pid} ${process.env.PORT} ${request.url}`);
        if (process.env.DELAY) setTimeout(answer, Number(process.env.DELAY)); else answer();
    }).listen(Number(process.env.PORT), '127.0.0.1', () => process.send('ready'));";

/// A request that has neither been answered nor failed by then hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// A port that nobody listens on, below those that the system gives to clients: under load these are taken and given
/// back all the time.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % 100;
        let port = u16::try_from(10_000 + std::process::id() % 200 * 100 + number).unwrap();
        if is_free(port) {
            return port;
        }
    }
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Whether the port could be listened on.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(address(port)).is_ok()
}

/// Whether nobody listens there.
pub(crate) fn is_refused(port: u16) -> bool {
    TcpStream::connect(address(port)).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

impl TestHome {
    /// A cluster app with this text as its script.
    pub(crate) fn cluster(&self, name: &str, text: &str, port: u16, instances: usize) -> Value {
        let mut app = self.node(name, text);
        app["exec_mode"] = json!("cluster_mode");
        app["instances"] = json!(instances);
        app["merge_logs"] = json!(false);
        app["wait_ready"] = json!(true);
        app["listen_timeout"] = json!(30_000);
        app["env"]["PORT"] = json!(port);
        app
    }
}

/// The pid in an entry of the list.
pub(crate) fn pid_of(entry: &Value) -> i32 {
    i32::try_from(entry["pid"].as_i64().unwrap()).unwrap()
}

/// The pids of everything that is listed.
pub(crate) fn pids(client: &mut Client) -> BTreeSet<i32> {
    client.list().iter().map(pid_of).collect()
}

/// How connections get to the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dealing {
    Hybrid,
    /// Hybrid as it is at high rates, from the first connection on.
    Direct,
    RoundRobin,
    Shared,
}

impl Dealing {
    pub(crate) const ALL: [Dealing; 4] =
        [Dealing::Hybrid, Dealing::Direct, Dealing::RoundRobin, Dealing::Shared];

    /// A home whose daemon deals like that.
    pub(crate) fn home(self) -> TestHome {
        let home = TestHome::new();
        if self == Dealing::Direct { home.with("PM2_RS_CLUSTER_DIRECT_ABOVE", "0") } else { home }
    }

    pub(crate) fn policy(self) -> Value {
        json!(match self {
            Dealing::Hybrid | Dealing::Direct => "hybrid",
            Dealing::RoundRobin => "rr",
            Dealing::Shared => "shared",
        })
    }
}

/// How clients use connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// One for every request.
    Close,
    /// One for as long as the server keeps it.
    KeepAlive,
    /// One for so many requests.
    Reconnect(usize),
}

/// What became of a request that was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There was no connection.
    Unconnected(String),
    /// The connection ended before the answer was complete. The pid is that of the process which answered earlier
    /// requests on it.
    Cut { by: Option<i32>, error: String },
    /// Nothing at all happened in time.
    Hung,
    /// Somebody else's answer, or an error.
    Wrong(String),
}

/// A connection to a server, and who it is.
pub(crate) struct Connection {
    stream: TcpStream,
    pid: Option<i32>,
    n_answers: usize,
}

impl Connection {
    pub(crate) fn open(port: u16) -> Result<Connection, Failure> {
        match TcpStream::connect_timeout(&address(port), PATIENCE) {
            Ok(stream) => Ok(Connection { stream, pid: None, n_answers: 0 }),
            Err(error) if error.kind() == ErrorKind::TimedOut => Err(Failure::Hung),
            Err(error) => Err(Failure::Unconnected(error.to_string())),
        }
    }

    /// One request; the body, and whether the server keeps the connection.
    pub(crate) fn ask(
        &mut self,
        path: &str,
        keep: bool,
        patience: Duration,
    ) -> Result<(String, bool), Failure> {
        let deadline = Instant::now() + patience;
        let cut = |pid, error: String| Failure::Cut { by: pid, error };
        let connection = if keep { "keep-alive" } else { "close" };
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n");
        self.stream.write_all(request.as_bytes()).map_err(|error| cut(self.pid, error.to_string()))?;
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::Hung);
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(cut(self.pid, format!("end after {} bytes", text.len()))),
                Ok(count) => text.extend_from_slice(&chunk[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Failure::Hung);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(cut(self.pid, error.to_string())),
            }
            let text = String::from_utf8_lossy(&text);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_ascii_lowercase();
                let length =
                    head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if !head.starts_with("http/1.1 200") || body.len() > length.unwrap_or(usize::MAX) {
                    return Err(Failure::Wrong(text.into_owned()));
                }
                if Some(body.len()) == length {
                    self.n_answers += 1;
                    return Ok((body.to_owned(), !head.contains("connection: close")));
                }
            }
        }
    }

    /// As [`Connection::ask`], of a server that answers who it is; gives its pid.
    fn ask_who(
        &mut self,
        port: u16,
        path: &str,
        keep: bool,
        patience: Duration,
    ) -> Result<(i32, bool), Failure> {
        let (body, kept) = self.ask(path, keep, patience)?;
        let words: Vec<&str> = body.split(' ').collect();
        match (words.first().and_then(|pid| pid.parse().ok()), &words[1..]) {
            (Some(pid), [its_port, asked])
                if *its_port == port.to_string()
                    && *asked == path
                    && self.pid.is_none_or(|before| before == pid) =>
            {
                self.pid = Some(pid);
                Ok((pid, kept))
            }
            _ => Err(Failure::Wrong(format!("{path} to {port}: {body}"))),
        }
    }
}

/// One request on a connection of its own, and the pid of whoever answers.
pub(crate) fn ask_once(port: u16) -> Result<i32, Failure> {
    Connection::open(port)?.ask_who(port, "/once", false, PATIENCE).map(|(pid, _)| pid)
}

/// So many requests at once, each on a connection of its own; the pids of whoever answers, as the answers come.
pub(crate) fn burst(port: u16, count: usize) -> mpsc::Receiver<Result<i32, Failure>> {
    let (say, said) = mpsc::channel();
    let connections: Vec<_> = (0..count).map(|_| Connection::open(port)).collect();
    for (number, connection) in connections.into_iter().enumerate() {
        let say = say.clone();
        std::thread::spawn(move || {
            let path = format!("/burst/{number}");
            let asked = connection
                .and_then(|mut connection| connection.ask_who(port, &path, false, super::DEADLINE))
                .map(|(pid, _)| pid);
            // Nobody waits for the answers that come too late.
            drop(say.send(asked));
        });
    }
    said
}

/// What clients have seen so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// Requests that are over, one way or the other.
    pub(crate) n_ended: usize,
    /// Answers by the pid of whoever answered.
    pub(crate) served: BTreeMap<i32, usize>,
    pub(crate) failures: Vec<Failure>,
}

impl Seen {
    pub(crate) fn n_served(&self) -> usize {
        self.served.values().sum()
    }
}

/// Clients at work. Dropping it lets them end.
pub(crate) struct Load {
    clients: Vec<Arc<Mutex<Seen>>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Each of the clients asks for the next thing as soon as it has an answer.
    pub(crate) fn start(port: u16, style: Style, n_clients: usize) -> Load {
        Load::patient(port, style, n_clients, PATIENCE)
    }

    /// With another idea of when a request hangs.
    pub(crate) fn patient(port: u16, style: Style, n_clients: usize, patience: Duration) -> Load {
        let mut load = Load { clients: Vec::new(), threads: Vec::new(), stop: Arc::default() };
        for number in 0..n_clients {
            let seen = Arc::new(Mutex::new(Seen::default()));
            load.clients.push(seen.clone());
            let stop = load.stop.clone();
            load.threads.push(std::thread::spawn(move || {
                let mut kept = None;
                let paths = (0..).map(|request| format!("/{number}/{request}"));
                for path in paths.take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let answered = ask(port, &path, style, patience, &mut kept);
                    let mut seen = seen.lock().unwrap();
                    seen.n_ended += 1;
                    match answered {
                        Ok(pid) => *seen.served.entry(pid).or_default() += 1,
                        Err(failure) => seen.failures.push(failure),
                    }
                }
            }));
        }
        load
    }

    /// What all of them have seen.
    pub(crate) fn seen(&self) -> Seen {
        let mut all = Seen::default();
        for seen in &self.clients {
            let seen = seen.lock().unwrap();
            all.n_ended += seen.n_ended;
            all.failures.extend_from_slice(&seen.failures);
            for (pid, count) in &seen.served {
                *all.served.entry(*pid).or_default() += count;
            }
        }
        all
    }

    /// Waits until every client is through with a request that it had not begun before.
    #[track_caller]
    pub(crate) fn wait_for_round(&self) {
        // The first to end may have been under way.
        self.wait_for_progress(self.clients.len(), 2);
    }

    /// Waits until so many of the clients are through with so many more requests.
    #[track_caller]
    pub(crate) fn wait_for_progress(&self, n_clients: usize, n_requests: usize) {
        let n_ended = || self.clients.iter().map(|seen| seen.lock().unwrap().n_ended);
        let wanted: Vec<usize> = n_ended().map(|count| count + n_requests).collect();
        until("requests come to an end", || {
            n_ended().zip(&wanted).filter(|(count, wanted)| count >= wanted).count() >= n_clients
        });
    }

    /// Waits until so many requests were answered in all, for as long as there are new ones.
    #[track_caller]
    pub(crate) fn wait_for_answers(&self, n_requests: usize) {
        while self.seen().n_served() < n_requests {
            self.wait_for_progress(1, 1);
        }
    }

    /// Ends the load; what all clients have seen.
    pub(crate) fn end(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        for thread in std::mem::take(&mut self.threads) {
            thread.join().unwrap();
        }
        self.seen()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// One request on the connection that is kept, else on a new one; the pid of whoever answers.
fn ask(
    port: u16,
    path: &str,
    style: Style,
    patience: Duration,
    kept: &mut Option<Connection>,
) -> Result<i32, Failure> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(port)?,
    };
    let (pid, keeps) = connection.ask_who(port, path, style != Style::Close, patience)?;
    let is_used_up = match style {
        Style::Close => true,
        Style::KeepAlive => false,
        Style::Reconnect(count) => connection.n_answers >= count,
    };
    *kept = (keeps && !is_used_up).then_some(connection);
    Ok(pid)
}
