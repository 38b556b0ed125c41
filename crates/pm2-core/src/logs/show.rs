//! How lines of logs are shown. Behaviour of PM2 7.0.4, specification `logs.md` §8.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Local, TimeZone, Utc};
use serde_json::{Value, json};

use super::{Selection, Speaker, last_lines};
use crate::date_format;

/// One of the two streams of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// The form of what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Coloured, with the app before each line.
    #[default]
    Lines,
    /// The line alone; those of standard error go there.
    Raw,
    /// An object for each packet.
    Json,
    /// `key=value` pairs for each line.
    Formatted,
}

/// What is wanted.
#[derive(Debug, Clone)]
pub struct ShowOptions {
    /// Whose lines.
    pub selection: Selection,
    /// In which form.
    pub form: Form,
    /// Only this stream; hides what the daemon says.
    pub exclusive: Option<Stream>,
    /// Date format (day.js) of the time of display, before each line; `None`: no date.
    pub timestamp: Option<String>,
    /// Text that is marked where it first occurs in a line.
    pub highlight: Option<String>,
    /// Whether the daemon's own lines belong to it.
    pub shows_daemon: bool,
}

impl ShowOptions {
    /// Reads `{target, raw, json, format, exclusive: 'out'|'err', timestamp: true|format, highlight, daemon}`; what is
    /// absent or of another type is not wished.
    #[must_use]
    pub fn read(wishes: &Value) -> ShowOptions {
        let is_on = |name: &str| wishes.get(name) == Some(&Value::Bool(true));
        let text = |name: &str| wishes.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let target = match wishes.get("target") {
            Some(Value::Number(id)) => id.to_string(),
            _ => text("target").unwrap_or("all").to_owned(),
        };
        ShowOptions {
            selection: Selection::read(&target),
            form: match (is_on("json"), is_on("format"), is_on("raw")) {
                (true, ..) => Form::Json,
                (_, true, _) => Form::Formatted,
                (.., true) => Form::Raw,
                _ => Form::Lines,
            },
            exclusive: match text("exclusive") {
                Some("out") => Some(Stream::Out),
                Some("err" | "error") => Some(Stream::Error),
                _ => None,
            },
            timestamp: match is_on("timestamp") {
                true => Some("YYYY-MM-DD-HH:mm:ss".to_owned()),
                false => text("timestamp").map(str::to_owned),
            },
            highlight: text("highlight").map(str::to_owned),
            shows_daemon: is_on("daemon"),
        }
    }
}

/// Text to be printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// On standard output.
    pub out: String,
    /// On standard error.
    pub err: String,
}

/// Shows lines, one after the other.
#[derive(Debug)]
pub struct Shower {
    options: ShowOptions,
    /// Width of the column with the app; it grows with the names.
    width: usize,
}

const GREY: [&str; 2] = ["\u{1b}[90m", "\u{1b}[39m"];
const DIM_GREY: [&str; 2] = ["\u{1b}[2m\u{1b}[90m", "\u{1b}[39m\u{1b}[22m"];
const BOLD_GREY: [&str; 2] = ["\u{1b}[1m\u{1b}[90m", "\u{1b}[39m\u{1b}[22m"];
const MARK: [&str; 2] = ["\u{1b}[100m", "\u{1b}[49m"];
/// Width of that column for lines that are in files.
const TAIL_WIDTH: usize = 10;

fn colour(stream: Option<Stream>) -> [&'static str; 2] {
    match stream {
        None => ["\u{1b}[34m", "\u{1b}[39m"],
        Some(Stream::Out) => ["\u{1b}[32m", "\u{1b}[39m"],
        Some(Stream::Error) => ["\u{1b}[31m", "\u{1b}[39m"],
    }
}

impl Shower {
    /// With these wishes.
    #[must_use]
    pub fn new(options: ShowOptions) -> Shower {
        Shower { options, width: 3 }
    }

    /// What is in the files: the last lines of each log of the list, `getMonitorData`'s answer, those that were written
    /// last at the end. Each file once. Files that cannot be read are named with the reason.
    ///
    /// The forms [`Form::Json`] and [`Form::Formatted`] show what happens, not what was: then it is empty.
    #[must_use]
    pub fn tail(&self, list: &[Value], daemon_log: &Path, count: usize) -> Shown {
        let mut shown = Shown::default();
        let ShowOptions { selection, form, exclusive, shows_daemon, .. } = &self.options;
        if count == 0 || matches!(form, Form::Json | Form::Formatted) {
            return shown;
        }
        let meant = matches!(selection, Selection::All | Selection::Daemon);
        if *shows_daemon {
            let many = if matches!(selection, Selection::All) { "es" } else { "" };
            let text = selection.text();
            let heading = format!(
                "[TAILING] Tailing last {count} lines for [{text}] process{many} (change the value with --lines option)"
            );
            shown.out += &format!("{}{heading}{}\n", BOLD_GREY[0], BOLD_GREY[1]);
            if meant && exclusive.is_none() && *form == Form::Lines {
                self.file(&mut shown, daemon_log, "PM2", None, count);
            }
        }
        for (path, label, stream) in self.files(list) {
            self.file(&mut shown, &path, &label, Some(stream), count);
        }
        shown
    }

    fn files(&self, list: &[Value]) -> Vec<(PathBuf, String, Stream)> {
        let ShowOptions { selection, exclusive, .. } = &self.options;
        let mut files: Vec<(PathBuf, String, Stream)> = Vec::new();
        for process in list {
            let speaker = Speaker::read(process);
            if !selection.includes(&speaker) {
                continue;
            }
            let label = format!("{}|{}", speaker.id, speaker.name);
            for (stream, key) in [(Stream::Out, "pm_out_log_path"), (Stream::Error, "pm_err_log_path")] {
                let path = process.get("pm2_env").and_then(|env| env.get(key)).and_then(Value::as_str);
                if let Some(path) = path.map(PathBuf::from)
                    && exclusive.is_none_or(|only| only == stream)
                    && !files.iter().any(|(other, ..)| *other == path)
                    && path != Path::new("/dev/null")
                {
                    files.push((path, label.clone(), stream));
                }
            }
        }
        files.sort_by_key(|(path, ..)| path.metadata().and_then(|data| data.modified()).ok());
        files
    }

    fn file(&self, shown: &mut Shown, path: &Path, label: &str, stream: Option<Stream>, count: usize) {
        let [on, off] = GREY;
        let _ = writeln!(shown.out, "{on}{} last {count} lines:{off}", path.display());
        let lines = match last_lines(path, count) {
            Ok(lines) => lines,
            Err(error) => {
                let _ = writeln!(shown.err, "cannot read {}: {error}", path.display());
                return;
            }
        };
        let label = fitted(label, TAIL_WIDTH);
        for line in &lines {
            let line = String::from_utf8_lossy(line);
            match (self.options.form, stream) {
                (Form::Raw, Some(Stream::Error)) => shown.err += &format!("{line}\n"),
                (Form::Raw, _) => shown.out += &format!("{line}\n"),
                _ => {
                    let [on, off] = colour(stream);
                    let _ = writeln!(shown.out, "{on}{label} | {off}{line}");
                }
            }
        }
        if !lines.is_empty() {
            shown.out.push('\n');
        }
    }

    /// What an event of the bus looks like; `None`: it is not shown.
    #[must_use]
    pub fn event(&mut self, topic: &str, packet: &Value) -> Option<Shown> {
        self.event_at(topic, packet, &Local::now())
    }

    fn event_at(&mut self, topic: &str, packet: &Value, now: &DateTime<Local>) -> Option<Shown> {
        let stream = match topic {
            "log:out" => Some(Stream::Out),
            "log:err" => Some(Stream::Error),
            "log:PM2" => None,
            "process:event" if self.options.form == Form::Json => return Some(process_event(packet)),
            _ => return None,
        };
        let speaker = Speaker::read(packet.get("process")?);
        let is_wanted = match stream {
            None => self.options.shows_daemon && self.options.exclusive.is_none(),
            Some(stream) => self.options.exclusive.is_none_or(|only| only == stream),
        };
        if !is_wanted || !self.options.selection.includes(&speaker) {
            return None;
        }
        let data = packet.get("data")?;
        let data = data.as_str().map_or_else(|| data.to_string(), str::to_owned);
        let mut shown = Shown::default();
        if self.options.form == Form::Json {
            let stream = stream?;
            let record = json!({
                "message": data.replace(['\r', '\n'], ""),
                "timestamp": time_of(packet),
                "type": if stream == Stream::Out { "out" } else { "err" },
                "process_id": packet["process"]["pm_id"],
                "app_name": speaker.name,
            });
            shown.out = format!("{record}\n");
            return Some(shown);
        }
        for line in data.split('\n').filter(|line| !line.is_empty()) {
            self.line(&mut shown, &speaker, stream, line, now);
        }
        Some(shown)
    }

    fn line(
        &mut self,
        shown: &mut Shown,
        speaker: &Speaker,
        stream: Option<Stream>,
        line: &str,
        now: &DateTime<Local>,
    ) {
        let _ = match (self.options.form, stream) {
            (Form::Raw, Some(Stream::Error)) => writeln!(shown.err, "{line}"),
            (Form::Raw, _) => writeln!(shown.out, "{line}"),
            (Form::Formatted, _) => {
                let time = date_format::format("YYYY-MM-DD-HH:mm:ssZZ", now);
                match stream {
                    None => writeln!(shown.out, "timestamp={time} app=pm2 message={line}"),
                    Some(stream) => writeln!(
                        shown.out,
                        "timestamp={time} app={} id={} type={} message={line}",
                        speaker.name,
                        speaker.id,
                        if stream == Stream::Out { "out" } else { "error" }
                    ),
                }
            }
            _ => {
                let label = format!("{}|{}", speaker.id, speaker.name);
                let length = label.chars().count();
                if length > self.width {
                    self.width = length + 1;
                }
                let label = if stream.is_none() { "PM2".to_owned() } else { label };
                let label = fitted(&label, self.width);
                if let Some(format) = &self.options.timestamp {
                    let [on, off] = DIM_GREY;
                    let _ = write!(shown.out, "{on}{} {off}", date_format::format(format, now));
                }
                let [on, off] = colour(stream);
                writeln!(shown.out, "{on}{label} | {off}{}", self.marked(line))
            }
        };
    }

    fn marked(&self, line: &str) -> String {
        let [on, off] = MARK;
        match &self.options.highlight {
            Some(text) => line.replacen(text.as_str(), &format!("{on}{text}{off}"), 1),
            None => line.to_owned(),
        }
    }
}

/// Exactly so many characters.
fn fitted(label: &str, width: usize) -> String {
    let cut: String = label.chars().take(width).collect();
    format!("{cut:width$}")
}

/// ISO, UTC, with milliseconds.
fn time_of(packet: &Value) -> String {
    let at = packet.get("at").and_then(Value::as_i64).and_then(|at| Utc.timestamp_millis_opt(at).single());
    at.unwrap_or_else(Utc::now).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn process_event(packet: &Value) -> Shown {
    let record = json!({
        "timestamp": time_of(packet),
        "type": "process_event",
        "status": packet["event"],
        "app_name": packet["process"]["name"],
    });
    Shown { out: format!("{record}\n"), err: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shower(wishes: Value) -> Shower {
        Shower::new(ShowOptions::read(&wishes))
    }

    fn packet(id: u32, name: &str, data: &str) -> Value {
        json!({"process": {"pm_id": id, "name": name, "rev": null, "namespace": "default"}, "at": 1_763_824_686_994_i64, "data": data})
    }

    fn out(shower: &mut Shower, topic: &str, packet: &Value) -> String {
        shower.event(topic, packet).unwrap_or_default().out
    }

    // Texts as npm pm2 7.0.4 prints them.
    #[test]
    fn columns_grow_with_the_names() {
        let mut shower = shower(json!({"highlight": "out", "daemon": true}));
        let alpha = packet(0, "alpha", "out 1\nsecond\n");
        assert_eq!(
            out(&mut shower, "log:out", &alpha),
            "\u{1b}[32m0|alpha  | \u{1b}[39m\u{1b}[100mout\u{1b}[49m 1\n\u{1b}[32m0|alpha  | \u{1b}[39msecond\n"
        );
        let beta = packet(1, "beta-long-name", "err");
        assert_eq!(out(&mut shower, "log:err", &beta), "\u{1b}[31m1|beta-long-name  | \u{1b}[39merr\n");
        assert_eq!(
            out(&mut shower, "log:out", &packet(0, "alpha", "x\n")),
            "\u{1b}[32m0|alpha           | \u{1b}[39mx\n"
        );
        let mut shower = self::shower(json!({"daemon": true, "timestamp": "[T]"}));
        let said =
            json!({"process": {"pm_id": "PM2", "name": "PM2", "rev": null}, "at": 0, "data": "said\n"});
        assert_eq!(
            out(&mut shower, "log:PM2", &said),
            "\u{1b}[2m\u{1b}[90mT \u{1b}[39m\u{1b}[22m\u{1b}[34mPM2      | \u{1b}[39msaid\n"
        );
        assert_eq!(self::shower(json!({})).event("log:PM2", &said), None);
        assert_eq!(self::shower(json!({"daemon": true, "exclusive": "out"})).event("log:PM2", &said), None);
    }

    #[test]
    fn other_forms() {
        let error = packet(0, "a\"b", "one\r\n\ntwo\n");
        let raw = shower(json!({"raw": true})).event("log:err", &error).unwrap();
        assert_eq!((raw.out.as_str(), raw.err.as_str()), ("", "one\r\ntwo\n"));
        assert_eq!(
            out(&mut shower(json!({"json": true})), "log:err", &error),
            "{\"message\":\"onetwo\",\"timestamp\":\"2025-11-22T15:18:06.994Z\",\"type\":\"err\",\"process_id\":0,\"app_name\":\"a\\\"b\"}\n"
        );
        let event = json!({"event": "exit", "process": {"name": "a"}, "at": 0});
        assert_eq!(
            out(&mut shower(json!({"json": true, "target": "other"})), "process:event", &event),
            "{\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"type\":\"process_event\",\"status\":\"exit\",\"app_name\":\"a\"}\n"
        );
        assert_eq!(shower(json!({})).event("process:event", &event), None);
        let formatted = out(&mut shower(json!({"format": true})), "log:err", &packet(7, "a", "x y\n"));
        assert!(
            formatted.starts_with("timestamp=20")
                && formatted.ends_with(" app=a id=7 type=error message=x y\n")
        );
        assert_eq!(shower(json!({"exclusive": "err"})).event("log:out", &error), None);
        assert_eq!(shower(json!({"target": 1})).event("log:out", &error), None);
    }

    #[test]
    fn the_tail_names_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("out.log"), "1\n2\n3\n").unwrap();
        std::fs::write(path("daemon.log"), "d\n").unwrap();
        let entry = |id: u32, name: &str| {
            json!({"pm_id": id, "name": name, "pm2_env": {
                "namespace": "default", "pm_out_log_path": path("out.log"), "pm_err_log_path": path("missing.log")
            }})
        };
        let list = [entry(0, "beta-long-name"), entry(1, "other")];
        let at = folder.path().display();
        let tail = |wishes| shower(wishes).tail(&list, &path("daemon.log"), 2);
        let expected = format!(
            "\u{1b}[90m{at}/missing.log last 2 lines:\u{1b}[39m\n\u{1b}[90m{at}/out.log last 2 lines:\u{1b}[39m\n\u{1b}[32m0|beta-lon | \u{1b}[39m2\n\u{1b}[32m0|beta-lon | \u{1b}[39m3\n\n"
        );
        assert_eq!(tail(json!({})), Shown { out: expected.clone(), err: String::new() });
        let heading = "\u{1b}[1m\u{1b}[90m[TAILING] Tailing last 2 lines for [all] processes (change the value with --lines option)\u{1b}[39m\u{1b}[22m\n";
        let daemon = format!(
            "\u{1b}[90m{at}/daemon.log last 2 lines:\u{1b}[39m\n\u{1b}[34mPM2        | \u{1b}[39md\n\n"
        );
        assert_eq!(tail(json!({"daemon": true})).out, format!("{heading}{daemon}{expected}"));
        assert_eq!(tail(json!({"json": true})), Shown::default());
        assert_eq!(tail(json!({"target": "none"})), Shown::default());
    }
}
