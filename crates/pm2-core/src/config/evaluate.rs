//! Files that need a JavaScript engine, for callers that have none: one run of `node`.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::file::{ConfigFileError, Evaluated};
use crate::app::{CallerContext, Map};

/// The program that evaluates; its header says how it is called.
const PROGRAM: &str = include_str!("../../../../lib/evaluate.cjs");
/// The descriptor it answers on.
const ANSWER_FD: i32 = 3;
/// Largest answer, in bytes.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;
/// How long a file may take unless [`TIMEOUT_VARIABLE`] says otherwise.
const DEFAULT_LIMIT: Duration = Duration::from_secs(30);
const TIMEOUT_VARIABLE: &str = "PM2_RS_CONFIG_TIMEOUT";
/// How much longer than that Node itself may take. It ends the file by itself and says so; this is for a Node that hangs.
const GRACE: Duration = Duration::from_secs(10);

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A JavaScript expression.
    Expression,
    /// A module of either kind.
    Module,
}

#[derive(Deserialize)]
struct Answer {
    value: Option<Value>,
    env: Option<Map>,
    error: Option<Thrown>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Thrown {
    name: String,
    message: String,
}

/// Evaluates a file with the caller's `node`; what the file prints goes where the caller prints.
pub(super) fn evaluate(kind: Kind, path: &Path, ctx: &CallerContext) -> Result<Evaluated, ConfigFileError> {
    let limit = ctx.variable(TIMEOUT_VARIABLE).and_then(|limit| limit.parse().ok());
    let limit = limit.map_or(DEFAULT_LIMIT, Duration::from_millis);
    let no_node = |source| ConfigFileError::NoNode { path: path.to_owned(), source };
    let (mut child, answer) = start(kind, path, ctx).map_err(no_node)?;
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let read = answer.take(MAX_ANSWER).read_to_end(&mut text);
        // Nobody listens after the limit.
        drop(sender.send(read.map(|_| text)));
    });
    let answered = receiver.recv_timeout(limit.saturating_add(GRACE));
    end(&mut child, answered.is_err());
    match answered {
        Ok(Ok(text)) => read(&text, path),
        Ok(Err(source)) => Err(no_node(source)),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            Err(ConfigFileError::Endless { path: path.to_owned(), seconds: limit.as_secs() })
        }
    }
}

fn start(kind: Kind, path: &Path, ctx: &CallerContext) -> io::Result<(Child, File)> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let how = match kind {
        Kind::Expression => "expression",
        Kind::Module => "module",
    };
    let mut command = Command::new(&ctx.node);
    // Whatever NODE_OPTIONS says of modules, the program is none.
    command
        .args(["--input-type=commonjs", "-e", PROGRAM, "--", how])
        .arg(path)
        .current_dir(&ctx.cwd)
        .stdin(Stdio::null());
    let variables = ctx.env.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    command.env_clear().envs(variables);
    let writer_fd = writer.as_raw_fd();
    // SAFETY: between fork and exec only dup2 and fcntl are called, which are async-signal-safe, on a descriptor
    // that is open until `spawn` has returned.
    unsafe {
        command.pre_exec(move || {
            // A descriptor duplicated onto itself would keep its close-on-exec.
            let done = match writer_fd == ANSWER_FD {
                true => libc::fcntl(ANSWER_FD, libc::F_SETFD, 0),
                false => libc::dup2(writer_fd, ANSWER_FD),
            };
            if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
        });
    }
    let child = command.spawn()?;
    Ok((child, File::from(reader)))
}

/// Waits for the process, which has answered, or kills it.
fn end(child: &mut Child, is_late: bool) {
    if is_late {
        // It may be gone already.
        drop(child.kill());
    }
    drop(child.wait());
}

fn read(text: &[u8], path: &Path) -> Result<Evaluated, ConfigFileError> {
    let answer: Answer =
        serde_json::from_slice(text).map_err(|_| ConfigFileError::NoAnswer(path.to_owned()))?;
    match answer.error {
        Some(thrown) => Err(ConfigFileError::Thrown { name: thrown.name, message: thrown.message }),
        None => Ok(Evaluated { value: answer.value.unwrap_or_default(), env: answer.env }),
    }
}
