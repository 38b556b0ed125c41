//! What is in log files, and apps that write numbered lines.

use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use pm2_core::logs::rotated::{self, Codec};
use serde_json::{Value, json};

use super::{DEADLINE, TestHome};

pub(crate) fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_default()
}

/// What is in a rotated file.
pub(crate) fn unpacked(file: &rotated::Rotated) -> Vec<u8> {
    let bytes = fs::read(&file.path).unwrap();
    let mut text = Vec::new();
    match file.codec {
        None => text = bytes,
        Some(Codec::Gzip) => {
            flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
        }
        Some(Codec::Zstd) => text = zstd::decode_all(&bytes[..]).unwrap(),
    }
    text
}

/// What is in each of the rotated files of a log, the oldest first, and in itself. Nobody may be writing or compressing.
pub(crate) fn all_files(log: &Path) -> Vec<Vec<u8>> {
    rotated::list(log).unwrap().iter().map(unpacked).chain([read(log)]).collect()
}

/// Everything of a log in one.
pub(crate) fn whole(log: &Path) -> Vec<u8> {
    all_files(log).concat()
}

/// Writes a file again and again until it has written so many bytes, so many of them per second.
const PLAYER: &str = "
import os, sys, time
rate, left, start, total = int(sys.argv[2]), int(sys.argv[3]), time.time(), 0
with open(sys.argv[1], 'rb', buffering=0) as file:
    while left:
        piece = file.read(min(65536, max(100, rate // 50), left))
        left -= len(piece)
        if not piece:
            file.seek(0)
        while piece:
            count = os.write(1, piece)
            piece, total = piece[count:], total + count
        ahead = total / rate - (time.time() - start)
        if ahead > 0.005:
            time.sleep(ahead)
with open(sys.argv[1] + '.seconds', 'w') as file:
    file.write(str(time.time() - start))
";

/// A line with its number, 100 bytes.
pub(crate) fn numbered(number: usize) -> String {
    format!("{number:010}{}\n", "x".repeat(89))
}

/// An app that writes so many numbered lines, so many bytes per second.
pub(crate) fn numbers(home: &TestHome, name: &str, rate: usize, count: usize, settings: Value) -> Value {
    numbers_again(home, name, rate, count, count, settings)
}

/// The same; after so many lines it begins with 0 again.
pub(crate) fn numbers_again(
    home: &TestHome,
    name: &str,
    rate: usize,
    count: usize,
    n_different: usize,
    settings: Value,
) -> Value {
    let (path, lines) = (home.path("player.py"), home.path(&format!("{name}.lines")));
    fs::write(&path, PLAYER).unwrap();
    let mut file = BufWriter::new(fs::File::create(&lines).unwrap());
    (0..n_different).for_each(|number| file.write_all(numbered(number).as_bytes()).unwrap());
    file.into_inner().unwrap();
    let arguments = [lines.to_str().unwrap(), &rate.to_string(), &(100 * count).to_string()];
    let mut app = home.app(name, "python3", path.to_str().unwrap(), &arguments);
    app["autorestart"] = json!(false);
    app["log_rotate"] = settings;
    app
}

/// Waits until an app has written all its lines, which takes it so many seconds at least.
pub(crate) fn wait_until_written(home: &TestHome, seconds: usize) {
    let deadline = Instant::now() + 3 * Duration::from_secs(seconds as u64) + DEADLINE;
    while !home.path("app.lines.seconds").exists() {
        assert!(Instant::now() < deadline, "not all is written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How long it took.
pub(crate) fn seconds(home: &TestHome, name: &str) -> f64 {
    fs::read_to_string(home.path(&format!("{name}.lines.seconds"))).unwrap().parse().unwrap()
}

/// The numbers of the lines; each of these must be whole.
#[track_caller]
pub(crate) fn numbers_of(text: &[u8]) -> Vec<usize> {
    assert!(text.is_empty() || text.ends_with(b"\n"));
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines
        .map(|line| {
            assert_eq!(line.len(), 100, "{:?}", String::from_utf8_lossy(line));
            std::str::from_utf8(&line[..10]).unwrap().parse().unwrap()
        })
        .collect()
}
