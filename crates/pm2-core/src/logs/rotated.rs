//! Names of rotated log files, and which of them belong to a log.
//!
//! The names are those of pm2-logrotate 3.0.0, specification `logs.md` §9: `app-out.log` becomes
//! `app-out__<date>.log`, with `.gz` behind it when it is compressed. A second file of the same date gets a number,
//! `app-out__<date>_1.log`.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How a rotated file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// gzip, `.gz`.
    Gzip,
    /// Zstandard, `.zst`.
    Zstd,
}

impl Codec {
    /// What is put behind the name, with the dot.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    fn of(name: &str) -> Option<Codec> {
        [Self::Gzip, Self::Zstd].into_iter().find(|codec| name.ends_with(codec.suffix()))
    }
}

/// A rotated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Where it is.
    pub path: PathBuf,
    /// `None`: not compressed.
    pub codec: Option<Codec>,
    /// Its size in bytes.
    pub bytes: u64,
    /// When the last line was written.
    pub modified: SystemTime,
}

/// The path that a log gets when it is rotated: `<stem>__<date>.log`, or with a number that is higher than that of any file
/// of the same date, compressed or not. A slash in the date becomes a dash.
#[must_use]
pub fn free_path(log: &Path, date: &str) -> PathBuf {
    let stem = stem(log);
    let beginning = format!("{stem}__{}", date.replace('/', "-"));
    let number_of = |name: &str| {
        let rest = plain_name(name).strip_suffix(".log")?.strip_prefix(&beginning)?;
        if rest.is_empty() { Some(0) } else { rest.strip_prefix('_')?.parse::<u64>().ok() }
    };
    let entries = std::fs::read_dir(folder_of(log)).into_iter().flatten().flatten();
    let highest = entries.filter_map(|entry| number_of(entry.file_name().to_str()?)).max();
    let first = highest.map_or(0, |number| number.saturating_add(1));
    let path_of = |number: u64| {
        let number = if number == 0 { String::new() } else { format!("_{number}") };
        log.with_file_name(format!("{beginning}{number}.log"))
    };
    // A folder that could not be listed may have such files all the same.
    let is_free = |path: &PathBuf| path.symlink_metadata().is_err();
    (first..).map(path_of).find(is_free).unwrap_or_else(|| path_of(first))
}

/// Whether a path has the name of a rotated file of this log; another log may have it as well.
#[must_use]
pub fn is_of(log: &Path, path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.strip_prefix(&stem(log)).is_some_and(|rest| rest.starts_with("__"))
        && plain_name(name).ends_with(".log")
}

/// Files with this behind the name of a compressed one: somebody was about to write that.
///
/// # Errors
/// The folder cannot be read.
pub fn parts(log: &Path, suffix: &str) -> io::Result<Vec<PathBuf>> {
    let is_part = |path: &PathBuf| {
        let whole = path.to_str().and_then(|path| path.strip_suffix(suffix)).map(Path::new);
        whole.is_some_and(|whole| is_of(log, whole) && whole.to_str().and_then(Codec::of).is_some())
    };
    Ok(std::fs::read_dir(folder_of(log))?.flatten().map(|entry| entry.path()).filter(is_part).collect())
}

/// The rotated files of a log, the oldest first.
///
/// # Errors
/// The folder cannot be read.
pub fn list(log: &Path) -> io::Result<Vec<Rotated>> {
    let beginning = format!("{}__", stem(log));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder_of(log))? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(&beginning)) else { continue };
        let codec = Codec::of(name);
        if !plain_name(name).ends_with(".log") {
            continue;
        }
        // Removed meanwhile: it does not belong to it any more.
        let Ok(metadata) = entry.metadata() else { continue };
        if let (true, Ok(modified)) = (metadata.is_file(), metadata.modified()) {
            found.push(Rotated { path: entry.path(), codec, bytes: metadata.len(), modified });
        }
    }
    found.sort_by(|a, b| a.modified.cmp(&b.modified).then_with(|| by_number(&a.path, &b.path)));
    Ok(found)
}

/// Files of the same moment: by the date, then by the number behind it.
fn by_number(a: &Path, b: &Path) -> Ordering {
    let plain = |path: &Path| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let name = plain_name(name);
        let name = name.strip_suffix(".log").unwrap_or(name);
        let numbered =
            name.rsplit_once('_').and_then(|(date, number)| Some((date, number.parse::<u64>().ok()?)));
        let (date, number) = numbered.unwrap_or((name, 0));
        (date.to_owned(), number)
    };
    plain(a).cmp(&plain(b))
}

/// The name that a compressed file had before.
fn plain_name(name: &str) -> &str {
    Codec::of(name).and_then(|codec| name.strip_suffix(codec.suffix())).unwrap_or(name)
}

fn folder_of(log: &Path) -> &Path {
    log.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The name without an ending of three letters.
fn stem(log: &Path) -> String {
    let name = log.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    match name.char_indices().rev().nth(3) {
        Some((dot, '.')) if dot > 0 => name[..dot].to_owned(),
        _ => name.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_are_those_of_pm2_logrotate() {
        let folder = tempfile::tempdir().unwrap();
        let check = |log: &str, date: &str, expected: &str| {
            let path = free_path(&folder.path().join(log), date);
            assert_eq!(path.file_name().unwrap().to_str().unwrap(), expected);
            fs::write(path, "").unwrap();
        };
        check("app-out.log", "2026-11-22_00-00-00", "app-out__2026-11-22_00-00-00.log");
        check("app-out.log", "2026-11-22_00-00-00", "app-out__2026-11-22_00-00-00_1.log");
        check("app-out.log", "a/b", "app-out__a-b.log");
        check("own.txt", "d", "own__d.log");
        check("own.json", "d", "own.json__d.log");
        check("ü", "d", "ü__d.log");
        check(".log", "d", ".log__d.log");
        fs::write(folder.path().join("app-out__z.log.gz"), "").unwrap();
        check("app-out.log", "z", "app-out__z_1.log");
        // A number is not used again: it says which one is older.
        fs::remove_file(folder.path().join("app-out__z.log.gz")).unwrap();
        check("app-out.log", "z", "app-out__z_2.log");
    }

    #[test]
    fn the_oldest_comes_first_and_others_files_do_not_come() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let make = |name: &str, age: u64| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(now - Duration::from_secs(age)).unwrap();
        };
        for (name, age) in [
            ("a-out__x.log", 1),
            ("a-out__x_2.log.zst", 5),
            ("a-out__x_10.log", 5),
            ("a-out__x_1.log.gz", 5),
            ("a-out.log", 0),
            ("a-out__x.log.gz.part", 9),
            ("b-out__x.log", 9),
            ("a-error__x.log", 9),
        ] {
            make(name, age);
        }
        fs::create_dir(folder.path().join("a-out__dir.log")).unwrap();
        let found = list(&folder.path().join("a-out.log")).unwrap();
        let names: Vec<_> =
            found.iter().map(|file| (file.path.file_name().unwrap().to_str().unwrap(), file.codec)).collect();
        assert_eq!(
            names,
            [
                ("a-out__x_1.log.gz", Some(Codec::Gzip)),
                ("a-out__x_2.log.zst", Some(Codec::Zstd)),
                ("a-out__x_10.log", None),
                ("a-out__x.log", None)
            ]
        );
        assert!(list(Path::new("/missing/folder/a.log")).is_err());
    }
}
