//! Moments of the clock that a program image cannot tell its successor.

use std::time::{Duration, Instant};

use crate::clock::epoch_ms;

/// The moment of a freeze: others are told as milliseconds from it, negative before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    frozen: Instant,
    /// Epoch ms of that moment.
    pub(crate) at: i64,
}

/// A thaw that comes later than this comes from a clock that was set.
const LONGEST_MS: i64 = 60_000;

impl Clock {
    /// Stops the clock now.
    pub(crate) fn stop() -> Clock {
        Clock { frozen: Instant::now(), at: epoch_ms() }
    }

    /// The clock that was stopped at that moment of the epoch.
    pub(crate) fn stopped_at(at: i64) -> Clock {
        let passed = epoch_ms().saturating_sub(at).clamp(0, LONGEST_MS);
        Clock { frozen: before(Instant::now(), milliseconds(passed)), at }
    }

    pub(crate) fn tell(&self, moment: Instant) -> i64 {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        match moment.checked_duration_since(self.frozen) {
            Some(after) => ms(after),
            None => -ms(self.frozen.duration_since(moment)),
        }
    }

    pub(crate) fn moment(&self, ms: i64) -> Instant {
        match u64::try_from(ms) {
            Ok(_) => self.frozen + milliseconds(ms),
            Err(_) => before(self.frozen, milliseconds(ms)),
        }
    }
}

fn milliseconds(ms: i64) -> Duration {
    // A hundred years, which every clock can count.
    Duration::from_millis(ms.unsigned_abs().min(3_155_760_000_000))
}

/// The clock of some systems does not go back further than their start.
fn before(moment: Instant, by: Duration) -> Instant {
    moment.checked_sub(by).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_come_back_less_what_has_passed() {
        let clock = Clock::stop();
        let second = Duration::from_secs(1);
        assert_eq!((clock.tell(clock.frozen + second), clock.tell(clock.frozen - second)), (1000, -1000));
        assert_eq!(clock.moment(-1000), clock.frozen - second);
        let later = Clock::stopped_at(clock.at - 400);
        let due = later.moment(1000).duration_since(Instant::now());
        assert!((500..=600).contains(&due.as_millis()), "{due:?}");
    }

    #[test]
    fn a_clock_that_was_set_does_no_harm() {
        let now = Instant::now();
        let (past, future) = (Clock::stopped_at(0), Clock::stopped_at(i64::MAX));
        assert!(now.saturating_duration_since(past.frozen) <= Duration::from_secs(61));
        assert!(future.frozen >= now);
        past.moment(i64::MIN);
        past.moment(i64::MAX);
    }
}
