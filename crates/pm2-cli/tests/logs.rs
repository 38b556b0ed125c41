//! Logs: every byte that an app writes is in its files once, whatever happens meanwhile.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pm2_core::logs::rotated;
use pm2_core::protocol::Argument;
use serde_json::{Value, json};
use support::logs::{numbers_of, read, whole};
use support::upgrade::hear;
use support::{Client, DEADLINE, EXECUTABLE, Random, TestHome, eventually, memory, send, subscribe, until};

fn daemon() -> (TestHome, Client) {
    let home = TestHome::new();
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
        let from = text.len();
        while text.len() - from < length {
            text.push_str(alphabet[random.below(alphabet.len())]);
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

#[derive(Debug, Clone, Copy, PartialEq)]
enum Meanwhile {
    Nothing,
    Flush,
    Reload,
    Continue,
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

    fn check(&self, home: &TestHome, entry: &Value, half: &[usize]) {
        let form = if self.form == "combined" { "raw" } else { self.form };
        let paths = ["pm_out_log_path", "pm_err_log_path"].map(|key| entry["pm2_env"][key].as_str().unwrap());
        for ((stream, kind), (path, half)) in
            self.streams.iter().zip(["out", "error"]).zip(paths.iter().zip(half))
        {
            let mut file = whole(&self.log(home, kind));
            if self.meanwhile == Meanwhile::Continue {
                assert_ne!(*path, self.log(home, kind).to_str().unwrap());
                file.extend(whole(Path::new(path)));
            }
            let mut found = written(form, &file);
            if form == "time" && stream.last() != Some(&b'\n') {
                assert_eq!(found.pop(), Some(b'\n'), "the last line gets an end");
            }
            match self.meanwhile {
                Meanwhile::Flush => {
                    assert!(found.len() >= stream.len() - half, "{}: {} of {kind}", self.name, found.len());
                    assert!(stream.ends_with(&found), "{}: {kind}", self.name);
                }
                _ => assert!(found == *stream, "{}: {kind}, {} of {}", self.name, found.len(), stream.len()),
            }
        }
        if self.form == "combined" && !matches!(self.meanwhile, Meanwhile::Flush | Meanwhile::Continue) {
            let both = whole(&self.log(home, "both"));
            for (tag, stream) in [b'o', b'e'].iter().zip(&self.streams) {
                let lines =
                    both.split_inclusive(|byte| *byte == b'\n').filter(|line| line.first() == Some(tag));
                let mut found = lines.collect::<Vec<_>>().concat();
                if stream.last() != Some(&b'\n') && found.last() == Some(&b'\n') {
                    found.pop();
                }
                assert!(found == *stream, "{}: combined", self.name);
            }
        }
    }
}

/// Runs all cases at once: apps that write, and in the middle something happens to their logs.
fn run(
    seed: u64,
    meanwhile: Meanwhile,
    forms: &[&'static str],
    n_lines: usize,
    longest: usize,
    largest: usize,
) {
    let (home, mut client) = daemon();
    let mut random = Random(seed | 1);
    let mut cases = Vec::new();
    for form in forms.iter().copied() {
        for (ending, rotates) in
            [("natural", false), ("exit", true), ("crash", false), ("kill", true), ("stop", false)]
        {
            let name = format!("{form}-{ending}-{meanwhile:?}");
            let streams = ["o", "e"].map(|tag| lines(&mut random, tag, n_lines, longest));
            cases.push(Case { name, form, ending, meanwhile, rotates, streams });
        }
    }
    for case in &cases {
        client.start(case.app(&home, &mut random, largest));
    }
    let halves: Vec<Vec<usize>> = cases
        .iter()
        .map(|case| {
            let path = case.folder(&home).join("half");
            eventually("half is written", || serde_json::from_slice(&fs::read(&path).ok()?).ok())
        })
        .collect();
    match meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::Flush => {
            for case in &cases {
                for kind in ["out", "error"] {
                    for file in rotated::list(&case.log(&home, kind)).unwrap() {
                        // It may be being compressed.
                        drop(fs::remove_file(file.path));
                    }
                    // As PM2's client empties it.
                    fs::write(case.log(&home, kind), "").unwrap();
                }
            }
        }
        Meanwhile::Reload => drop(client.call("reloadLogs", json!({})).unwrap()),
        Meanwhile::Continue => drop(client.call("reloadLogs", json!({"rotate": true})).unwrap()),
        Meanwhile::Upgrade => {
            home.upgrade(None).unwrap();
            client = home.client();
        }
    }
    for case in &cases {
        fs::write(case.folder(&home).join("go"), "").unwrap();
    }
    for (id, (case, half)) in (0..).zip(cases.iter().zip(&halves)) {
        if case.ending == "stop" {
            until("all is written", || case.folder(&home).join("done").exists());
            client.call("stopProcessId", json!(id)).unwrap();
        }
        // From then on everything is in the files.
        let entry = client.until("it has ended", id, |entry| entry["pm2_env"]["status"] == "stopped");
        let is_compressed = || {
            let logs = ["out", "error", "both"].map(|kind| case.log(&home, kind));
            let moved = ["pm_out_log_path", "pm_err_log_path"]
                .map(|key| PathBuf::from(entry["pm2_env"][key].as_str().unwrap()));
            let rotated = logs.iter().chain(&moved).flat_map(|log| rotated::list(log).unwrap());
            !case.rotates || rotated.into_iter().all(|file| file.codec.is_some())
        };
        // A build that is not optimised takes its time for large ones.
        let deadline = Instant::now() + DEADLINE + Duration::from_millis(longest as u64 / 50);
        while !is_compressed() {
            assert!(Instant::now() < deadline, "{}: not all is compressed", case.name);
            std::thread::sleep(Duration::from_millis(5));
        }
        if meanwhile != Meanwhile::Flush || !case.rotates {
            case.check(&home, &entry, half);
        }
    }
}

const FORMS: &[&str] = &["raw", "time", "json", "combined"];

#[test]
fn streams_can_be_told_from_their_files() {
    run(11, Meanwhile::Nothing, FORMS, 150, 300_000, 20_000);
}

#[test]
fn streams_can_be_told_from_files_that_are_emptied() {
    run(12, Meanwhile::Flush, &["raw", "json"], 100, 100_000, 5_000);
}

#[test]
fn streams_can_be_told_from_files_that_are_opened_anew() {
    run(13, Meanwhile::Reload, &["raw", "time"], 100, 100_000, 5_000);
}

#[test]
fn streams_can_be_told_from_files_with_numbers() {
    run(14, Meanwhile::Continue, &["raw", "json"], 100, 100_000, 5_000);
}

#[test]
fn streams_can_be_told_from_files_after_an_upgrade() {
    run(15, Meanwhile::Upgrade, &["time", "combined"], 100, 100_000, 5_000);
}

#[test]
#[ignore = "takes minutes"]
fn many_streams_can_be_told_from_their_files() {
    let all =
        [Meanwhile::Nothing, Meanwhile::Flush, Meanwhile::Reload, Meanwhile::Continue, Meanwhile::Upgrade];
    for seed in 100..102 {
        for meanwhile in all {
            for form in FORMS {
                // Ten streams at once; beyond 64 MiB of begun lines those in files with several writers are torn.
                let longest = if *form == "combined" { 5_000_000 } else { 10_000_000 };
                run(seed, meanwhile, &[form], 400, longest, 1024 * 1024);
            }
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

#[test]
fn chatty_apps_share_fairly() {
    let (home, mut client) = daemon();
    let n_apps = 20;
    let start = Instant::now();
    for number in 0..n_apps {
        client.start(
            home.shell(&format!("app-{number}"), "exec yes 'a line of some length, for fifty of them'"),
        );
    }
    let sizes = || -> Vec<u64> {
        let path = |number| home.file(&format!("logs/app-{number}-out.log"));
        (0..n_apps).map(|number| fs::metadata(path(number)).map_or(0, |data| data.len())).collect()
    };
    // All run from here on.
    let before = sizes();
    std::thread::sleep(start.elapsed().max(Duration::from_millis(1500)));
    let written: Vec<u64> = sizes().iter().zip(&before).map(|(now, before)| now - before).collect();
    client.call("stopProcessId", json!("all")).unwrap_err();
    for id in 0..n_apps {
        client.call("stopProcessId", json!(id)).unwrap();
    }
    let mean = written.iter().sum::<u64>() / n_apps;
    assert!(written.iter().all(|bytes| *bytes > mean / 4 && *bytes < mean * 4), "{written:?}");
}
