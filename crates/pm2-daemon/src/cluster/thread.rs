//! The loop of the cluster's thread.

use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use mio::{Events, Poll};

use super::Command;
use super::primary::{Primary, Source};

/// Serves workers until the daemon has no use for it, or somebody else goes on.
pub(super) fn run(mut poll: Poll, commands: &Receiver<Command>, mut primary: Primary) {
    let mut events = Events::with_capacity(256);
    let mut more = false;
    loop {
        let wait = if more {
            Some(std::time::Duration::ZERO)
        } else {
            primary.next_timer().map(|at| at.saturating_duration_since(Instant::now()))
        };
        match poll.poll(&mut events, wait) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // Only a broken poll descriptor does that.
            Err(_) => return,
        }
        for event in &events {
            match Source::of(event.token()) {
                // Commands are looked at in every round.
                Source::Waker => {}
                Source::Channel(worker) => primary.channel_ready(worker),
                Source::Socket { listener, n } => primary.socket_ready(listener, n),
            }
        }
        loop {
            match commands.try_recv() {
                Ok(Command::Freeze { clock, frozen }) => {
                    // Whoever asks waits for it.
                    return drop(frozen.send(primary.freeze(&clock)));
                }
                Ok(command) => primary.command(command),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        let now = Instant::now();
        primary.fire(now);
        more = primary.go_on(now);
    }
}
