//! `note-time FILE`: adds the time, in ns since the epoch, as a line to a file, and goes on doing nothing. An app whose
//! own start costs as little as a start can.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, SystemTime};

fn main() -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
    let path = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("a file is needed"))?;
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(format!("{now}\n").as_bytes())?;
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
