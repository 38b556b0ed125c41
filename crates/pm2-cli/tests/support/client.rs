//! A blocking client that speaks the wire byte by byte, so that tests can also break its rules.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use pm2_core::protocol::{
    Argument, Decoder, Event, Reply, decode_event, decode_reply, encode, encode_call, encode_methods_request,
};
use serde_json::{Map, Value, json};

use super::{DEADLINE, eventually};

trait Stream: Read + Write + Send {
    fn limit_reads(&self, limit: Duration);
    fn second(&self) -> Box<dyn Write + Send>;
}

impl Stream for UnixStream {
    fn limit_reads(&self, limit: Duration) {
        self.set_read_timeout(Some(limit)).unwrap();
    }

    fn second(&self) -> Box<dyn Write + Send> {
        Box::new(self.try_clone().unwrap())
    }
}

impl Stream for TcpStream {
    fn limit_reads(&self, limit: Duration) {
        self.set_read_timeout(Some(limit)).unwrap();
    }

    fn second(&self) -> Box<dyn Write + Send> {
        Box::new(self.try_clone().unwrap())
    }
}

/// One connection to either socket.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    next: u64,
}

impl Client {
    #[track_caller]
    pub(crate) fn unix(path: &Path) -> Client {
        // The queue of the socket is full while many connect at once.
        let stream = eventually("connecting", || match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            connected => Some(connected),
        });
        let stream = stream.unwrap_or_else(|error| panic!("cannot connect to {}: {error}", path.display()));
        Client::over(stream)
    }

    pub(crate) fn tcp(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        Client::over(stream)
    }

    fn over(stream: impl Stream + 'static) -> Client {
        stream.limit_reads(DEADLINE);
        Client { stream: Box::new(stream), decoder: Decoder::default(), next: 0 }
    }

    /// # Errors
    /// When the daemon has closed the connection.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The writing half, to write while this client reads.
    pub(crate) fn writer(&self) -> Box<dyn Write + Send> {
        self.stream.second()
    }

    /// Sends a call and does not wait; returns its id.
    pub(crate) fn post(&mut self, method: &str, args: &Value) -> Argument {
        let id = Argument::Text(format!("{}:{}", std::process::id(), self.next));
        self.next += 1;
        self.write(&encode_call(&id, method, &args.to_string())).unwrap();
        id
    }

    /// Sends one frame of these arguments.
    pub(crate) fn frame(&mut self, arguments: &[Argument]) {
        self.write(&encode(arguments).unwrap()).unwrap();
    }

    /// The next frame; `None` when the daemon closes the connection.
    ///
    /// # Panics
    /// When nothing comes in time.
    #[track_caller]
    pub(crate) fn arguments(&mut self) -> Option<Vec<Argument>> {
        self.read().unwrap_or_else(|error| panic!("nothing to read: {error}"))
    }

    /// The next frame if it comes within `limit`, a time shorter than usual.
    #[track_caller]
    pub(crate) fn arguments_within(&mut self, limit: Duration) -> Option<Vec<Argument>> {
        self.stream.limit_reads(limit);
        let read = self.read();
        self.stream.limit_reads(DEADLINE);
        match read {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => None,
            read => read.unwrap(),
        }
    }

    fn read(&mut self) -> io::Result<Option<Vec<Argument>>> {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            if let Some(arguments) = self.decoder.next().unwrap() {
                return Ok(Some(arguments));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(count) => self.decoder.feed(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                // A read with a time limit is not restarted by the system.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    #[track_caller]
    pub(crate) fn reply(&mut self) -> (Argument, Reply) {
        decode_reply(self.arguments().expect("the daemon closed the connection")).unwrap()
    }

    #[track_caller]
    pub(crate) fn event(&mut self) -> Event {
        decode_event(self.arguments().expect("the daemon closed the connection")).unwrap()
    }

    /// Calls with these arguments; the array of results, or the error's text.
    #[track_caller]
    pub(crate) fn call_with(&mut self, method: &str, args: &Value) -> Result<Value, String> {
        let id = self.post(method, args);
        let (answered, reply) = self.reply();
        assert_eq!(answered, id, "{method}");
        match reply {
            Reply::Success { args } => Ok(serde_json::from_str(args.get()).unwrap()),
            Reply::Error { message, .. } => Err(message),
            Reply::Methods(_) => panic!("{method} answered the listing"),
        }
    }

    /// Calls with one argument; the first result, null when there is none.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, argument: Value) -> Result<Value, String> {
        self.call_with(method, &Value::Array(vec![argument])).map(|results| results[0].clone())
    }

    /// The `methods` request.
    #[track_caller]
    pub(crate) fn methods(&mut self) -> Map<String, Value> {
        let id = Argument::Text("listing".to_owned());
        self.write(&encode_methods_request(&id)).unwrap();
        match self.reply() {
            (answered, Reply::Methods(listing)) => {
                assert_eq!(answered, id);
                serde_json::from_str(listing.get()).unwrap()
            }
            other => panic!("not a listing: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn list(&mut self) -> Vec<Value> {
        let Value::Array(list) = self.call("getMonitorData", Map::new().into()).unwrap() else {
            panic!("the list is no array")
        };
        list
    }

    /// One entry of the list.
    #[track_caller]
    pub(crate) fn entry(&mut self, id: u64) -> Value {
        let list = self.list();
        list.iter()
            .find(|entry| entry["pm_id"] == id)
            .unwrap_or_else(|| panic!("no {id} in {list:?}"))
            .clone()
    }

    /// Waits until an entry is as wanted, and returns it.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, id: u64, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let deadline = std::time::Instant::now() + DEADLINE;
        while std::time::Instant::now() < deadline {
            last = self.entry(id);
            if wanted(&last) {
                return last;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{what}: not within {DEADLINE:?}; {last}")
    }

    #[track_caller]
    pub(crate) fn until_status(&mut self, id: u64, status: &str) -> Value {
        self.until(status, id, |entry| entry["pm2_env"]["status"] == status)
    }

    /// Starts an app and returns its first entry.
    #[track_caller]
    pub(crate) fn start(&mut self, app: Value) -> Value {
        self.start_all(app).swap_remove(0)
    }

    /// Starts an app and returns what was started.
    #[track_caller]
    pub(crate) fn start_all(&mut self, app: Value) -> Vec<Value> {
        match self.call("prepare", app) {
            Ok(Value::Array(started)) => started,
            other => panic!("prepare answered {other:?}"),
        }
    }
}

/// Waits until the daemon knows a subscriber: until an event asked for (of app 0) arrives.
#[track_caller]
pub(crate) fn subscribe(client: &mut Client, bus: &mut Client) {
    let ask = json!({"id": 0, "action_name": "subscribed", "manually": true});
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        client.call("notifyByProcessId", ask.clone()).unwrap();
        if bus.arguments_within(Duration::from_millis(20)).is_some() {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "the subscriber hears nothing");
    }
}
