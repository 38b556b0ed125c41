//! Logs: every byte that an app writes is in its files once, whatever happens meanwhile.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use pm2_core::logs::rotated;
use pm2_core::protocol::Argument;
use serde_json::{Value, json};
use support::logs::{all_files, numbers_of, read};
use support::upgrade::hear;
use support::{Client, DEADLINE, EXECUTABLE, Random, TestHome, eventually, memory, send, subscribe, until};

fn daemon() -> (TestHome, Client) {
    daemon_of(TestHome::new())
}

fn daemon_of(home: TestHome) -> (TestHome, Client) {
    home.start();
    let client = home.client();
    (home, client)
}

/// Lines that begin with a tag: characters of all widths, `\r\n`, empty ones, and one that is very long. The last may
/// have no end.
fn lines(random: &mut Random, tag: &str, n_lines: usize, longest: usize) -> Vec<u8> {
    let alphabet = ["a", "Z", " ", "\"", "\\", "\t", "é", "ß", "€", "語", "😀", "\u{1b}[0m", "\r", "0"];
    let mut text = String::new();
    let long_one = random.below(n_lines);
    for number in 0..n_lines {
        text.push_str(tag);
        let length = match random.below(8) {
            _ if number == long_one => longest,
            0 => 0,
            1 => random.below(5000),
            _ => random.below(120),
        };
        let mut part = String::new();
        while part.len() < length.min(8000) {
            part.push_str(alphabet[random.below(alphabet.len())]);
        }
        let from = text.len();
        for number in 1.. {
            text.push_str(&part);
            if text.len() - from >= length {
                break;
            }
            // No two parts of a long one are the same.
            text.push_str(&number.to_string());
        }
        text.push_str(if random.below(4) == 0 { "\r\n" } else { "\n" });
    }
    if random.below(2) == 0 {
        text.push_str(tag);
        text.push_str("no end €");
    }
    text.into_bytes()
}

/// The sizes of writes that make up so many bytes.
fn sizes(random: &mut Random, mut left: usize, largest: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    while left > 0 {
        let largest = if random.below(3) == 0 { 3 } else { largest };
        let size = (1 + random.below(largest)).min(left);
        sizes.push(size);
        left -= size;
    }
    sizes
}

/// Writes files to its output and its errors in pieces, stops half way until it is told to go on, and ends.
const WRITER: &str = "
const fs = require('fs')
const { folder, pieces, ending } = JSON.parse(fs.readFileSync(process.argv[2]))
const streams = [1, 2].map((fd) => ({ fd, bytes: fs.readFileSync(`${folder}/${fd}`), at: 0 }))
const write = ([fd, size]) => {
  const stream = streams[fd - 1]
  const end = stream.at + size
  while (stream.at < end) stream.at += fs.writeSync(fd, stream.bytes, stream.at, end - stream.at)
}
const half = pieces.length >> 1
pieces.slice(0, half).forEach(write)
fs.writeFileSync(`${folder}/half`, JSON.stringify(streams.map(({ at }) => at)))
const wait = new Int32Array(new SharedArrayBuffer(4))
while (!fs.existsSync(`${folder}/go`)) Atomics.wait(wait, 0, 0, 5)
pieces.slice(half).forEach(write)
fs.writeFileSync(`${folder}/done`, '')
if (ending === 'exit') process.exit(0)
if (ending === 'crash') process.kill(process.pid, 'SIGSEGV')
if (ending === 'kill') process.kill(process.pid, 'SIGKILL')
if (ending === 'stop') setInterval(() => {}, 1000)
";

/// What happens to the logs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meanwhile {
    Nothing,
    /// They are emptied half way.
    Flush,
    /// They are opened anew, again and again.
    Reload,
    /// They go on in other files from half way on.
    Continue,
    /// The daemon is replaced, again and again.
    Upgrade,
}

struct Case {
    name: String,
    form: &'static str,
    ending: &'static str,
    meanwhile: Meanwhile,
    rotates: bool,
    streams: [Vec<u8>; 2],
}

/// What the app wrote, from what is in a file of that form.
fn written(form: &str, file: &[u8]) -> Vec<u8> {
    match form {
        "raw" => file.to_vec(),
        "time" => {
            let lines = file.split_inclusive(|byte| *byte == b'\n');
            lines
                .flat_map(|line| line.strip_prefix(b"D: ").expect("each line has its date").to_vec())
                .collect()
        }
        _ => {
            let lines = file.split_inclusive(|byte| *byte == b'\n');
            lines
                .flat_map(|line| {
                    let record: Value = serde_json::from_slice(line).expect("each line is a record");
                    record["message"].as_str().unwrap().as_bytes().to_vec()
                })
                .collect()
        }
    }
}

impl Case {
    fn folder(&self, home: &TestHome) -> PathBuf {
        home.path(&self.name)
    }

    fn log(&self, home: &TestHome, kind: &str) -> PathBuf {
        home.file(&format!("logs/{}-{kind}.log", self.name))
    }

    fn app(&self, home: &TestHome, random: &mut Random, largest: usize) -> Value {
        let folder = self.folder(home);
        fs::create_dir(&folder).unwrap();
        let mut pieces = Vec::new();
        for (fd, stream) in (1..).zip(&self.streams) {
            fs::write(folder.join(fd.to_string()), stream).unwrap();
            pieces.extend(
                sizes(random, stream.len(), largest).into_iter().map(|size| (random.next(), fd, size)),
            );
        }
        // In turns by chance, each stream in its order.
        let mut order: Vec<_> = pieces.iter().map(|(turn, fd, _)| (*turn, *fd)).collect();
        order.sort_unstable();
        let mut sizes =
            [1, 2].map(|of| pieces.iter().filter(move |(_, fd, _)| *fd == of).map(|(.., size)| *size));
        let pieces: Vec<_> = order.iter().map(|(_, fd)| (*fd, sizes[*fd - 1].next().unwrap())).collect();
        let plan = json!({"folder": folder, "pieces": pieces, "ending": self.ending});
        fs::write(folder.join("plan"), plan.to_string()).unwrap();
        let mut app = home.node(&self.name, WRITER);
        app["args"] = json!([folder.join("plan")]);
        app["autorestart"] = json!(false);
        match self.form {
            "time" => app["log_date_format"] = json!("[D]"),
            "json" => app["log_type"] = json!("json"),
            "combined" => app["pm_log_path"] = json!(self.log(home, "both")),
            _ => {}
        }
        if self.rotates {
            // About a dozen files of each log.
            let max_size = (self.streams[0].len() / 12).max(40_000);
            app["log_rotate"] =
                json!({"max_size": max_size, "retain": "all", "rotateInterval": "", "compress": "zstd"});
        }
        app
    }

    /// The files of a log in their order, and those in which it went on.
    fn files(&self, home: &TestHome, entry: &Value, kind: &str) -> Vec<Vec<u8>> {
        let log = self.log(home, kind);
        let mut files = all_files(&log);
        if self.meanwhile == Meanwhile::Continue {
            let key = match kind {
                "out" => "pm_out_log_path",
                "error" => "pm_err_log_path",
                _ => "pm_log_path",
            };
            let path = Path::new(entry["pm2_env"][key].as_str().unwrap());
            assert_ne!(path, log);
            files.extend(all_files(path));
        }
        files
    }

    fn check(&self, home: &TestHome, entry: &Value, half: &[usize]) {
        let form = if self.form == "combined" { "raw" } else { self.form };
        let is_cut = |stream: &[u8]| stream.last() != Some(&b'\n');
        for ((stream, kind), half) in self.streams.iter().zip(["out", "error"]).zip(half) {
            let files = self.files(home, entry, kind);
            let mut found: Vec<_> = files.iter().map(|file| written(form, file)).collect();
            if form == "time" && is_cut(stream) {
                assert_eq!(found.last_mut().unwrap().pop(), Some(b'\n'), "the last line gets an end");
            }
            self.compare(&found, stream, *half, kind);
        }
        if self.form == "combined" {
            let files = self.files(home, entry, "both");
            for ((tag, stream), half) in [b'o', b'e'].iter().zip(&self.streams).zip(half) {
                let of_stream = |file: &Vec<u8>| {
                    let lines = file.split_inclusive(|byte| *byte == b'\n');
                    lines.filter(|line| line.first() == Some(tag)).collect::<Vec<_>>().concat()
                };
                let mut found: Vec<_> = files.iter().map(of_stream).collect();
                let last = found.iter_mut().rfind(|file| !file.is_empty()).unwrap();
                if is_cut(stream) && last.last() == Some(&b'\n') {
                    last.pop();
                }
                self.compare(&found, stream, *half, "both");
            }
        }
    }

    /// What is in the files is the stream; when they were emptied half way, without a part of what was written before.
    fn compare(&self, found: &[Vec<u8>], stream: &[u8], half: usize, kind: &str) {
        let length: usize = found.iter().map(Vec::len).sum();
        let name = format!("{} rotated: {}, {kind}, {length} of {}", self.name, self.rotates, stream.len());
        if self.meanwhile != Meanwhile::Flush {
            assert!(found.concat() == *stream, "{name}");
            return;
        }
        let holds = (0..found.len()).any(|cut| {
            let (before, after) = (found[..cut].concat(), found[cut..].concat());
            before.len() <= half && stream.starts_with(&before) && stream.ends_with(&after)
        });
        assert!(holds && length <= stream.len() && length + half >= stream.len(), "{name}, half {half}");
    }
}

/// How its app ends.
const ENDINGS: &[&str] = &["natural", "exit", "crash", "kill", "stop"];
const FORMS: &[&str] = &["raw", "time", "json", "combined"];

/// Cases that run at once.
struct Run {
    seed: u64,
    meanwhile: Meanwhile,
    forms: &'static [&'static str],
    endings: &'static [&'static str],
    n_lines: usize,
    /// Bytes of the longest line of each stream.
    longest: usize,
    /// Bytes of the largest write.
    largest: usize,
}

impl Run {
    /// Every second one is rotated; with the next seed, the others.
    fn cases(&self, random: &mut Random) -> Vec<Case> {
        let mut cases = Vec::new();
        for form in self.forms {
            for ending in self.endings {
                let place = ENDINGS.iter().position(|other| other == ending).unwrap();
                cases.push(Case {
                    name: format!("{form}-{ending}-{:?}", self.meanwhile),
                    form,
                    ending,
                    meanwhile: self.meanwhile,
                    rotates: (place as u64 + self.seed).is_multiple_of(2),
                    streams: ["o", "e"].map(|tag| lines(random, tag, self.n_lines, self.longest)),
                });
            }
        }
        cases
    }

    /// Apps that write, something that happens to their logs, and a look at these when all have ended.
    fn check(&self) {
        let (home, mut client) = daemon();
        let mut random = Random(self.seed | 1);
        let cases = self.cases(&mut random);
        for case in &cases {
            client.start(case.app(&home, &mut random, self.largest));
        }
        let halves: Vec<Vec<usize>> = cases
            .iter()
            .map(|case| {
                let path = case.folder(&home).join("half");
                eventually("half is written", || serde_json::from_slice(&fs::read(&path).ok()?).ok())
            })
            .collect();
        match self.meanwhile {
            Meanwhile::Flush => {
                for (case, kind) in
                    cases.iter().flat_map(|case| ["out", "error", "both"].map(|kind| (case, kind)))
                {
                    let log = case.log(&home, kind);
                    if log.exists() {
                        // As PM2's client empties it.
                        fs::write(log, "").unwrap();
                    }
                }
            }
            Meanwhile::Continue => drop(client.call("reloadLogs", json!({"rotate": true})).unwrap()),
            Meanwhile::Nothing | Meanwhile::Reload | Meanwhile::Upgrade => {}
        }
        for case in &cases {
            fs::write(case.folder(&home).join("go"), "").unwrap();
        }
        let mut writing: Vec<&Case> = cases.iter().collect();
        while !writing.is_empty() {
            match self.meanwhile {
                Meanwhile::Reload => drop(client.call("reloadLogs", json!({})).unwrap()),
                Meanwhile::Upgrade => {
                    home.upgrade(None).unwrap();
                    client = home.client();
                }
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
            writing.retain(|case| !case.folder(&home).join("done").exists());
        }
        for (id, (case, half)) in (0..).zip(cases.iter().zip(&halves)) {
            if case.ending == "stop" {
                client.call("stopProcessId", json!(id)).unwrap();
            }
            // From then on everything is in the files.
            let entry = client.until("it has ended", id, |entry| entry["pm2_env"]["status"] == "stopped");
            if case.rotates {
                self.wait_until_compressed(&home, case, &entry);
            }
            case.check(&home, &entry, half);
        }
    }

    fn wait_until_compressed(&self, home: &TestHome, case: &Case, entry: &Value) {
        let logs = ["out", "error", "both"].map(|kind| case.log(home, kind));
        let moved = ["pm_out_log_path", "pm_err_log_path", "pm_log_path"]
            .into_iter()
            .filter_map(|key| Some(PathBuf::from(entry["pm2_env"][key].as_str()?)));
        let logs: Vec<_> = logs.into_iter().chain(moved).collect();
        // A build that is not optimised takes its time for large ones.
        let deadline = Instant::now() + DEADLINE + Duration::from_millis(self.longest as u64 / 50);
        while logs.iter().flat_map(|log| rotated::list(log).unwrap()).any(|file| file.codec.is_none()) {
            assert!(Instant::now() < deadline, "{}: not all is compressed", case.name);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Cases that are small enough for every day.
fn run(seed: u64, meanwhile: Meanwhile, forms: &'static [&'static str]) {
    Run { seed, meanwhile, forms, endings: ENDINGS, n_lines: 100, longest: 100_000, largest: 5_000 }.check();
}

#[test]
fn streams_can_be_told_from_their_files() {
    run(11, Meanwhile::Nothing, FORMS);
}

#[test]
fn streams_can_be_told_from_files_that_are_emptied() {
    run(12, Meanwhile::Flush, &["raw", "json"]);
}

#[test]
fn streams_can_be_told_from_files_that_are_opened_anew() {
    run(13, Meanwhile::Reload, &["raw", "time"]);
}

#[test]
fn streams_can_be_told_from_files_with_numbers() {
    run(14, Meanwhile::Continue, &["raw", "json"]);
}

#[test]
fn streams_can_be_told_from_files_after_an_upgrade() {
    run(15, Meanwhile::Upgrade, &["time", "combined"]);
}

/// Every form with every ending, with everything that happens meanwhile, rotated and not: lines of 10 MB, writes of 1 byte
/// to 1 MiB.
#[test]
#[ignore = "takes minutes"]
fn many_streams_can_be_told_from_their_files() {
    let all =
        [Meanwhile::Nothing, Meanwhile::Flush, Meanwhile::Reload, Meanwhile::Continue, Meanwhile::Upgrade];
    for (seed, meanwhile) in [100, 101].into_iter().flat_map(|seed| all.map(|meanwhile| (seed, meanwhile))) {
        for form in FORMS {
            let start = Instant::now();
            // Beyond 64 MiB of lines that have begun, those in files with several writers would be torn.
            for endings in ENDINGS.chunks(3) {
                let forms = std::slice::from_ref(form);
                Run {
                    seed,
                    meanwhile,
                    forms,
                    endings,
                    n_lines: 400,
                    longest: 10_000_000,
                    largest: 1024 * 1024,
                }
                .check();
            }
            println!("{seed} {meanwhile:?} {form}: {:.1} s", start.elapsed().as_secs_f64());
        }
    }
}

#[test]
fn all_that_a_process_wrote_is_there_when_its_exit_is_told() {
    let (home, mut client) = daemon();
    let mut bus = Client::unix(&home.file("pub.sock"));
    client.start(home.sleeper("first"));
    subscribe(&mut client, &mut bus);
    for (id, ending) in
        (1..).zip(["process.exit(0)", "process.kill(process.pid, 'SIGKILL')", "throw new Error('end')"])
    {
        let name = format!("app-{id}");
        let mut app =
            home.node(&name, &format!("for (let n = 0; n < 30000; n++) console.log('line ' + n)\n{ending}"));
        app["autorestart"] = json!(false);
        client.call("prepare", app).unwrap();
        loop {
            let event = bus.event();
            if event.topic == Argument::Text("process:event".to_owned()) {
                let event: Value = serde_json::from_str(&event.packet).unwrap();
                if event["event"] == "exit" && event["process"]["pm_id"] == id {
                    break;
                }
            }
        }
        let log = fs::read_to_string(home.file(&format!("logs/{name}-out.log"))).unwrap();
        let expected: String = (0..30_000).map(|number| format!("line {number}\n")).collect();
        assert!(log == expected, "{ending}: {} lines", log.lines().count());
    }
}

// ---- faults ----

#[test]
fn a_fault_is_told_and_ends_by_itself() {
    let (home, mut client) = daemon();
    let mut bus = Client::unix(&home.file("pub.sock"));
    client.start(home.shell("app", "while :; do echo line; sleep 0.02; done"));
    subscribe(&mut client, &mut bus);
    let log = home.file("logs/app-out.log");
    until("it has written", || !read(&log).is_empty());
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    let told = hear(&mut bus, "pm2:log_error");
    assert_eq!(told["path"], log.to_str().unwrap());
    let entry = client
        .until("it is shown", 0, |entry| entry["pm2_env"]["log_errors"][0]["lost_bytes"].as_u64() > Some(0));
    let error = format!("EISDIR: illegal operation on a directory, open '{}'", log.display());
    assert_eq!(entry["pm2_env"]["log_errors"][0]["error"], error);
    assert!(home.log().contains(&format!("cannot write the log {}: {error}", log.display())));
    // A restart is no way out, and does not end the app.
    let restarted = client.call("restartProcessId", json!({"id": 0, "env": {}})).unwrap();
    assert_eq!(restarted["pm2_env"]["status"], "online");
    fs::remove_dir(&log).unwrap();
    assert_eq!(hear(&mut bus, "pm2:log_recovered")["path"], log.to_str().unwrap());
    until("it writes again", || read(&log).starts_with(b"line\n"));
    let entry = client.entry(0);
    assert_eq!(entry["pm2_env"].get("log_errors"), None);
    assert_eq!(entry["pm2_env"]["restart_time"], 1);
}

#[test]
fn a_full_disk_is_lived_with() {
    let home = TestHome::new();
    let disk = home.path("disk");
    fs::create_dir(&disk).unwrap();
    // A file system that this daemon alone has, seen from here through its own root.
    let script = r#"mount -t tmpfs -o size=1m none "$1" && exec "$0" daemon >> "$2" 2>&1"#;
    let mut command = home.command("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, EXECUTABLE]);
    let mut child = command.arg(&disk).arg(home.path("daemon.log")).stdin(Stdio::null()).spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    until("the daemon serves", || home.file("pm2.pid").exists() && home.file("rpc.sock").exists());
    let mut client = eventually("connecting", || {
        std::os::unix::net::UnixStream::connect(home.file("rpc.sock")).ok().map(|_| home.client())
    });
    let seen = PathBuf::from(format!("/proc/{pid}/root{}", disk.display()));

    let mut other = home.shell("other", "while :; do echo other; sleep 0.02; done");
    other["pm_out_log_path"] = json!(home.path("other.log"));
    client.start(other);
    let endless = r#"awk 'BEGIN { for (n = 0; ; n++) printf "%010d%089d\n", n, 0 }'"#;
    let mut app = home.shell("app", endless);
    app["pm_out_log_path"] = json!(disk.join("app.log"));
    client.start(app);
    let fault = |entry: &Value| entry["pm2_env"]["log_errors"][0].clone();
    let entry =
        client.until("the disk is full", 1, |entry| fault(entry)["lost_bytes"].as_u64() > Some(50_000_000));
    assert!(fault(&entry)["error"].as_str().unwrap().starts_with("ENOSPC: no space left on device, write '"));
    assert!(memory(pid) < 24 * 1024 * 1024, "{}", memory(pid));
    let before = read(&home.path("other.log")).len();
    until("the other app writes on", || read(&home.path("other.log")).len() > before + 30);
    assert_eq!(
        (&entry["pm2_env"]["status"], &entry["pm2_env"]["restart_time"]),
        (&json!("online"), &json!(0))
    );
    let first = read(&seen.join("app.log"));
    let whole_lines = &first[..first.iter().rposition(|byte| *byte == b'\n').unwrap() + 1];
    assert!(numbers_of(whole_lines) == (0..whole_lines.len() / 100).collect::<Vec<_>>());

    // Somebody makes room: writing goes on, with whole lines.
    fs::write(seen.join("app.log"), "").unwrap();
    until("it writes again", || home.log().contains(" works again, "));
    until("new lines are there", || read(&seen.join("app.log")).len() > 1000);
    let again = read(&seen.join("app.log"));
    let end = again.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let found = numbers_of(&again[..end]);
    assert!(found[0] > whole_lines.len() / 100);
    send(pid, Signal::SIGTERM).unwrap();
    child.wait().unwrap();
}

#[test]
fn a_file_that_cannot_be_written_harms_nobody() {
    let (home, mut client) = daemon();
    let mut app = home.shell("full", "while :; do echo line; sleep 0.02; done");
    app["pm_out_log_path"] = json!("/dev/full");
    client.start(app);
    let entry = client
        .until("it is shown", 0, |entry| entry["pm2_env"]["log_errors"][0]["lost_bytes"].as_u64() > Some(20));
    assert_eq!(entry["pm2_env"]["status"], "online");
    assert_eq!(home.log().matches("cannot write the log /dev/full: ENOSPC").count(), 1, "it is said once");
}

// ---- many ----

/// Writes the time, in epoch ms, a hundred times a second.
const CLOCK: &str = "
import os, time
while True:
    os.write(1, b'%d\\n' % (time.time() * 1000))
    time.sleep(0.01)
";

/// What is fair.
struct Fair {
    /// An app gets at least this part of an equal share of what is written, and at most so many of them.
    factor: u64,
    /// How soon a line of an app that writes little is dealt with, although all others want the processors as well: half of
    /// its lines, and all of them, in ms.
    half: i64,
    all: i64,
}

/// Apps that write as fast as they can, and one that writes little.
fn share_fairly(n_apps: u64, window: Duration, fair: &Fair) {
    // For dates without an offset.
    let (home, mut client) = daemon_of(TestHome::new().with("TZ", "UTC"));
    let path = home.path("clock.py");
    fs::write(&path, CLOCK).unwrap();
    let mut clock = home.app("clock", "python3", path.to_str().unwrap(), &[]);
    clock["log_date_format"] = json!("YYYY-MM-DDTHH:mm:ss.SSS");
    client.start(clock);
    for number in 0..n_apps {
        client.start(
            home.shell(&format!("app-{number}"), "exec yes 'a line of some length, for fifty of them'"),
        );
    }
    let sizes = || -> Vec<u64> {
        let path = |number| home.file(&format!("logs/app-{number}-out.log"));
        (0..n_apps).map(|number| fs::metadata(path(number)).map_or(0, |data| data.len())).collect()
    };
    until("all have written", || sizes().iter().all(|size| *size > 0));
    let (before, from) = (sizes(), SystemTime::now());
    std::thread::sleep(window);
    let (after, to) = (sizes(), SystemTime::now());
    for id in 0..=n_apps {
        client.call("stopProcessId", json!(id)).unwrap();
    }
    let written: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    let mean = written.iter().sum::<u64>() / n_apps;
    assert!(
        written.iter().all(|bytes| *bytes > mean / fair.factor && *bytes < mean * fair.factor),
        "{mean}: {written:?}"
    );

    let text = fs::read_to_string(home.file("logs/clock-out.log")).unwrap();
    let since = |time: SystemTime| {
        i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap()
    };
    let mut delays: Vec<i64> = text
        .lines()
        .map(|line| {
            let (dealt, written) = line.split_once(": ").unwrap();
            (ms_of_day(dealt), written.parse::<i64>().unwrap())
        })
        .filter(|(_, written)| (since(from)..since(to)).contains(written))
        .map(|(dealt, written)| (dealt - written).rem_euclid(DAY))
        .collect();
    delays.sort_unstable();
    assert!(delays.len() > 20, "{delays:?}");
    let (half, all) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    println!(
        "{n_apps} apps, {} MB each; lines of the other one: half within {half} ms, all within {all} ms",
        mean / 1_000_000
    );
    assert!(half <= fair.half && all <= fair.all, "{delays:?}");
}

const DAY: i64 = 24 * 3600 * 1000;

/// `…THH:mm:ss.SSS`
fn ms_of_day(date: &str) -> i64 {
    let (_, time) = date.split_once('T').unwrap();
    let fields: Vec<i64> = time.split([':', '.']).map(|field| field.parse().unwrap()).collect();
    ((fields[0] * 60 + fields[1]) * 60 + fields[2]) * 1000 + fields[3]
}

#[test]
fn chatty_apps_share_fairly() {
    share_fairly(20, Duration::from_millis(1500), &Fair { factor: 4, half: 250, all: 2500 });
}

#[test]
#[ignore = "writes gigabytes"]
fn fifty_chatty_apps_share_fairly() {
    share_fairly(49, Duration::from_secs(5), &Fair { factor: 2, half: 50, all: 500 });
}
