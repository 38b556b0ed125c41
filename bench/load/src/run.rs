//! The poll loop: clients are taken from the schedule, ask, and come back with what became of it.

use std::io;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token};

use crate::alarm::Alarm;
use crate::client::{Client, Progress};
use crate::options::Options;
use crate::schedule::Schedule;
use crate::tally::{Report, Tally};

/// How often requests without an answer are looked for.
const LOOK: Duration = Duration::from_millis(100);
const BUFFER: usize = 64 * 1024;
const ALARM: Token = Token(usize::MAX);

/// Sends all requests and waits for their answers.
///
/// # Errors
/// Polling itself fails. What happens to a connection is part of the report.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let mut poll = Poll::new()?;
    let alarm = Alarm::new(poll.registry(), ALARM)?;
    let mut run = Run::new(options, poll.registry().try_clone()?);
    let mut events = Events::with_capacity(1024);
    let mut armed = None;
    loop {
        let now = Instant::now();
        run.ask_what_is_due(now);
        run.give_up_what_hangs(now);
        if run.is_over() {
            return Ok(run.report());
        }
        let next = run.schedule.next();
        if let Some(next) = next.filter(|next| armed != Some(*next)) {
            alarm.set(next.saturating_duration_since(now))?;
            armed = Some(next);
        }
        let wake = next.map_or(run.next_look, |next| next.min(run.next_look));
        match poll.poll(&mut events, Some(wake.saturating_duration_since(now))) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in events.iter().filter(|event| event.token() != ALARM) {
            let Token(index) = event.token();
            run.on_event(index, event);
        }
    }
}

struct Run<'a> {
    options: &'a Options,
    registry: mio::Registry,
    request: Vec<u8>,
    buffer: Vec<u8>,
    clients: Vec<Client>,
    n_busy: usize,
    schedule: Schedule,
    tally: Tally,
    start: Instant,
    last_answer: Instant,
    next_look: Instant,
}

impl<'a> Run<'a> {
    fn new(options: &'a Options, registry: mio::Registry) -> Run<'a> {
        let Options { address, path, .. } = options;
        let connection = if options.keep_alive { "keep-alive" } else { "close" };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: {connection}\r\n\r\n");
        let start = Instant::now();
        Run {
            options,
            registry,
            request: request.into_bytes(),
            buffer: vec![0; BUFFER],
            clients: (0..options.clients).map(|_| Client::new(start)).collect(),
            n_busy: 0,
            schedule: Schedule::new(options.pace, options.limit, options.clients, start),
            tally: Tally::default(),
            start,
            last_answer: start,
            next_look: start + LOOK,
        }
    }

    fn ask_what_is_due(&mut self, now: Instant) {
        while let Some((index, since)) = self.schedule.take(now) {
            self.n_busy += 1;
            let client = &mut self.clients[index];
            let progress = if client.is_connected() {
                client.ask(&self.request, since)
            } else {
                self.tally.connections += 1;
                let token = Token(index);
                client.connect_and_ask(self.options.address, &self.request, since, &self.registry, token)
            };
            self.went(index, progress);
        }
    }

    fn on_event(&mut self, index: usize, event: &Event) {
        let client = &mut self.clients[index];
        if client.is_busy() {
            let progress = client.on_event(event, &self.request, self.options.keep_alive, &mut self.buffer);
            self.went(index, progress);
        } else {
            client.on_event_while_idle(&mut self.buffer);
        }
    }

    /// A request of this client was under way until now.
    fn went(&mut self, index: usize, progress: Progress) {
        if let Progress::UnderWay = progress {
            return;
        }
        let now = Instant::now();
        self.n_busy -= 1;
        match progress {
            Progress::UnderWay => {}
            Progress::Answered { worker, first } => {
                let in_time = self.schedule.end().is_none_or(|end| now <= end);
                self.tally.answered(&worker, now - self.clients[index].since(), first, in_time);
                self.last_answer = now;
                self.schedule.answered(index, now);
            }
            Progress::Failed(failure) => {
                self.tally.failed(failure);
                self.schedule.failed(index, now);
            }
        }
    }

    fn give_up_what_hangs(&mut self, now: Instant) {
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK;
        for (index, client) in self.clients.iter_mut().enumerate() {
            if client.is_busy() && now.saturating_duration_since(client.since()) > self.options.patience {
                client.close();
                self.n_busy -= 1;
                self.tally.hung += 1;
                self.schedule.failed(index, now);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.n_busy == 0 && self.schedule.is_over()
    }

    fn report(mut self) -> Report {
        self.tally.waited = self.schedule.n_waited();
        let end = self.schedule.end().unwrap_or(self.last_answer);
        self.tally.report(end - self.start)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{BufRead, BufReader, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::thread;

    use super::*;
    use crate::options::{self, Command};
    use crate::tally::{Failure, Worker};

    type Serve = fn(&mut BufReader<TcpStream>) -> io::Result<()>;

    /// Serves each connection on a thread of its own, for as long as the test runs.
    fn server(serve: Serve) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                thread::spawn(move || serve(&mut BufReader::new(stream.unwrap())));
            }
        });
        address
    }

    /// The lines of a request; none at the end of the connection.
    fn request(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 || line == "\r\n" {
                return Ok(lines);
            }
            lines.push(line.trim_end().to_owned());
        }
    }

    fn answer(stream: &mut BufReader<TcpStream>, status: &str, body: &str) -> io::Result<()> {
        write!(stream.get_mut(), "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    fn always(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
        while !request(stream)?.is_empty() {
            answer(stream, "200 OK", "w")?;
        }
        Ok(())
    }

    fn report(address: SocketAddr, line: &str) -> Report {
        let line = format!("{address} {line}");
        match options::parse(line.split_whitespace().map(str::to_owned)) {
            Ok(Command::Run(options)) => run(&options).unwrap(),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn failures(report: &Report) -> Vec<(Failure, u64)> {
        report.failures.iter().map(|(failure, count)| (*failure, *count)).collect()
    }

    fn only_worker(requests: u64, connections: u64) -> BTreeMap<String, Worker> {
        BTreeMap::from([("w".to_owned(), Worker { requests, connections })])
    }

    #[test]
    fn a_connection_per_request() {
        let report = report(server(always), "--clients 4 --requests 40");
        assert_eq!((report.requests, report.connections, report.hung), (40, 40, 0));
        assert_eq!(report.workers, only_worker(40, 40));
        assert_eq!(failures(&report), []);
        assert!(report.requests_per_second > 0.0);
    }

    #[test]
    fn a_connection_per_client() {
        let report = report(server(always), "--clients 4 --requests 40 --keep-alive");
        assert_eq!((report.requests, report.connections), (40, 4));
        assert_eq!(report.workers, only_worker(40, 4));
    }

    #[test]
    fn requests_by_the_clock() {
        let report = report(server(always), "--rate 500 --seconds 0.4 --clients 1000");
        assert_eq!((report.requests, report.waited), (report.connections, 0));
        assert!((140..260).contains(&report.requests), "{}", report.requests);
        assert_eq!(report.seconds, 0.4);
    }

    #[test]
    fn the_request_as_asked_for() {
        fn serve(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
            let lines = request(stream)?;
            answer(stream, "200 OK", &format!("{} {}", lines[0], lines[2]))
        }
        let report = report(server(serve), "--requests 1 --path /a?b");
        assert_eq!(report.workers.keys().collect::<Vec<_>>(), ["GET /a?b HTTP/1.1 Connection: close"]);
    }

    #[test]
    fn a_server_that_closes_between_two_requests_has_not_failed() {
        fn once(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
            request(stream)?;
            answer(stream, "200 OK", "w")
        }
        let report = report(server(once), "--clients 1 --requests 3 --keep-alive --think 200");
        assert_eq!((report.requests, report.connections), (3, 3));
        assert_eq!(failures(&report), []);
    }

    #[test]
    fn failures_by_class() {
        fn at_once(_: &mut BufReader<TcpStream>) -> io::Result<()> {
            Ok(())
        }
        fn after_one(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
            request(stream)?;
            answer(stream, "200 OK", "w")?;
            request(stream).map(drop)
        }
        fn in_answer(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
            request(stream)?;
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx")
        }
        fn unwilling(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
            request(stream)?;
            answer(stream, "503 Service Unavailable", "w")
        }
        fn other_protocol(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
            request(stream)?;
            stream.get_mut().write_all(b"220 ready\r\n\r\n")
        }
        // Closing with an unread request is a reset.
        let reset = report(server(at_once), "--clients 1 --requests 1");
        assert!(
            matches!(failures(&reset)[..], [(Failure::ResetFresh | Failure::ClosedFresh, 1)]),
            "{reset:?}"
        );
        let cases: [(Serve, &str, Failure); 4] = [
            (after_one, "--clients 1 --requests 2 --keep-alive", Failure::ClosedReused),
            (in_answer, "--clients 1 --requests 1", Failure::ClosedInAnswer),
            (unwilling, "--clients 1 --requests 1", Failure::BadStatus),
            (other_protocol, "--clients 1 --requests 1", Failure::Malformed),
        ];
        for (serve, line, expected) in cases {
            assert_eq!(failures(&report(server(serve), line)), [(expected, 1)]);
        }
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = report(nobody, "--clients 1 --requests 2");
        assert_eq!(failures(&refused), [(Failure::ConnectRefused, 2)]);
        assert_eq!((refused.requests, refused.connections), (0, 2));
    }

    #[test]
    fn a_connection_that_is_never_answered_hangs() {
        fn never(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
            while !request(stream)?.is_empty() {}
            Ok(())
        }
        let report = report(server(never), "--clients 3 --requests 3 --patience 0.2");
        assert_eq!((report.requests, report.hung), (0, 3));
        assert_eq!(failures(&report), []);
    }
}
