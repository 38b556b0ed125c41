//! From bytes of a stream to what a log file and the bus get: unchanged, with a date before each
//! line, or as one JSON record per line.
//!
//! Lines are put together across chunks, so nothing is lost at a chunk's end and no character is
//! cut. PM2 7.0.4 drops the unterminated tail of a chunk and damages cut characters, specification
//! `logs.md` §3; the written forms are the same otherwise.

use chrono::{DateTime, Local};

use crate::date_format;

/// A line longer than this is written in pieces.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// How lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LineFormat {
    /// `<date>: <line>`, the date in the day.js format.
    Dated(String),
    /// `{"message","timestamp","type","process_id","app_name"}`.
    Json { date_format: Option<String>, process_id: u32, app_name: String },
}

/// Puts lines together.
pub(crate) struct Assembler {
    format: LineFormat,
    /// `out` or `err`.
    kind: &'static str,
    /// The line that has not ended yet.
    pending: Vec<u8>,
}

impl Assembler {
    /// For one of the two streams, which may have begun a line already.
    pub(crate) fn new(format: LineFormat, is_error: bool, pending: Vec<u8>) -> Assembler {
        Assembler { format, kind: if is_error { "err" } else { "out" }, pending }
    }

    /// The line that has not ended, as it came.
    pub(crate) fn into_pending(self) -> Vec<u8> {
        self.pending
    }

    /// Takes a chunk and gives the text of the lines that it completes.
    pub(crate) fn take(&mut self, bytes: &[u8], now: &DateTime<Local>) -> String {
        let mut text = String::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            self.push_line(&mut text, now);
        }
        self.pending.extend_from_slice(rest);
        if self.pending.len() > MAX_LINE {
            self.push_line(&mut text, now);
        }
        text
    }

    /// The line that is left when the stream ends or the process is gone.
    pub(crate) fn finish(&mut self, now: &DateTime<Local>) -> String {
        let mut text = String::new();
        if !self.pending.is_empty() {
            self.push_line(&mut text, now);
        }
        text
    }

    fn push_line(&mut self, text: &mut String, now: &DateTime<Local>) {
        let line = std::mem::take(&mut self.pending);
        let line = String::from_utf8_lossy(&line);
        match &self.format {
            LineFormat::Dated(format) => {
                text.push_str(&date_format::format(format, now));
                text.push_str(": ");
                text.push_str(&line);
            }
            LineFormat::Json { date_format, process_id, app_name } => {
                let timestamp = match date_format {
                    Some(format) => date_format::format(format, now),
                    None => now.to_utc().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
                };
                let record = serde_json::json!({
                    "message": format!("{line}\n"),
                    "timestamp": timestamp,
                    "type": self.kind,
                    "process_id": process_id,
                    "app_name": app_name,
                });
                text.push_str(&record.to_string());
            }
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dated() -> Assembler {
        Assembler::new(LineFormat::Dated("[D]".to_owned()), false, Vec::new())
    }

    #[test]
    fn every_line_gets_the_date_once_whatever_the_chunks() {
        let now = Local::now();
        let mut assembler = dated();
        let mut text = String::new();
        for chunk in ["par", "tial\nsecond", " end\n", "a\nb\n\nc\n", "no newline"] {
            text.push_str(&assembler.take(chunk.as_bytes(), &now));
        }
        text.push_str(&assembler.finish(&now));
        assert_eq!(text, "D: partial\nD: second end\nD: a\nD: b\nD: \nD: c\nD: no newline\n");
    }

    #[test]
    fn a_record_per_line() {
        let now = Local::now();
        let format = LineFormat::Json {
            date_format: Some("[T]".to_owned()),
            process_id: 3,
            app_name: "a\"b".to_owned(),
        };
        let mut assembler = Assembler::new(format, true, b"w".to_vec());
        let text = assembler.take("x\ny".as_bytes(), &now) + &assembler.finish(&now);
        let record = |message: &str| {
            format!(
                r#"{{"message":"{message}\n","timestamp":"T","type":"err","process_id":3,"app_name":"a\"b"}}"#
            )
        };
        assert_eq!(text, format!("{}\n{}\n", record("wx"), record("y")));
    }

    proptest! {
        #[test]
        fn the_stream_can_be_told_from_the_file(lines in prop::collection::vec("[^\n]{0,40}", 0..20), cut in 1_usize..9) {
            let now = Local::now();
            let stream: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let mut assembler = dated();
            let mut text: String =
                stream.as_bytes().chunks(cut).map(|chunk| assembler.take(chunk, &now)).collect();
            text.push_str(&assembler.finish(&now));
            let expected: String = lines.iter().map(|line| format!("D: {line}\n")).collect();
            prop_assert_eq!(text, expected);
        }
    }
}
