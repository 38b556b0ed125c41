//! Names of logs that are continued in a new file with a higher number: `app-out.log`, `app-out-1.log`, `app-out-2.log`.
//!
//! This is what the published documentation of `reloadLogs` says; PM2 7.0.4 does not do it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The path at which a log goes on: its number is higher than that of any file of its name, and not among those taken.
#[must_use]
pub fn next_path(log: &Path, taken: &BTreeSet<PathBuf>) -> PathBuf {
    let name = log.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    let (stem, ending) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (&*name, ""),
    };
    let base = match stem.rsplit_once('-') {
        Some((base, number)) if !base.is_empty() && is_number(number) => base,
        _ => stem,
    };
    let number_of = |name: &str| {
        let number = name.strip_suffix(ending)?.strip_prefix(base)?.strip_prefix('-')?;
        is_number(number).then(|| number.parse::<u64>().ok())?
    };
    let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten().flatten();
    let present = entries.filter_map(|entry| number_of(&entry.file_name().to_string_lossy()));
    let highest = present.chain(number_of(&name)).max().unwrap_or(0);
    (highest.saturating_add(1)..)
        .map(|number| log.with_file_name(format!("{base}-{number}{ending}")))
        .find(|path| !taken.contains(path))
        .unwrap_or_default()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_higher_than_any() {
        let folder = tempfile::tempdir().unwrap();
        let mut taken = BTreeSet::new();
        let mut check = |log: &str, expected: &str| {
            let path = next_path(&folder.path().join(log), &taken);
            assert_eq!(path.file_name().unwrap().to_str().unwrap(), expected);
            taken.insert(path);
        };
        check("app-out.log", "app-out-1.log");
        check("app-out-1.log", "app-out-2.log");
        check("app-out-0.log", "app-out-3.log");
        for name in
            ["app-out-9.log", "app-out-9.txt", "app-out-x.log", "other-out-30.log", "app-out-11.log.gz"]
        {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        check("app-out-4.log", "app-out-10.log");
        check("own", "own-1");
        check(".hidden", ".hidden-1");
        check("a-.log", "a--1.log");
        check("-7.log", "-7-1.log");
    }
}
