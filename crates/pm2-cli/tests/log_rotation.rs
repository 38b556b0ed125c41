//! Rotation of logs: whatever happens meanwhile, each line is there once, and each file within its bounds.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use pm2_core::logs::rotated;
use serde_json::{Value, json};
use support::logs::{numbered, numbers, numbers_again, numbers_of, read, seconds, wait_until_written, whole};
use support::{Client, DEADLINE, TestHome, until};

fn daemon() -> (TestHome, Client) {
    let home = TestHome::new();
    home.start();
    let client = home.client();
    (home, client)
}

/// A hundred rotations while lines come at that rate, MB/s: none is lost, none is doubled, none is cut. Gives the rate.
fn rotate_at(rate: usize, count: usize) -> f64 {
    let (home, mut client) = daemon();
    let max_size = count * 100 / 100;
    let settings = json!({"max_size": max_size, "retain": "all", "rotateInterval": ""});
    client.start(numbers(&home, "app", rate * 1_000_000, count, settings));
    wait_until_written(&home, count / (rate * 10_000));
    client.until_status(0, "stopped");
    let log = home.file("logs/app-out.log");
    let rotated = rotated::list(&log).unwrap();
    assert!(rotated.len() >= 99, "{} rotations", rotated.len());
    assert!(rotated.iter().all(|file| file.bytes <= max_size as u64));
    assert!(numbers_of(&whole(&log)) == (0..count).collect::<Vec<_>>());
    count as f64 / 10_000.0 / seconds(&home, "app")
}

#[test]
fn a_hundred_rotations_lose_nothing() {
    rotate_at(1000, 300_000);
}

#[test]
#[ignore = "takes a minute"]
fn a_hundred_rotations_at_every_rate_lose_nothing() {
    for (rate, count) in [(1, 200_000), (50, 5_000_000), (200, 5_000_000)] {
        let reached = rotate_at(rate, count);
        // Of the fastest one says the machine how fast it is.
        println!("asked for {rate} MB/s, written at {reached:.0} MB/s");
        assert!(rate == 200 || reached > rate as f64 * 0.8, "{reached}");
    }
}

/// A hundred rotations at that rate, bytes/s: at no time do the files have more bytes than they may.
fn stay_within_bounds(rate: usize, count: usize) {
    let (home, mut client) = daemon();
    let (max_size, max_total) = (count, 5 * count as u64);
    let settings = json!({"max_size": max_size, "retain": 5, "compress": true, "max_total_size": max_total, "rotateInterval": ""});
    client.start(numbers(&home, "app", rate, count, settings));
    let log = home.file("logs/app-out.log");
    let mut n_looks = 0;
    while client.entry(0)["pm2_env"]["status"] != "stopped" {
        let all = fs::read_dir(home.file("logs")).unwrap().flatten();
        let ours = all.filter(|entry| entry.file_name().to_str().unwrap().starts_with("app-out"));
        let total: u64 = ours.filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum();
        assert!(total <= max_total, "{total}");
        n_looks += 1;
    }
    assert!(n_looks > 3);
    until("all is compressed", || rotated::list(&log).unwrap().iter().all(|file| file.codec.is_some()));
    let rotated = rotated::list(&log).unwrap();
    assert!((1..=5).contains(&rotated.len()));
    let kept = numbers_of(&whole(&log));
    assert!(kept == (count - kept.len()..count).collect::<Vec<_>>(), "the last ones, without a gap");
}

#[test]
fn rotated_files_stay_within_their_bounds_while_they_are_written() {
    stay_within_bounds(20_000_000, 100_000);
}

#[test]
#[ignore = "takes a minute"]
fn rotated_files_stay_within_their_bounds_at_every_rate() {
    for (rate, count) in [(1, 200_000), (50, 5_000_000), (200, 5_000_000)] {
        stay_within_bounds(rate * 1_000_000, count);
    }
}

/// `tail -F` of a log from its beginning. Every line that it shows has to be the one after the line before.
struct Tail {
    tail: Child,
    n_seen: Arc<AtomicUsize>,
    reader: Option<JoinHandle<Result<(), String>>>,
}

impl Tail {
    /// After so many lines the numbers begin with 0 again.
    fn follow(log: &Path, n_different: usize) -> Tail {
        let mut command = Command::new("tail");
        command.args(["-n", "+1", "-F"]).arg(log).stdin(Stdio::null());
        let mut tail = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::with_capacity(100_000, tail.stdout.take().unwrap());
        let n_seen = Arc::new(AtomicUsize::new(0));
        let seen = n_seen.clone();
        let reader = std::thread::spawn(move || {
            let mut line = [0; 100];
            let mut count = 0;
            while lines.read_exact(&mut line).is_ok() {
                let expected = numbered(count % n_different);
                if line != expected.as_bytes() {
                    let line = String::from_utf8_lossy(&line);
                    return Err(format!("{line:?} is line {count}, not {expected:?}"));
                }
                count += 1;
                seen.store(count, Ordering::Relaxed);
            }
            Ok(())
        });
        Tail { tail, n_seen, reader: Some(reader) }
    }

    /// Waits until it has shown so many; all of them were right then.
    fn has_seen(&mut self, count: usize) {
        let reader = self.reader.take().unwrap();
        until("tail has seen all", || self.n_seen.load(Ordering::Relaxed) >= count || reader.is_finished());
        self.tail.kill().unwrap();
        assert_eq!(reader.join().unwrap(), Ok(()));
        assert_eq!(self.n_seen.load(Ordering::Relaxed), count);
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        drop(self.tail.kill());
        drop(self.tail.wait());
    }
}

/// While `tail -F` follows, that many rotations, so many ms after each other. That one reads the file it has open to its
/// end and then opens the path: of two rotations between these, it would miss a file, whoever rotates.
fn follow(rate: usize, interval: usize, n_rotations: usize) -> f64 {
    let (home, mut client) = daemon();
    let log = home.file("logs/app-out.log");
    let max_size = rate / 1000 * interval;
    let count = max_size / 100 * n_rotations + 1;
    // No multiple of a file: one that is missing is seen by the numbers.
    let n_different = count.min(777_777);
    let settings = json!({"max_size": max_size, "retain": 3, "rotateInterval": ""});
    fs::write(&log, "").unwrap();
    let mut tail = Tail::follow(&log, n_different);
    client.start(numbers_again(&home, "app", rate, count, n_different, settings));
    wait_until_written(&home, count * 100 / rate);
    client.until_status(0, "stopped");
    tail.has_seen(count);
    assert_eq!(read(&log).len(), 100, "all files but the last are full");
    assert_eq!(rotated::list(&log).unwrap().len(), 3);
    count as f64 * 100.0 / seconds(&home, "app")
}

#[test]
fn whoever_follows_a_rotated_log_sees_each_line_once() {
    follow(1_000_000, 200, 10);
}

#[test]
#[ignore = "takes minutes"]
fn whoever_follows_a_rotated_log_at_any_rate_sees_each_line_once() {
    for (rate, interval) in [(1_000_000, 250), (50_000_000, 250), (200_000_000, 500)] {
        let reached = follow(rate, interval, 100);
        println!("asked for {rate} bytes/s, written at {reached:.0}");
        assert!(rate == 200_000_000 || reached > rate as f64 * 0.8, "{reached}");
    }
}

#[test]
fn logs_that_are_opened_anew_again_and_again_are_rotated_without_loss() {
    let (home, mut client) = daemon();
    let count = 400_000;
    let settings = json!({"max_size": 100_000, "retain": "all", "rotateInterval": "", "compress": "zstd"});
    client.start(numbers(&home, "app", 1_000_000_000, count, settings));
    let mut n_reloads = 0;
    while !home.path("app.lines.seconds").exists() {
        client.call("reloadLogs", json!({})).unwrap();
        n_reloads += 1;
    }
    assert!(n_reloads > 10);
    client.until_status(0, "stopped");
    let log = home.file("logs/app-out.log");
    until("all is compressed", || rotated::list(&log).unwrap().iter().all(|file| file.codec.is_some()));
    assert!(numbers_of(&whole(&log)) == (0..count).collect::<Vec<_>>());
}

fn configure(home: &TestHome, settings: &Value) {
    fs::write(home.file("module_conf.json"), json!({"pm2-logrotate": settings}).to_string()).unwrap();
}

#[test]
fn logs_are_rotated_in_time_whoever_writes_to_them() {
    let (home, mut client) = daemon();
    let texts = [
        ("silent", "echo text"),
        ("stopped", "echo text"),
        ("empty", ":"),
        ("begun", "printf text"),
        ("spared", "echo text"),
    ];
    for (id, (name, text)) in (0..).zip(texts) {
        let mut app = home.shell(name, &format!("{text}\nwhile :; do [ -e go ] && break; sleep 0.1; done\n[ -e {name}.goes ] && echo ' end'; exec sleep 3600"));
        if name == "spared" {
            app["log_rotate"] = json!(false);
        }
        client.start(app);
        assert_eq!(client.entry(id)["name"], name);
    }
    let log = |name: &str| home.file(&format!("logs/{name}-out.log"));
    let n_rotated = |name: &str| rotated::list(&log(name)).unwrap().len();
    for name in ["silent", "stopped", "begun", "spared"] {
        until("it has written", || read(&log(name)).starts_with(b"text"));
    }
    client.call("stopProcessId", json!(1)).unwrap();
    // One that was only restored.
    let mut restored = home.sleeper("restored");
    restored["status"] = json!("stopped");
    restored.as_object_mut().unwrap().remove("instances");
    fs::write(log("restored"), "text\n").unwrap();
    client.call("prepare", restored).unwrap();
    assert_eq!(client.entry(5)["pm2_env"]["status"], "stopped");
    fs::write(home.file("logs/nobodys-out.log"), "text\n").unwrap();

    // Nobody writes any more.
    configure(&home, &json!({"rotateInterval": "* * * * * *", "retain": "all"}));
    client.call("reloadLogs", json!({})).unwrap();
    for name in ["silent", "stopped", "restored"] {
        until("it is rotated", || n_rotated(name) == 1);
        until("it goes on empty", || log(name).exists() && read(&log(name)).is_empty());
        assert_eq!(whole(&log(name)), b"text\n");
    }
    // Two more times have come when this one is there twice.
    for _ in 0..2 {
        fs::write(log("stopped"), "more\n").unwrap();
        until("it is rotated again", || read(&log("stopped")).is_empty());
    }
    assert_eq!(
        ["silent", "stopped", "restored", "empty", "begun", "spared", "nobodys"].map(n_rotated),
        [1, 3, 1, 0, 0, 0, 0]
    );
    assert!(
        rotated::list(&home.path("daemon.log")).unwrap().is_empty(),
        "the daemon's own is rotated by size only"
    );
    // It is not cut within a line.
    fs::write(home.path("begun.goes"), "").unwrap();
    fs::write(home.path("go"), "").unwrap();
    until("the line is over and rotated", || n_rotated("begun") == 1);
    assert_eq!(whole(&log("begun")), b"text end\n");
}

#[test]
fn settings_that_are_turned_on_hold_from_then_on() {
    let (home, mut client) = daemon();
    for name in ["large", "small"] {
        client.start(home.shell(
            name,
            &format!("echo {name}; [ {name} = large ] && head -c 5000 /dev/zero; echo; exec sleep 3600"),
        ));
    }
    let log = |name: &str| home.file(&format!("logs/{name}-out.log"));
    let n_rotated = |name: &str| rotated::list(&log(name)).unwrap().len();
    until("they have written", || read(&log("large")).len() > 5000 && read(&log("small")).len() > 5);
    // The second that comes next, and goes by before anybody wants to know.
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let next = now() + 1;
    let second = next % 60;
    until("it goes by", || now() > next);
    configure(&home, &json!({"rotateInterval": format!("{second} * * * * *"), "max_size": "4K"}));
    client.call("reloadLogs", json!({})).unwrap();
    until("the one that is too large is rotated", || n_rotated("large") == 1);
    // Whoever looks at all has looked at this one as well.
    configure(&home, &json!({"rotateInterval": format!("{second} * * * * *"), "max_size": "1"}));
    client.call("reloadLogs", json!({})).unwrap();
    until("now the other one is too large as well", || n_rotated("small") == 1);
    assert_eq!(n_rotated("large"), 1);
}

#[test]
#[ignore = "takes half a minute"]
fn settings_that_nobody_tells_of_are_seen() {
    let (home, mut client) = daemon();
    client.start(home.shell("app", "echo text; exec sleep 3600"));
    let log = home.file("logs/app-out.log");
    until("it has written", || read(&log) == b"text\n");
    configure(&home, &json!({"rotateInterval": "* * * * * *"}));
    let deadline = Instant::now() + Duration::from_secs(30) + DEADLINE;
    while rotated::list(&log).unwrap().is_empty() {
        assert!(Instant::now() < deadline, "it is not rotated");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn logs_whose_names_look_rotated_are_left_alone() {
    let (home, mut client) = daemon();
    let settings = json!({"max_size": 1000, "retain": 1, "compress": true, "rotateInterval": ""});
    let admin = |name: &str| {
        let mut app = home.shell(name, "echo admin");
        app["autorestart"] = json!(false);
        app["pm_out_log_path"] = json!(home.file("logs/web__admin.log"));
        app
    };
    client.start(admin("admin"));
    client.until_status(0, "stopped");
    fs::write(home.file("logs/web__admin__2020-01-01_00-00-00.log"), "old\n").unwrap();
    let mut web = numbers(&home, "app", 1_000_000, 100, settings);
    web["pm_out_log_path"] = json!(home.file("logs/web.log"));
    client.start(web);
    client.until_status(1, "stopped");
    until("all is compressed", || {
        home.file("logs/web.log").exists() && {
            let all = rotated::list(&home.file("logs/web.log")).unwrap();
            all.iter().filter(|file| file.codec.is_some()).count() == 1
        }
    });
    assert_eq!(read(&home.file("logs/web__admin.log")), b"admin\n");
    assert_eq!(read(&home.file("logs/web__admin__2020-01-01_00-00-00.log")), b"old\n");
}

#[test]
fn what_a_killed_daemon_was_about_to_compress_is_compressed() {
    let home = TestHome::new();
    let log = home.file("logs/app-out.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    let part = home.file("logs/app-out__2026-01-01_00-00-00.log.gz.part");
    let others = home.file("logs/app-out__2026-01-01_00-00-00.log.part");
    let half = home.file("logs/app-out__2026-01-01_00-00-00.log");
    for (path, text) in [(&log, "2\n"), (&part, "ha"), (&half, "1\n"), (&others, "")] {
        fs::write(path, text).unwrap();
    }
    home.start();
    let mut client = home.client();
    let mut app = home.sleeper("app");
    app["log_rotate"] = json!({"compress": true});
    client.start(app);
    until("it is compressed", || rotated::list(&log).unwrap().iter().all(|file| file.codec.is_some()));
    until("nothing is left behind", || !part.exists());
    assert_eq!((whole(&log).as_slice(), others.exists()), (&b"1\n2\n"[..], true));
}

#[test]
fn settings_of_pm2_logrotate_hold_for_all_apps() {
    let (home, mut client) = daemon();
    // Texts, as `pm2 set` writes them.
    configure(&home, &json!({"max_size": "1K", "retain": "2", "dateFormat": "YYYY", "compress": "false"}));
    client.start(numbers(&home, "all", 1_000_000, 50, Value::Null));
    client.start(numbers(&home, "own", 1_000_000, 50, json!({"retain": "all"})));
    client.start(numbers(&home, "spared", 1_000_000, 50, json!(false)));
    for id in 0..3 {
        client.until_status(id, "stopped");
    }
    let n_rotated = |name: &str| rotated::list(&home.file(&format!("logs/{name}-out.log"))).unwrap().len();
    assert_eq!(["all", "own", "spared"].map(n_rotated), [2, 4, 0]);
    let name = rotated::list(&home.file("logs/own-out.log")).unwrap().remove(0).path;
    let name = name.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(name.starts_with("own-out__20") && name.len() == "own-out__2026.log".len(), "{name}");

    // A change counts from the next second on; a pattern needs nobody to write.
    let shell = "echo one; while :; do sleep 0.1; [ -e go ] && break; done; echo two; exec sleep 3600";
    client.start(home.shell("slow", shell));
    let log = home.file("logs/slow-out.log");
    until("it has written", || read(&log) == b"one\n");
    configure(&home, &json!({"rotateInterval": "* * * * * *"}));
    client.call("reloadLogs", json!({})).unwrap();
    until("it is rotated", || read(&log).is_empty());
    fs::write(home.path("go"), "").unwrap();
    until("it is rotated again", || rotated::list(&log).unwrap().len() == 2);
    assert_eq!(whole(&log), b"one\ntwo\n");
}

#[test]
fn the_daemons_own_log_is_rotated_by_size() {
    let home = TestHome::new();
    // Where its standard output goes.
    let log = home.path("daemon.log");
    let home = home.with("PM2_LOG_FILE_PATH", &log);
    home.start();
    let mut client = home.client();
    let settings = json!({"pm2-logrotate": {"max_size": "2K", "retain": "all"}});
    fs::write(home.file("module_conf.json"), settings.to_string()).unwrap();
    client.start(home.sleeper("a"));
    for _ in 0..30 {
        client.call("restartProcessId", json!({"id": 0, "env": {}})).unwrap();
    }
    assert!(rotated::list(&log).unwrap().len() >= 2);
    let text = String::from_utf8(whole(&log)).unwrap();
    assert_eq!(text.matches("App [a:0] online").count(), 31);
    assert!(read(&log).len() < 3000);
}
