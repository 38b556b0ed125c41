//! From one program image to the next, or back to the first.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::check::{environment, text};
use super::{UpgradeError, predecessor};
use crate::engine::Engine;
use crate::handover::{self, Descriptors, State};
use crate::ready::NOTIFY_VARIABLE;
use crate::run::{Hold, Lifetime, Signals};
use crate::sys::{keep_over_exec, leave_signals_to_others, memory_file, replace_program, take_signals_again};

/// How long the last commands may take when no more are looked at.
const LAST_COMMANDS: Duration = Duration::from_secs(5);
/// How long clients may take to read what was said to them.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What is to run, and what it is told beside the state.
pub(crate) struct Image<'a> {
    pub(crate) program: &'a Path,
    pub(crate) lifetime: Lifetime,
    /// Address of the socket of whoever started this daemon as a service.
    pub(crate) service_manager: Option<&'a OsStr>,
}

/// Runs the program in this process's place. Returns only when that failed; then everything is as it was.
pub(crate) async fn perform(
    engine: &Arc<Engine>,
    hold: &Hold,
    image: &Image<'_>,
    signals: &mut Signals,
) -> UpgradeError {
    let journal = &engine.supervisor.context.journal;
    journal.log(format_args!("Going over to {}", image.program.display()));
    // Those that come from now on wait until somebody can be told of them, here or there.
    leave_signals_to_others();
    engine.gate.set_open(false);
    let Err(error) = go_over(engine, hold, image, signals).await;
    engine.gate.set_open(true);
    take_signals_again();
    journal.error(format_args!("Not gone over to {}: {error}", image.program.display()));
    error
}

async fn go_over(
    engine: &Arc<Engine>,
    hold: &Hold,
    image: &Image<'_>,
    signals: &mut Signals,
) -> Result<std::convert::Infallible, UpgradeError> {
    let context = &engine.supervisor.context;
    timeout(LAST_COMMANDS, context.under_way.zero()).await.map_err(|_| UpgradeError::Busy)?;
    if context.is_ending() {
        return Err(UpgradeError::Ending);
    }
    // What can fail does so before anything is frozen.
    let successor = Successor::new(image).map_err(UpgradeError::State)?;
    let mut descriptors = Descriptors::default();
    let home = hold.freeze(&mut descriptors).map_err(UpgradeError::State)?;

    let (mut state, descriptors) = handover::freeze(engine, home, descriptors).await?;
    // A client that does not read loses what it has not read.
    drop(timeout(LAST_WORDS, async { tokio::join!(engine.unsent.zero(), context.bus.sent()) }).await);
    // Signals that came before they were held up are known once the system was asked for news.
    tokio::task::yield_now().await;
    let error = if signals.have_come().await {
        UpgradeError::Signalled
    } else {
        state.descriptors = descriptors.numbers();
        successor.run(&state, &descriptors)
    };
    handover::thaw(engine, state, descriptors);
    Err(error)
}

/// The next image, prepared.
struct Successor<'a> {
    program: &'a Path,
    state: std::fs::File,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Successor<'_> {
    fn new<'a>(image: &Image<'a>) -> io::Result<Successor<'a>> {
        let state = memory_file()?;
        let attached = (image.lifetime == Lifetime::Attached).then_some(OsStr::new("--attached"));
        let arguments = [image.program.as_os_str(), OsStr::new("daemon")].into_iter().chain(attached);
        let state_number = (predecessor::VARIABLE, OsString::from(state.as_raw_fd().to_string()));
        let service_manager = image.service_manager.map(|address| (NOTIFY_VARIABLE, address.to_owned()));
        let more = [state_number].into_iter().chain(service_manager);
        Ok(Successor {
            program: image.program,
            arguments: arguments.map(text).collect::<io::Result<_>>()?,
            environment: environment(more)?,
            state,
        })
    }

    /// Runs it; nothing else runs in this process.
    fn run(&self, state: &State, descriptors: &Descriptors) -> UpgradeError {
        if let Err(error) = state.write(&self.state) {
            return UpgradeError::State(error);
        }
        let survive = |survive| {
            keep_over_exec(self.state.as_fd(), survive).and_then(|()| descriptors.survive_exec(survive))
        };
        let error = match survive(true).and_then(|()| text(self.program.as_os_str())) {
            Ok(program) => replace_program(&program, &self.arguments, &self.environment),
            Err(error) => error,
        };
        // Only a descriptor that is not open has no such flag.
        drop(survive(false));
        UpgradeError::NotRun { program: self.program.to_owned(), source: error }
    }
}
