//! The option `ext` beside a script name: watch only files with these endings.

use std::fs;
use std::path::Path;

/// Most files looked at, so that a start in the root folder ends.
const MAX_FILES: usize = 20_000;

/// Every file under the folder whose name ends in none of the extensions (`js,json`), for
/// `ignore_watch`. Dot folders and `node_modules`, which are not watched anyway, are not entered.
/// Specification `options.md` §1.2.
pub(crate) fn files_without(extensions: &str, folder: &Path) -> Vec<String> {
    let extensions: Vec<&str> =
        extensions.split(',').map(str::trim).filter(|extension| !extension.is_empty()).collect();
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    let mut n_seen = 0;
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = fs::read_dir(&folder).into_iter().flatten().flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            n_seen += 1;
            if n_seen > MAX_FILES {
                return files;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder {
                if !name.starts_with('.') && name != "node_modules" {
                    folders.push(entry.path());
                }
            } else if !extensions.iter().any(|extension| name.ends_with(extension)) {
                files.push(entry.path().to_string_lossy().into_owned());
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_extensions() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["sub", "node_modules", ".git"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
            fs::write(dir.path().join(folder).join("x.txt"), "").unwrap();
        }
        for file in ["a.js", "b.json", "c.md"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let check = |extensions: &str, expected: &[&str]| {
            let path = |name: &&str| dir.path().join(name).to_string_lossy().into_owned();
            let expected: Vec<_> = expected.iter().map(path).collect();
            assert_eq!(files_without(extensions, dir.path()), expected, "{extensions}");
        };
        check("js,json", &["c.md", "sub/x.txt"]);
        check(" md , txt ", &["a.js", "b.json"]);
    }
}
