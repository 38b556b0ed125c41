//! The last lines of a log, wherever they are: in the log itself, or in its rotated files, compressed or not.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use memchr::memchr_iter;

use super::rotated::{self, Codec, Rotated};

/// As many bytes are looked at, at most; a program must not grow by what it shows.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
const BLOCK: u64 = 64 * 1024;

/// The last lines, the oldest first, without their ends. A line that has not ended is left out, as by PM2 7.0.4,
/// specification `logs.md` §8. A log that does not exist has none.
///
/// # Errors
/// The log cannot be read. Rotated files that cannot be are passed over.
pub fn last_lines(log: &Path, count: usize) -> io::Result<Vec<Vec<u8>>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let (mut lines, identity) = match File::open(log) {
        Ok(file) if file.metadata()?.is_file() => {
            let metadata = file.metadata()?;
            (last_of_file(&file, count)?, Some((metadata.dev(), metadata.ino())))
        }
        Ok(_) => return Ok(Vec::new()),
        Err(error) if error.kind() == ErrorKind::NotFound => (VecDeque::new(), None),
        Err(error) => return Err(error),
    };
    for older in rotated::list(log).unwrap_or_default().iter().rev() {
        if lines.len() >= count {
            break;
        }
        // The log may have been rotated since it was read.
        let Ok(more) = last_of_rotated(older, count - lines.len(), identity) else { continue };
        for line in more.into_iter().rev() {
            lines.push_front(line);
        }
    }
    Ok(lines.into())
}

fn last_of_rotated(
    older: &Rotated,
    count: usize,
    known: Option<(u64, u64)>,
) -> io::Result<VecDeque<Vec<u8>>> {
    let (file, codec) = open(older)?;
    let metadata = file.metadata()?;
    if Some((metadata.dev(), metadata.ino())) == known {
        return Ok(VecDeque::new());
    }
    match codec {
        None => last_of_file(&file, count),
        Some(Codec::Gzip) => {
            last_of_stream(flate2::bufread::MultiGzDecoder::new(BufReader::new(file)), count)
        }
        Some(Codec::Zstd) => last_of_stream(zstd::Decoder::new(file)?, count),
    }
}

/// It may have been compressed since it was listed.
fn open(file: &Rotated) -> io::Result<(File, Option<Codec>)> {
    let missing = match File::open(&file.path) {
        Ok(opened) => return Ok((opened, file.codec)),
        Err(error) if error.kind() == ErrorKind::NotFound && file.codec.is_none() => error,
        Err(error) => return Err(error),
    };
    let compressed = |codec: Codec| {
        let mut path = file.path.clone().into_os_string();
        path.push(codec.suffix());
        File::open(PathBuf::from(path)).ok().map(|opened| (opened, Some(codec)))
    };
    compressed(Codec::Gzip).or_else(|| compressed(Codec::Zstd)).ok_or(missing)
}

/// Reads backwards until there are enough ends of lines.
fn last_of_file(file: &File, count: usize) -> io::Result<VecDeque<Vec<u8>>> {
    let length = file.metadata()?.len();
    let mut from = length;
    let mut blocks: VecDeque<Vec<u8>> = VecDeque::new();
    let mut n_ends = 0;
    // One more: the end of the line before.
    while from > 0 && n_ends <= count && length - from < MAX_BYTES {
        let size = BLOCK.min(from);
        from -= size;
        let mut block = vec![0; usize::try_from(size).unwrap_or_default()];
        file.read_exact_at(&mut block, from)?;
        n_ends += memchr_iter(b'\n', &block).count();
        blocks.push_front(block);
    }
    let text: Vec<u8> = blocks.into_iter().flatten().collect();
    let mut lines: VecDeque<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    // What follows the last end has none.
    lines.pop_back();
    if from > 0 && n_ends <= count {
        // Its beginning was not read.
        lines.pop_front();
    }
    lines.drain(..lines.len().saturating_sub(count));
    Ok(lines)
}

fn last_of_stream(stream: impl io::Read, count: usize) -> io::Result<VecDeque<Vec<u8>>> {
    let mut stream = BufReader::new(stream);
    let mut lines = VecDeque::new();
    let mut n_bytes = 0;
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line)? == 0 {
            return Ok(lines);
        }
        if line.pop() != Some(b'\n') {
            return Ok(lines);
        }
        n_bytes += line.len() as u64;
        lines.push_back(line);
        while lines.len() > count || (n_bytes > MAX_BYTES && lines.len() > 1) {
            n_bytes -= lines.pop_front().map_or(0, |line| line.len() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn texts(log: &Path, count: usize) -> Vec<String> {
        let lines = last_lines(log, count).unwrap();
        lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn lines_are_found_in_rotated_files() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a-out.log");
        assert_eq!(texts(&log, 5), [""; 0]);
        let put = |name: &str, bytes: &[u8], age: u64| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age);
            File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
        };
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"1\n2\n").unwrap();
        put("a-out__x.log.gz", &gzip.finish().unwrap(), 30);
        put("a-out__y.log.zst", &zstd::encode_all(&b"3\n4\n"[..], 1).unwrap(), 20);
        put("a-out__z.log", b"5\n6\n", 10);
        put("a-out__broken.log.gz", b"no gzip", 25);
        put("a-out.log", b"7\n\n9\nbegun", 0);
        assert_eq!(texts(&log, 2), ["", "9"]);
        assert_eq!(texts(&log, 4), ["6", "7", "", "9"]);
        assert_eq!(texts(&log, 7), ["3", "4", "5", "6", "7", "", "9"]);
        assert_eq!(texts(&log, 100), ["1", "2", "3", "4", "5", "6", "7", "", "9"]);
        assert_eq!(texts(&log, 0), [""; 0]);
    }

    #[test]
    fn long_lines_are_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        let long = "x".repeat(200_001);
        fs::write(&log, format!("first\n{long}\nlast\n")).unwrap();
        assert_eq!(texts(&log, 2), [long.as_str(), "last"]);
        assert_eq!(texts(&log, 3).len(), 3);
        fs::write(&log, "\n".repeat(100_000)).unwrap();
        assert_eq!(texts(&log, 70_000).len(), 70_000);
        assert!(last_lines(folder.path(), 3).unwrap().is_empty());
    }
}
