//! Finding the script, and the name it gives.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{AppError, CallerContext, absolute};

/// What is to be executed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Located {
    /// A file, or a folder, with its absolute path.
    File(PathBuf),
    /// A shell that runs the text given as script with `-c`.
    Shell(PathBuf),
}

/// Finds the script: seen from `cwd`, else in PATH; a text with a space that is no file is a shell command.
///
/// Behaviour of PM2 7.0.4, specification `options.md` §4.1, except that a file whose path has a
/// space is that file.
pub(crate) fn locate(script: &str, cwd: &Path, ctx: &CallerContext) -> Result<Located, AppError> {
    let path = absolute(cwd, script);
    if script.contains(' ') && !path.is_file() {
        return ["bash", "sh"]
            .iter()
            .find_map(|shell| find_program(shell, ctx))
            .map(Located::Shell)
            .ok_or_else(|| AppError::InterpreterNotFound("sh".to_owned()));
    }
    if path.exists() {
        return Ok(Located::File(path));
    }
    if script.contains('/') {
        return Err(AppError::ScriptNotFound(path));
    }
    find_program(script, ctx).map(Located::File).ok_or(AppError::ScriptNotFound(path))
}

/// An executable file of that name: in PATH, or seen from the caller's directory if it has a slash.
pub(crate) fn find_program(name: &str, ctx: &CallerContext) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    if name.contains('/') {
        return Some(absolute(&ctx.cwd, name)).filter(|path| is_executable(path));
    }
    std::env::split_paths(ctx.variable("PATH")?)
        .map(|dir| ctx.cwd.join(dir).join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The name a script gives: its file name without the last extension.
pub(crate) fn name_of(script: &str) -> String {
    let file_name = script.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name = match file_name.rfind('.') {
        None | Some(0) => file_name,
        Some(dot) => &file_name[..dot],
    };
    if name.is_empty() { script } else { name }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |script: &str, expected: &str| assert_eq!(name_of(script), expected);
        check("app.js", "app");
        check("/a/b/x.y.js", "x.y");
        check(".hid/.js", ".js");
        check("sub/", "sub");
        check("foo", "foo");
        check("echo hi", "echo hi");
        check("ls /tmp/x.js", "x");
        check("node app.js", "node app");
        check("echo a \"b c\" $X", "echo a \"b c\" $X");
        check("/", "/");
    }
}
