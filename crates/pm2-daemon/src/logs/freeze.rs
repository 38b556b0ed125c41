//! The transport of output as data, and back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::assemble::Pending;
use super::pump::{Destination, Pump, Wish};
use super::{LineFormat, LogFile, LogWriter, Output, Tap};
use crate::bus::Bus;
use crate::handover::{Bytes, Descriptors, FormatState, LogFileState, PumpState};

/// How long a write to a disk may keep a freeze waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// All open log files. Those of a process are places in it, for its job as for its pumps.
#[derive(Default)]
pub(crate) struct FileTable(Vec<Option<Arc<LogFile>>>);

impl FileTable {
    /// The places of these files.
    pub(crate) fn places(&mut self, files: &[Arc<LogFile>]) -> Vec<usize> {
        files.iter().map(|file| self.place(file)).collect()
    }

    fn place(&mut self, file: &Arc<LogFile>) -> usize {
        let is_it =
            |other: &Option<Arc<LogFile>>| other.as_ref().is_some_and(|other| Arc::ptr_eq(other, file));
        self.0.iter().position(is_it).unwrap_or_else(|| {
            self.0.push(Some(file.clone()));
            self.0.len() - 1
        })
    }

    /// The files at these places.
    pub(crate) fn files(&self, places: &[usize]) -> Vec<Arc<LogFile>> {
        places.iter().filter_map(|place| self.0.get(*place)?.clone()).collect()
    }

    pub(crate) fn freeze(&self, descriptors: &mut Descriptors) -> Vec<LogFileState> {
        self.0.iter().flatten().map(|file| file.freeze(descriptors)).collect()
    }
}

impl LogWriter {
    /// The table as it was; a file that cannot be opened again is missing.
    pub(crate) fn thaw_files(&self, files: Vec<LogFileState>, descriptors: &mut Descriptors) -> FileTable {
        let open = |state| self.shared.thaw(state, descriptors);
        let report = |file: Result<Arc<LogFile>, _>| {
            file.inspect_err(|error| self.surroundings.journal.error(error)).ok()
        };
        FileTable(files.into_iter().map(open).map(report).collect())
    }

    /// Stops all pumps and gives what they have; what is in the pipes stays there. The flag says that some could not be
    /// stopped in time, and go on.
    pub(crate) async fn freeze(
        &self,
        files: &mut FileTable,
        descriptors: &mut Descriptors,
    ) -> (Vec<PumpState>, bool) {
        self.shared.pause(true);
        let running: Vec<_> =
            self.pumps.lock().running.iter().map(|(number, pump)| (*number, pump.clone())).collect();
        let asked: Vec<_> = running
            .into_iter()
            .map(|(number, pump)| {
                let (to, frozen) = oneshot::channel();
                // One that is gone has read its pipe to the end, and says so by not answering.
                drop(pump.send(Box::new(Wish::Freeze(to))));
                (number, frozen)
            })
            .collect();
        let deadline = Instant::now() + PATIENCE;
        let mut stopped = Vec::new();
        let mut is_late = false;
        for (number, frozen) in asked {
            match timeout_at(deadline, frozen).await {
                Ok(Ok(pump)) => stopped.push((number, pump)),
                Ok(Err(_)) => {}
                Err(_) => is_late = true,
            }
        }
        // Not before all have stopped: a file that nobody else seems to write to any more gets pieces of lines.
        let frozen = stopped.into_iter().map(|(number, pump)| pump.freeze(number, files, descriptors));
        (frozen.collect(), is_late)
    }

    /// Lets pumps go on.
    pub(crate) fn thaw(
        &self,
        pumps: Vec<PumpState>,
        files: &FileTable,
        bus: &Bus,
        descriptors: &mut Descriptors,
    ) {
        let mut thawed = Vec::new();
        for state in pumps {
            let number = state.id;
            match Pump::thaw(state, files, bus, descriptors) {
                Ok(pump) => thawed.push((number, pump)),
                Err(error) => {
                    self.surroundings.journal.error(format_args!("the output of an app is lost: {error}"))
                }
            }
        }
        for (number, pump) in thawed {
            self.run(number, Box::new(pump));
        }
    }

    /// Everybody is there again: what is done at certain times goes on.
    pub(crate) fn go_on(&self) {
        self.shared.pause(false);
    }

    /// The number of the latest pump.
    pub(crate) fn latest(&self) -> u64 {
        self.pumps.lock().next
    }

    /// Numbers are given from there on.
    pub(crate) fn number_from(&self, latest: u64) {
        self.pumps.lock().next = latest;
    }

    /// The transport that consists of these pumps.
    pub(crate) fn output(&self, pumps: [u64; 2]) -> Output {
        Output { all: self.pumps.clone(), pumps }
    }
}

impl Output {
    /// The numbers of the pumps.
    pub(crate) fn pumps(&self) -> [u64; 2] {
        self.pumps
    }
}

impl Pump {
    fn freeze(self, id: u64, files: &mut FileTable, descriptors: &mut Descriptors) -> PumpState {
        let Pump { pipe, files: own, tap, carry, line } = self;
        PumpState {
            id,
            pipe: descriptors.keep(pipe),
            files: own.iter().map(|file| files.place(&file.file)).collect(),
            held: own.into_iter().map(|file| Bytes(file.held)).collect(),
            is_error: tap.is_error,
            process: tap.process.to_string(),
            muted: tap.muted,
            format: tap.format.map(LineFormat::freeze),
            carry: Bytes(carry),
            line: Bytes(line.bytes),
            is_rest: line.is_rest,
            zone: tap.zone,
        }
    }

    fn thaw(
        state: PumpState,
        files: &FileTable,
        bus: &Bus,
        descriptors: &mut Descriptors,
    ) -> std::io::Result<Pump> {
        let files_at = |place: usize| files.0.get(place)?.clone();
        let tap = Tap {
            bus: bus.clone(),
            is_error: state.is_error,
            process: state.process.into(),
            muted: state.muted,
            format: state.format.map(LineFormat::thaw),
            zone: state.zone,
        };
        let held = state.held.into_iter().map(|held| held.0).chain(std::iter::repeat_with(Vec::new));
        let files = state.files.iter().zip(held);
        let files = files.filter_map(|(place, held)| {
            let file = files_at(*place)?;
            Some(Destination { held, ..file.into() })
        });
        Ok(Pump {
            pipe: descriptors.take(state.pipe)?,
            files: files.collect(),
            tap,
            carry: state.carry.0,
            line: Pending { bytes: state.line.0, is_rest: state.is_rest },
        })
    }
}

impl LineFormat {
    fn freeze(self) -> FormatState {
        match self {
            LineFormat::Dated(format) => FormatState::Dated(format),
            LineFormat::Json { date_format, process_id, app_name } => {
                FormatState::Json { date_format, process_id, app_name }
            }
        }
    }

    fn thaw(state: FormatState) -> LineFormat {
        match state {
            FormatState::Dated(format) => LineFormat::Dated(format),
            FormatState::Json { date_format, process_id, app_name } => {
                LineFormat::Json { date_format, process_id, app_name }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;
    use std::path::Path;

    use super::super::{LogFiles, LogOptions, OwnSettings};
    use super::*;
    use crate::journal::Journal;
    use crate::sys::output_pipe;

    fn writer() -> (LogWriter, Bus) {
        let bus = Bus::default();
        let options = LogOptions { settings: "/dev/null".into(), own_log: None, mode: 0o600, since: None };
        (LogWriter::start(options, Journal::new(bus.clone(), ""), bus.clone()).unwrap(), bus)
    }

    fn tap(bus: &Bus, is_error: bool) -> Tap {
        let format = is_error.then(|| LineFormat::Dated("[D]".to_owned()));
        Tap { bus: bus.clone(), is_error, process: "{}".into(), muted: false, format, zone: None }
    }

    async fn until_contains(path: &Path, text: &str) {
        while fs::read_to_string(path).unwrap() != text {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn interrupted_lines_are_written_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("out.log"), folder.path().join("error.log")];
        let (writer, bus) = writer();
        let [out_file, error_file] =
            paths.each_ref().map(|path| writer.open(path, OwnSettings::default()).unwrap());
        let files = LogFiles { out: vec![out_file], error: vec![error_file] };
        let ((out, out_app), (error, error_app)) = (output_pipe().unwrap(), output_pipe().unwrap());
        let (mut out_app, mut error_app) = (File::from(out_app), File::from(error_app));
        let output = writer.attach([out, error], &files, [tap(&bus, false), tap(&bus, true)]);
        write!(out_app, "1\nhal").unwrap();
        write!(error_app, "e\nhal").unwrap();
        until_contains(&paths[1], "D: e\n").await;

        let (mut table, mut descriptors) = (FileTable::default(), Descriptors::default());
        let (pumps, is_late) = writer.freeze(&mut table, &mut descriptors).await;
        assert!(!is_late);
        assert_eq!((pumps.len(), &pumps[1].line), (2, &Bytes(b"hal".to_vec())));
        assert_eq!((table.places(&files.out), table.0.len()), (pumps[0].files.clone(), 2), "the same files");
        // Nobody looks at it now.
        write!(out_app, "f\n2\n").unwrap();
        writeln!(error_app, "f").unwrap();
        assert!(output.drain().await);
        assert_eq!(fs::read_to_string(&paths[1]).unwrap(), "D: e\n");
        let text = serde_json::to_string(&(table.freeze(&mut descriptors), pumps, writer.latest())).unwrap();
        drop((files, table));

        let (next, bus) = self::writer();
        let (files, pumps, latest) = serde_json::from_str::<(_, Vec<PumpState>, _)>(&text).unwrap();
        let numbers = [pumps[0].id, pumps[1].id];
        let table = next.thaw_files(files, &mut descriptors);
        next.number_from(latest);
        next.thaw(pumps, &table, &bus, &mut descriptors);
        let output = next.output(numbers);
        assert!(output.drain().await);
        assert_eq!(fs::read_to_string(&paths[1]).unwrap(), "D: e\nD: half\n");
        assert_eq!(fs::read_to_string(&paths[0]).unwrap(), "1\nhalf\n2\n");
        // The ends of the pipes are the ends of the pumps.
        drop((out_app, error_app));
        while !next.pumps.lock().running.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(descriptors.numbers().is_empty());
    }

    #[tokio::test]
    async fn a_file_of_both_streams_is_one_from_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, bus) = writer();
        let files = |name: &str| {
            let file = writer.open(&folder.path().join(name), OwnSettings::default()).unwrap();
            LogFiles { out: vec![file.clone()], error: vec![file] }
        };
        let (first, second) = (files("1.log"), files("2.log"));
        let ((out, out_app), (error, error_app)) = (output_pipe().unwrap(), output_pipe().unwrap());
        let taps = [false, true].map(|is_error| Tap { format: None, ..tap(&bus, is_error) });
        let output = writer.attach([out, error], &first, taps);
        assert!(first.out[0].is_shared(), "before anything of it was read");
        output.write_to(&second);
        assert!(second.out[0].is_shared());
        let mut descriptors = Descriptors::default();
        for _ in 0..20 {
            // Whoever is stopped first does not leave the other one alone with the file.
            let (mut out_app, mut error_app) =
                (File::from(out_app.try_clone().unwrap()), File::from(error_app.try_clone().unwrap()));
            write!(out_app, "o").unwrap();
            write!(error_app, "e").unwrap();
            let mut table = FileTable::default();
            let (pumps, _) = writer.freeze(&mut table, &mut descriptors).await;
            writer.thaw(pumps, &table, &bus, &mut descriptors);
        }
        drop((out_app, error_app));
        while !writer.pumps.lock().running.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let text = fs::read_to_string(folder.path().join("2.log")).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["e".repeat(20), "o".repeat(20)]);
    }

    #[tokio::test]
    async fn a_pump_that_is_asked_in_vain_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.log");
        let (writer, bus) = writer();
        let file = writer.open(&path, OwnSettings::default()).unwrap();
        let files = LogFiles { out: vec![file], error: Vec::new() };
        let ((out, app), (error, _)) = (output_pipe().unwrap(), output_pipe().unwrap());
        let output = writer.attach([out, error], &files, [tap(&bus, false), tap(&bus, true)]);
        let pump = writer.pumps.lock().running[&output.pumps()[0]].clone();
        for number in 0..3 {
            let (to, frozen) = oneshot::channel();
            drop(frozen);
            pump.send(Box::new(Wish::Freeze(to))).unwrap();
            writeln!(&File::from(app.try_clone().unwrap()), "{number}").unwrap();
        }
        until_contains(&path, "0\n1\n2\n").await;
        assert!(output.drain().await);
    }

    #[test]
    fn formats_come_back() {
        let json = |date_format: Option<&str>| LineFormat::Json {
            date_format: date_format.map(str::to_owned),
            process_id: 7,
            app_name: "a\"b".to_owned(),
        };
        for format in [LineFormat::Dated("YYYY".to_owned()), json(None), json(Some("[x]"))] {
            let text = serde_json::to_string(&format.clone().freeze()).unwrap();
            assert_eq!(LineFormat::thaw(serde_json::from_str(&text).unwrap()), format);
        }
    }
}
