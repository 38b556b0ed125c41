//! From bytes of a stream to what a log file and the bus get: with a date before each line, or as one JSON record per
//! line.
//!
//! Lines are put together across chunks, so nothing is lost at a chunk's end and no character is cut. PM2 7.0.4 drops the
//! unterminated tail of a chunk and damages cut characters, specification `logs.md` §3; the written forms are the same
//! otherwise. The bytes behind a date are those of the app; in a record, what is no text is replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Local};
use memchr::memchr;
use pm2_core::date_format;
use serde_json::Value;

use crate::zone::Zone;

/// A line longer than this is written in pieces: only the first has a date, and only the last an end.
const MAX_LINE: usize = 16 * 1024 * 1024;
/// When all apps together have begun that much, lines are written in smaller pieces.
const MAX_TOTAL: usize = 64 * 1024 * 1024;
const SHORT_LINE: usize = 64 * 1024;

/// Bytes of lines that have not ended, of all streams together; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Begun(Arc<AtomicUsize>);

/// The share of one stream in that.
pub(super) struct Share {
    begun: Begun,
    own: usize,
}

impl Share {
    pub(super) fn of(begun: &Begun) -> Share {
        Share { begun: begun.clone(), own: 0 }
    }

    /// Has that many now. Whether these are too many.
    pub(super) fn set(&mut self, count: usize) -> bool {
        if count != self.own {
            self.begun.0.fetch_add(count.wrapping_sub(self.own), Ordering::Relaxed);
            self.own = count;
        }
        count > MAX_LINE || (count > SHORT_LINE && self.begun.0.load(Ordering::Relaxed) > MAX_TOTAL)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// How lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LineFormat {
    /// `<date>: <line>`, the date in the day.js format.
    Dated(String),
    /// `{"message","timestamp","type","process_id","app_name"}`.
    Json { date_format: Option<String>, process_id: u32, app_name: String },
}

/// Puts lines together.
pub(super) struct Assembler {
    format: LineFormat,
    zone: Zone,
    /// What follows the timestamp of a record.
    tail: String,
    pending: Pending,
    share: Share,
}

/// The line that has not ended yet.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) bytes: Vec<u8>,
    /// Its beginning has been written.
    pub(super) is_rest: bool,
}

impl Assembler {
    /// For one of the two streams, which may have begun a line already.
    pub(super) fn new(
        format: LineFormat,
        zone: Zone,
        is_error: bool,
        pending: Pending,
        begun: &Begun,
    ) -> Assembler {
        let tail = match &format {
            LineFormat::Dated(_) => String::new(),
            LineFormat::Json { process_id, app_name, .. } => format!(
                r#","type":"{}","process_id":{process_id},"app_name":{}}}"#,
                if is_error { "err" } else { "out" },
                Value::from(app_name.as_str())
            ),
        };
        let mut share = Share::of(begun);
        share.set(pending.bytes.len());
        Assembler { format, zone, tail, pending, share }
    }

    /// The line that has not ended, as it came.
    pub(super) fn into_pending(mut self) -> Pending {
        std::mem::take(&mut self.pending)
    }

    /// Takes a chunk and gives the text of the lines that it completes.
    pub(super) fn take(&mut self, bytes: &[u8], now: &DateTime<Local>) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 2);
        let mut date = None;
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            rest = after;
            if self.pending.bytes.is_empty() {
                self.push(&mut text, line, &mut date, now);
            } else {
                let mut begun = std::mem::take(&mut self.pending.bytes);
                begun.extend_from_slice(line);
                self.push(&mut text, &begun, &mut date, now);
            }
        }
        self.pending.bytes.extend_from_slice(rest);
        if self.share.set(self.pending.bytes.len()) {
            let mut piece = std::mem::take(&mut self.pending.bytes);
            self.pending.bytes = piece.split_off(piece.len() - incomplete_tail(&piece));
            self.push(&mut text, &piece, &mut date, now);
            self.share.set(self.pending.bytes.len());
        }
        text
    }

    /// The line that is left when the stream ends or the process is gone.
    pub(super) fn finish(&mut self, now: &DateTime<Local>) -> Vec<u8> {
        let mut text = Vec::new();
        let line = std::mem::take(&mut self.pending.bytes);
        self.share.set(0);
        let is_dated = matches!(self.format, LineFormat::Dated(_));
        if !line.is_empty() {
            self.push(&mut text, &line, &mut None, now);
        }
        if is_dated && self.pending.is_rest {
            // As PM2 does it.
            text.push(b'\n');
        }
        self.pending.is_rest = false;
        text
    }

    /// A line with its end, or a piece of one.
    fn push(&mut self, text: &mut Vec<u8>, line: &[u8], date: &mut Option<String>, now: &DateTime<Local>) {
        match &self.format {
            LineFormat::Dated(format) => {
                if !self.pending.is_rest {
                    let date = date.get_or_insert_with(|| self.date(format, now) + ": ");
                    text.extend_from_slice(date.as_bytes());
                }
                text.extend_from_slice(line);
            }
            LineFormat::Json { date_format, .. } => {
                let date = date.get_or_insert_with(|| {
                    let date = match date_format {
                        Some(format) => self.date(format, now),
                        None => now.to_utc().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
                    };
                    Value::from(date).to_string()
                });
                text.extend_from_slice(b"{\"message\":");
                // A vector takes everything.
                drop(serde_json::to_writer(&mut *text, &String::from_utf8_lossy(line)));
                text.extend_from_slice(b",\"timestamp\":");
                text.extend_from_slice(date.as_bytes());
                text.extend_from_slice(self.tail.as_bytes());
                text.push(b'\n');
            }
        }
        self.pending.is_rest = line.last() != Some(&b'\n');
    }

    fn date(&self, format: &str, now: &DateTime<Local>) -> String {
        match &self.zone {
            Zone::Local => date_format::format(format, now),
            zone => date_format::format(format, &zone.at(now)),
        }
    }
}

/// How many bytes at the end begin a character that is not complete.
pub(super) fn incomplete_tail(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(3))
        .find(|back| bytes[bytes.len() - back] & 0b1100_0000 != 0b1000_0000)
        .filter(|back| {
            let width = match bytes[bytes.len() - back] {
                0xf0..=0xf4 => 4,
                0xe0..=0xef => 3,
                0xc2..=0xdf => 2,
                _ => 1,
            };
            width > *back
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assembler(format: LineFormat, is_error: bool, pending: &[u8]) -> Assembler {
        let pending = Pending { bytes: pending.to_vec(), is_rest: false };
        Assembler::new(format, Zone::Local, is_error, pending, &Begun::default())
    }

    fn dated() -> Assembler {
        assembler(LineFormat::Dated("[D]".to_owned()), false, b"")
    }

    fn json() -> Assembler {
        let format = LineFormat::Json {
            date_format: Some("[T]".to_owned()),
            process_id: 3,
            app_name: "a\"b".to_owned(),
        };
        assembler(format, true, b"w")
    }

    fn all(assembler: &mut Assembler, chunks: &[&[u8]]) -> Vec<u8> {
        let now = Local::now();
        let mut text: Vec<u8> = chunks.iter().flat_map(|chunk| assembler.take(chunk, &now)).collect();
        text.extend(assembler.finish(&now));
        text
    }

    #[test]
    fn every_line_gets_the_date_once_whatever_the_chunks() {
        let text =
            all(&mut dated(), &[b"par", b"tial\nsecond", b" end\n", b"a\nb\n\nc\n", b"\xff\r\nno newline"]);
        let expected: &[u8] = b"D: partial\nD: second end\nD: a\nD: b\nD: \nD: c\nD: \xff\r\nD: no newline\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_record_per_line() {
        let text = String::from_utf8(all(&mut json(), &[b"x\n\xff\r\ny"])).unwrap();
        let record = |message: &str| {
            format!(
                r#"{{"message":"{message}","timestamp":"T","type":"err","process_id":3,"app_name":"a\"b"}}"#
            ) + "\n"
        };
        assert_eq!(text, record("wx\\n") + &record("\u{fffd}\\r\\n") + &record("y"));
    }

    #[test]
    fn a_line_without_end_is_written_in_pieces() {
        let line = "ä".repeat(MAX_LINE);
        let mut with_end = line.clone().into_bytes();
        with_end.push(b'\n');
        let chunks: Vec<&[u8]> = with_end.chunks(999_999).collect();
        let text = String::from_utf8(all(&mut dated(), &chunks)).unwrap();
        assert!(text == format!("D: {line}\n"), "one date, one end, nothing in between");
        let begun = Begun::default();
        let mut share = Share::of(&begun);
        assert!(share.set(MAX_LINE + 1) && !share.set(SHORT_LINE + 1));
        let mut others = Share::of(&begun);
        others.set(MAX_TOTAL);
        assert!(share.set(SHORT_LINE + 1) && !share.set(SHORT_LINE));
        drop(others);
        assert!(!share.set(SHORT_LINE + 1));
    }

    proptest! {
        #[test]
        fn the_stream_can_be_told_from_the_text(stream in "([^\n]{0,40}\r?\n){0,20}[^\n]{0,9}", cut in 1_usize..9) {
            let chunks: Vec<&[u8]> = stream.as_bytes().chunks(cut).collect();
            let text = String::from_utf8(all(&mut dated(), &chunks)).unwrap();
            let mut found = String::new();
            for line in text.split_inclusive('\n') {
                prop_assert!(line.starts_with("D: "));
                found.push_str(&line[3..]);
            }
            // Only that end is added.
            let ended = stream.is_empty() || stream.ends_with('\n');
            prop_assert_eq!(&found, &(stream.clone() + if ended { "" } else { "\n" }));

            let text = String::from_utf8(all(&mut json(), &chunks)).unwrap();
            let messages: String = text
                .lines()
                .map(|record| serde_json::from_str::<Value>(record).unwrap()["message"].as_str().unwrap().to_owned())
                .collect();
            prop_assert_eq!(messages, format!("w{stream}"));
        }
    }

    #[test]
    fn characters_are_not_cut() {
        for (bytes, expected) in [
            ("aé".as_bytes(), 0),
            (&"aé".as_bytes()[..2], 1),
            (&"€".as_bytes()[..1], 1),
            (&"€".as_bytes()[..2], 2),
            (&"😀".as_bytes()[..3], 3),
            (b"\xff", 0),
            (b"\x80\x80\x80\x80", 0),
            (b"", 0),
        ] {
            assert_eq!(incomplete_tail(bytes), expected, "{bytes:?}");
        }
    }
}
