//! What happens to rotated files: too old ones are removed at once, the others are compressed on a thread of their own
//! that lives as long as it has something to do.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use pm2_core::logs::rotated::{self, Codec, Rotated};

use super::registry::KnownLogs;
use super::rotation::Plan;
use crate::journal::Journal;
use crate::sys::leave_signals_to_others;

/// What is being written has this behind its name.
const PART: &str = ".part";

/// Looks after rotated files; cheap to clone.
#[derive(Clone)]
pub(super) struct Archive {
    journal: Journal,
    /// What may look like a rotated file, but is a log.
    known: Arc<KnownLogs>,
    work: Arc<Mutex<Work>>,
    /// Held while files are removed or take the place of others: what was removed must not come back.
    changing: Arc<Mutex<()>>,
}

#[derive(Default)]
struct Work {
    /// Logs whose rotated files are to be compressed.
    logs: Vec<Uncompressed>,
    is_running: bool,
}

/// A log, where it is behind links, and how its rotated files are compressed.
struct Uncompressed {
    log: PathBuf,
    real: PathBuf,
    codec: Codec,
}

impl Archive {
    pub(super) fn new(journal: Journal, known: Arc<KnownLogs>) -> Archive {
        Archive { journal, known, work: Arc::default(), changing: Arc::default() }
    }

    /// Removes what the plan does not keep, and has the rest compressed. `real` is where the log is, behind links.
    pub(super) fn tend(&self, log: &Path, real: &Path, plan: &Plan) {
        if plan.retain.is_none() && plan.max_total.is_none() && plan.compress.is_none() {
            return;
        }
        let (compresses, failures) = self.remove_surplus(log, real, plan);
        if let (true, Some(codec)) = (compresses, plan.compress) {
            self.compress(log, real, codec);
        }
        for failure in failures {
            self.journal.error(failure);
        }
    }

    /// Goes on with what an earlier daemon, or another image of this one, was about to compress.
    pub(super) fn resume(&self, log: &Path, codec: Codec) {
        let real = fs::canonicalize(log).unwrap_or_else(|_| log.to_owned());
        self.compress(log, &real, codec);
    }

    /// Whether something is left to compress, and what went wrong.
    fn remove_surplus(&self, log: &Path, real: &Path, plan: &Plan) -> (bool, Vec<String>) {
        let _alone = self.changing.lock();
        let rotated = match self.list(log, real) {
            Ok(rotated) => rotated,
            Err(error) => {
                return (false, vec![format!("cannot list the rotated files of {}: {error}", log.display())]);
            }
        };
        let (surplus, kept) = rotated.split_at(surplus(&rotated, plan));
        let failures = surplus.iter().filter_map(|file| match fs::remove_file(&file.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Some(format!("cannot remove {}: {error}", file.path.display()))
            }
            _ => None,
        });
        (kept.iter().any(|file| file.codec.is_none()), failures.collect())
    }

    /// The rotated files of a log. Those that belong to another log whose name begins like theirs do not come.
    fn list(&self, log: &Path, real: &Path) -> io::Result<Vec<Rotated>> {
        let looks_rotated = |path: &Path| path.parent() == log.parent() && rotated::is_of(log, path);
        let others = self.known.paths(looks_rotated);
        let mut rotated = rotated::list(real)?;
        rotated.retain(|file| {
            let is_of = |other: &PathBuf| {
                other.file_name() == file.path.file_name() || rotated::is_of(other, &file.path)
            };
            !others.iter().any(is_of)
        });
        Ok(rotated)
    }

    fn compress(&self, log: &Path, real: &Path, codec: Codec) {
        let mut work = self.work.lock();
        if !work.logs.iter().any(|waiting| waiting.real == real) {
            work.logs.push(Uncompressed { log: log.to_owned(), real: real.to_owned(), codec });
        }
        if work.is_running {
            return;
        }
        work.is_running = true;
        let archive = self.clone();
        let thread = std::thread::Builder::new().name("archive".to_owned()).stack_size(512 * 1024);
        let started = thread.spawn(move || {
            leave_signals_to_others();
            archive.run();
        });
        if let Err(error) = started {
            work.is_running = false;
            drop(work);
            self.journal.error(format_args!("cannot compress rotated logs: {error}"));
        }
    }

    fn run(&self) {
        loop {
            let next = {
                let mut work = self.work.lock();
                match work.logs.pop() {
                    Some(next) => next,
                    None => {
                        work.is_running = false;
                        return;
                    }
                }
            };
            let Uncompressed { log, real, codec } = next;
            // Nobody else writes such files: whoever did was killed.
            for part in rotated::parts(&real, PART).unwrap_or_default() {
                drop(fs::remove_file(part));
            }
            // The newest first: the others are closer to their removal.
            for file in self.list(&log, &real).unwrap_or_default().into_iter().rev() {
                if file.codec.is_some() {
                    continue;
                }
                match compress(&file.path, codec, &self.changing) {
                    Ok(()) => {}
                    // Removed meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        self.journal.error(format_args!("cannot compress {}: {error}", file.path.display()));
                        break;
                    }
                }
            }
        }
    }
}

/// How many of the oldest have to go. What is compressed has to fit in twice for a while.
fn surplus(rotated: &[Rotated], plan: &Plan) -> usize {
    let by_count = plan.retain.map_or(0, |retain| rotated.len().saturating_sub(retain));
    let Some(max_total) = plan.max_total else { return by_count };
    let reserved = if plan.compress.is_some() { 2 * plan.max_size } else { plan.max_size };
    let room = max_total.saturating_sub(reserved);
    let mut total: u64 = rotated[by_count..].iter().map(|file| file.bytes).sum();
    let by_size = rotated[by_count..]
        .iter()
        .take_while(|file| {
            let is_over = total > room;
            total -= file.bytes;
            is_over
        })
        .count();
    by_count + by_size
}

/// Puts a compressed file of the same age, owner and mode in the place of this one.
fn compress(path: &Path, codec: Codec, changing: &Mutex<()>) -> io::Result<()> {
    let with_suffix =
        |suffix: &str| PathBuf::from([path.as_os_str(), suffix.as_ref()].join(std::ffi::OsStr::new("")));
    let target = with_suffix(codec.suffix());
    let part = with_suffix(&format!("{}{PART}", codec.suffix()));
    let source = File::open(path)?;
    let metadata = source.metadata()?;
    let written = (|| {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        let file = write(source, file, codec)?;
        file.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o777))?;
        // Only root may, and only then it matters.
        drop(std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid())));
        file.set_modified(metadata.modified()?)?;
        file.sync_all()?;
        let _alone = changing.lock();
        // Removed while it was read: it was one too many.
        path.symlink_metadata()?;
        fs::rename(&part, &target)?;
        fs::remove_file(path)
    })();
    written.inspect_err(|_| {
        // There is nothing else to do about it.
        drop(fs::remove_file(&part));
    })
}

fn write(mut source: File, target: File, codec: Codec) -> io::Result<File> {
    match codec {
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(target, flate2::Compression::best());
            copy(&mut source, &mut encoder)?;
            encoder.finish()
        }
        Codec::Zstd => {
            let mut encoder = zstd::Encoder::new(target, 9)?;
            encoder.include_checksum(true)?;
            copy(&mut source, &mut encoder)?;
            encoder.finish()
        }
    }
}

fn copy(source: &mut impl Read, target: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(()),
            count => target.write_all(&buffer[..count])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use chrono::Local;
    use serde_json::json;

    use super::*;

    fn plan(settings: serde_json::Value) -> Plan {
        Plan::read(settings.as_object().unwrap(), &Local::now()).0
    }

    fn files(sizes: &[u64]) -> Vec<Rotated> {
        let file =
            |bytes| Rotated { path: PathBuf::new(), codec: None, bytes, modified: SystemTime::UNIX_EPOCH };
        sizes.iter().copied().map(file).collect()
    }

    #[test]
    fn the_oldest_go_first() {
        let check =
            |sizes: &[u64], settings, expected| assert_eq!(surplus(&files(sizes), &plan(settings)), expected);
        check(&[1, 1, 1], json!({}), 0);
        check(&[1, 1, 1], json!({"retain": 2}), 1);
        check(&[1, 1, 1], json!({"retain": 0}), 3);
        check(&[1, 1, 1], json!({"retain": "all"}), 0);
        check(&[9, 8, 7], json!({"max_size": 10, "max_total_size": 40}), 0);
        check(&[9, 8, 7], json!({"max_size": 10, "max_total_size": 30}), 1);
        check(&[9, 8, 7], json!({"max_size": 10, "max_total_size": 30, "compress": true}), 2);
        check(&[9, 8, 7], json!({"max_size": 10, "max_total_size": 9}), 3);
        check(&[9, 8, 7], json!({"max_size": 10, "max_total_size": 30, "retain": 1}), 2);
    }

    #[test]
    fn a_compressed_file_takes_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let text = "line\n".repeat(100_000);
        let then = SystemTime::now() - Duration::from_secs(3600);
        for codec in [Codec::Gzip, Codec::Zstd] {
            let path = folder.path().join("a__x.log");
            fs::write(&path, &text).unwrap();
            File::options().append(true).open(&path).unwrap().set_modified(then).unwrap();
            compress(&path, codec, &Mutex::default()).unwrap();
            assert!(!path.exists());
            let found = rotated::list(&folder.path().join("a.log")).unwrap();
            let found = found.iter().find(|file| file.codec == Some(codec)).unwrap();
            assert_eq!(found.modified, then);
            assert!(found.bytes < 10_000);
            let mut read = Vec::new();
            let file = File::open(&found.path).unwrap();
            match codec {
                Codec::Gzip => flate2::read::GzDecoder::new(file).read_to_end(&mut read).unwrap(),
                Codec::Zstd => zstd::Decoder::new(file).unwrap().read_to_end(&mut read).unwrap(),
            };
            assert_eq!(read, text.as_bytes());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(
            compress(&folder.path().join("gone"), Codec::Gzip, &Mutex::default()).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
