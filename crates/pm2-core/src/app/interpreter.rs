//! Which program runs a script.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::script::find_program;
use super::{AppError, CallerContext};

/// Bytes looked at to tell text from a binary.
const SAMPLE_BYTES: u64 = 1024;

/// A program and the arguments it needs for this kind of script.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// A bare word, a path, or `none` for a script that runs itself.
    pub(crate) program: String,
    /// Arguments to add before the script.
    pub(crate) args: &'static [&'static str],
}

/// The given interpreter if it exists, else the one for the script's extension.
///
/// Behaviour of PM2 7.0.4, specification `options.md` §4.4, except that `node@<version>` uses what
/// NVM already has and downloads nothing, and that `tsx` runs TypeScript where nothing else does.
pub(crate) fn choose(
    given: Option<&str>,
    script: &Path,
    ctx: &CallerContext,
) -> Result<Interpreter, AppError> {
    let plain = |program: &str| Interpreter { program: program.to_owned(), args: &[] };
    let program = match given {
        Some("none") => return Ok(plain("none")),
        Some(given) => match given.strip_prefix("node@") {
            Some(version) => {
                let node =
                    nvm_node(version, ctx).ok_or_else(|| AppError::InterpreterNotFound(given.to_owned()))?;
                return Ok(plain(&node.to_string_lossy()));
            }
            None => given.to_owned(),
        },
        None => match by_extension(script, ctx) {
            Choice::Program(program) => program.to_owned(),
            Choice::TypeScript => return typescript(ctx),
            Choice::Itself => return Ok(plain("none")),
            Choice::CallersNode => return Ok(plain(&ctx.node.to_string_lossy())),
        },
    };
    if find_program(&program, ctx).is_some() {
        Ok(plain(&program))
    } else if program == "node" && ctx.node.is_file() {
        Ok(plain(&ctx.node.to_string_lossy()))
    } else {
        Err(AppError::InterpreterNotFound(program))
    }
}

enum Choice {
    Program(&'static str),
    TypeScript,
    Itself,
    CallersNode,
}

fn by_extension(script: &Path, ctx: &CallerContext) -> Choice {
    let extension = script.extension().and_then(|extension| extension.to_str());
    Choice::Program(match extension {
        Some("js") => "node",
        Some("py") if find_program("python", ctx).is_some() => "python",
        Some("py") if find_program("python3", ctx).is_some() => "python3",
        Some("py") => "python",
        Some("sh") => "bash",
        Some("rb") => "ruby",
        Some("php") => "php",
        Some("pl") => "perl",
        Some("coffee") => "coffee",
        Some("ls") => "lsc",
        Some("tsx") if find_program("bun", ctx).is_none() && find_program("tsx", ctx).is_some() => "tsx",
        Some("tsx") => "bun",
        Some("ts") => return Choice::TypeScript,
        _ if is_binary(script) => return Choice::Itself,
        _ => return Choice::CallersNode,
    })
}

/// `bun`, or a Node that strips types, or `tsx`, which PM2 does not look for.
fn typescript(ctx: &CallerContext) -> Result<Interpreter, AppError> {
    if find_program("bun", ctx).is_some() {
        return Ok(Interpreter { program: "bun".to_owned(), args: &[] });
    }
    let (program, path) = match find_program("node", ctx) {
        Some(path) => ("node".to_owned(), path),
        None => (ctx.node.to_string_lossy().into_owned(), ctx.node.clone()),
    };
    if let Some(args) = node_version(&path, ctx).and_then(type_stripping) {
        return Ok(Interpreter { program, args });
    }
    match find_program("tsx", ctx) {
        Some(_) => Ok(Interpreter { program: "tsx".to_owned(), args: &[] }),
        None => Err(AppError::TypeScript),
    }
}

/// The arguments a Node of this version needs to run TypeScript; `None` if it cannot.
fn type_stripping((major, minor): (u32, u32)) -> Option<&'static [&'static str]> {
    match (major, minor) {
        (24.., _) | (23, 6..) | (22, 18..) => Some(&[]),
        (23, _) | (22, 6..) => Some(&["--experimental-strip-types"]),
        _ => None,
    }
}

fn node_version(node: &Path, ctx: &CallerContext) -> Option<(u32, u32)> {
    let output = Command::new(node)
        .arg("--version")
        .env_clear()
        .current_dir(&ctx.cwd)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    parse_version(std::str::from_utf8(&output.stdout).ok()?.trim()).map(|version| (version[0], version[1]))
}

/// `v20.19.1` as numbers; missing parts are 0.
fn parse_version(text: &str) -> Option<[u32; 3]> {
    let mut version = [0; 3];
    for (place, part) in version.iter_mut().zip(text.trim_start_matches('v').split('.')) {
        *place = part.parse().ok()?;
    }
    Some(version)
}

/// The newest Node that NVM has for this version or its beginning.
fn nvm_node(version: &str, ctx: &CallerContext) -> Option<PathBuf> {
    let wanted = version.trim_start_matches('v');
    let installed = Path::new(ctx.variable("NVM_DIR")?).join("versions/node");
    fs::read_dir(installed)
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name();
            let name = name.to_str()?.trim_start_matches('v').to_owned();
            let is_wanted =
                name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            let node = entry.path().join("bin/node");
            (is_wanted && node.is_file()).then_some((parse_version(&name)?, node))
        })
        .max()
        .map(|(_, node)| node)
}

/// Whether the file starts like a binary: with a zero byte, or mostly bytes that are no text.
fn is_binary(script: &Path) -> bool {
    let mut sample = Vec::new();
    let Ok(file) = File::open(script) else {
        return false;
    };
    if file.take(SAMPLE_BYTES).read_to_end(&mut sample).is_err() {
        return false;
    }
    let n_strange = sample.iter().filter(|&&byte| byte < 7 || (14..32).contains(&byte) && byte != 27).count();
    sample.contains(&0) || n_strange * 10 > sample.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let check = |text: &str, expected: Option<[u32; 3]>| assert_eq!(parse_version(text), expected);
        check("v20.19.1", Some([20, 19, 1]));
        check("12", Some([12, 0, 0]));
        check("v22.0.0-nightly", None);
        check("", None);
    }

    #[test]
    fn node_versions_that_strip_types() {
        let check = |version: (u32, u32), expected: Option<usize>| {
            assert_eq!(type_stripping(version).map(<[_]>::len), expected, "{version:?}");
        };
        check((20, 20), None);
        check((22, 5), None);
        check((22, 6), Some(1));
        check((22, 18), Some(0));
        check((23, 0), Some(1));
        check((23, 6), Some(0));
        check((24, 0), Some(0));
    }

    #[test]
    fn binaries() {
        let dir = tempfile::tempdir().unwrap();
        let check = |content: &[u8], expected: bool| {
            let path = dir.path().join("file");
            fs::write(&path, content).unwrap();
            assert_eq!(is_binary(&path), expected, "{content:?}");
        };
        check(b"", false);
        check(b"#!/bin/sh\necho \xc3\xa9\n", false);
        check("\u{1b}[31mred".as_bytes(), false);
        check(b"\x7fELF\x02\x01\x01\x00", true);
        assert!(!is_binary(dir.path()));
    }
}
