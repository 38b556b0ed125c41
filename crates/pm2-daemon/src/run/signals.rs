//! The signals that concern the daemon, specification `lifecycle.md` §14.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Received {
    End,
    ReloadLogs,
}

/// Those that come.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    reload: Signal,
    hangup: Signal,
    /// Seen, and not dealt with.
    seen: Option<Received>,
}

impl Signals {
    /// Asks for them.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn install() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            reload: signal(SignalKind::user_defined2())?,
            hangup: signal(SignalKind::hangup())?,
            seen: None,
        })
    }

    /// The next one that means something.
    pub(super) async fn next(&mut self) -> Received {
        loop {
            if let Some(seen) = self.seen.take() {
                return seen;
            }
            tokio::select! {
                _ = self.terminate.recv() => return Received::End,
                _ = self.interrupt.recv() => return Received::End,
                _ = self.quit.recv() => return Received::End,
                _ = self.reload.recv() => return Received::ReloadLogs,
                // Ignored, as a terminal that closes must not end the daemon.
                _ = self.hangup.recv() => {}
            }
        }
    }

    /// Whether one has come that was not dealt with.
    pub(crate) async fn have_come(&mut self) -> bool {
        self.seen = tokio::select! {
            biased;
            received = self.next() => Some(received),
            () = std::future::ready(()) => None,
        };
        self.seen.is_some()
    }
}
