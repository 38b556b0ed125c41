//! Absolute paths, and the files an application writes.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::check::text;
use super::{AppError, CallerContext, Map};

/// Where output goes when nothing shall be stored.
const NOWHERE: &str = "/dev/null";

/// Makes a path absolute and removes `.` and `..` without looking at the file system, as Node's
/// `path.resolve`.
#[must_use]
pub fn absolute(base: &Path, path: impl AsRef<Path>) -> PathBuf {
    let mut resolved = PathBuf::from("/");
    for component in base.join(path).components() {
        match component {
            Component::Normal(name) => resolved.push(name),
            Component::ParentDir => {
                resolved.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    resolved
}

/// The name as part of a file name: everything except letters, digits, `.`, `\` and `-` becomes
/// `-`, one per UTF-16 unit. Specification `logs.md` §1.
#[must_use]
pub fn file_safe(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_ascii_alphanumeric() || matches!(character, '.' | '\\' | '-') {
            safe.push(character);
        } else {
            (0..character.len_utf16()).for_each(|_| safe.push('-'));
        }
    }
    safe
}

/// Replaces `log_file`, `out_file`, `error_file` and `pid_file` by the absolute `pm_…_path` and
/// makes missing folders, mode 0700. Specification `options.md` §4.6.
pub(crate) fn resolve_files(
    app: &mut Map,
    name: &str,
    cwd: &Path,
    ctx: &CallerContext,
) -> Result<(), AppError> {
    let safe = file_safe(name);
    let logs = &ctx.home.logs_dir;
    let files = [
        ("log_file", "pm_log_path", logs.join(format!("{safe}.log"))),
        ("out_file", "pm_out_log_path", logs.join(format!("{safe}-out.log"))),
        ("error_file", "pm_err_log_path", logs.join(format!("{safe}-error.log"))),
        ("pid_file", "pm_pid_path", ctx.home.pids_dir.join(format!("{safe}.pid"))),
    ];
    for (option, key, default) in files {
        let path = match text(app, option) {
            Some("NULL" | NOWHERE) => PathBuf::from(NOWHERE),
            Some(path) => absolute(cwd, with_home(path, ctx)),
            None if option == "log_file" && app.get(option) != Some(&Value::Bool(true)) => {
                app.shift_remove(option);
                continue;
            }
            None => default,
        };
        app.shift_remove(option);
        make_folder_of(&path)?;
        app.insert(key.to_owned(), path.to_string_lossy().into_owned().into());
    }
    Ok(())
}

/// Replaces a leading `~` by the caller's home directory.
fn with_home(path: &str, ctx: &CallerContext) -> PathBuf {
    let rest = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => return PathBuf::from(path),
    };
    match ctx.user_home() {
        Some(home) => home.join(rest.trim_start_matches('/')),
        None => PathBuf::from(path),
    }
}

fn make_folder_of(path: &Path) -> Result<(), AppError> {
    let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) else {
        return Ok(());
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| AppError::Folder { path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths() {
        let check = |base: &str, path: &str, expected: &str| {
            assert_eq!(absolute(Path::new(base), path), Path::new(expected), "{base} {path}");
        };
        check("/a/b", "c.js", "/a/b/c.js");
        check("/a/b", "./c/../d", "/a/b/d");
        check("/a/b", "../../../x", "/x");
        check("/a/b", "/c//d/", "/c/d");
        check("/a/b", "", "/a/b");
        check("/", "..", "/");
    }

    #[test]
    fn safe_names() {
        let check = |name: &str, expected: &str| assert_eq!(file_safe(name), expected);
        check("a b/c:d", "a-b-c-d");
        check("my app/α:x_y\\z.1", "my-app---x-y\\z.1");
        check("😀", "--");
        check("app-1.2", "app-1.2");
    }
}
