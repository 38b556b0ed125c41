//! Whether a program can go on with what this daemon leaves.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use super::UpgradeError;
use crate::context::Context;
use crate::handover::{VERSION, is_readable};
use crate::sys::{Exit, Launch, Signal, output_pipe, send_signal};

/// How long the program may take to say so.
const PATIENCE: Duration = Duration::from_secs(10);
/// What it may say at most.
const MAX_BYTES: u64 = 4096;

/// What the program says when it is run with `daemon --reads-state <version>`; `None`: it cannot read that state.
#[must_use]
pub fn reads_state(version: u32) -> Option<String> {
    is_readable(version).then(|| format!("pm2-rs {} {}", pm2_core::VERSION, statement(version)))
}

fn statement(version: u32) -> String {
    format!("reads state {version}")
}

/// Runs the program to ask it.
pub(super) async fn check(context: &Arc<Context>, program: &Path) -> Result<(), UpgradeError> {
    let not_run = |source| UpgradeError::NotRun { program: program.to_owned(), source };
    let (said, exit) = run(context, program).await.map_err(not_run)?;
    let speaks_for_itself = |line: &str| line.starts_with("pm2-rs ") && line.ends_with(&statement(VERSION));
    if exit == Some(Exit::Code(0)) && said.lines().any(speaks_for_itself) {
        return Ok(());
    }
    let said = match (said.lines().find(|line| !line.trim().is_empty()), exit) {
        (Some(line), _) => line.chars().take(200).collect(),
        (None, Some(_)) => "it is asked and says nothing".to_owned(),
        (None, None) => format!("it is asked and says nothing within {} s", PATIENCE.as_secs()),
    };
    Err(UpgradeError::Unable { program: program.to_owned(), said })
}

/// What it says, and how it ends, unless it does neither.
async fn run(context: &Arc<Context>, program: &Path) -> io::Result<(String, Option<Exit>)> {
    let (said, theirs) = output_pipe()?;
    let launch = launch(program, theirs)?;
    let spawned = tokio::task::spawn_blocking({
        let context = context.clone();
        move || context.host.spawn(launch)
    });
    let mut spawned = spawned.await.map_err(io::Error::other)??;
    let mut text = Vec::new();
    let ended = async {
        // The end of the pipe may be held open by somebody else, and what was said until then may be enough.
        let read = async {
            let mut said = pipe::Receiver::from_owned_fd(said)?.take(MAX_BYTES);
            while said.read_buf(&mut text).await? > 0 {}
            io::Result::Ok(())
        };
        drop(read.await);
        (&mut spawned.exit).await
    };
    let exit = timeout(PATIENCE, ended).await.ok();
    if exit.is_none() {
        // It was not reaped, so the number is still its own.
        drop(send_signal(spawned.pid, Signal::KILL));
        context.outlive(spawned.pid, None, spawned.exit);
    }
    Ok((String::from_utf8_lossy(&text).into_owned(), exit))
}

fn launch(program: &Path, output: OwnedFd) -> io::Result<Launch> {
    let null = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    let version = VERSION.to_string();
    let arguments =
        [program.as_os_str(), OsStr::new("daemon"), OsStr::new("--reads-state"), OsStr::new(&version)];
    Ok(Launch {
        program: text(program.as_os_str())?,
        arguments: arguments.into_iter().map(text).collect::<io::Result<_>>()?,
        environment: environment([])?,
        folder: text(OsStr::new("/"))?,
        uid: None,
        gid: None,
        descriptors: [null()?, output.try_clone()?, output, null()?],
        own_session: true,
        is_app: false,
    })
}

/// The environment of this process and some variables more, as a program is given it.
pub(super) fn environment(
    more: impl IntoIterator<Item = (&'static str, OsString)>,
) -> io::Result<Vec<CString>> {
    let more = more.into_iter().map(|(key, value)| (OsString::from(key), value));
    let pair = |(mut key, value): (OsString, OsString)| {
        key.push("=");
        key.push(value);
        text(&key)
    };
    std::env::vars_os().chain(more).map(pair).collect()
}

/// A text as a program is given it.
pub(super) fn text(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}
