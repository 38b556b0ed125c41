//! When connections are dealt by the daemon, and when they go straight to the workers.
//!
//! Dealing is even and sees who is busy, but costs a hand-over for each connection. Where there are so many that it
//! matters, chance is even enough.

use std::time::{Duration, Instant};

/// How often the rate is looked at.
pub(super) const TICK: Duration = Duration::from_millis(50);
/// One of so many connections comes to the daemon while the others do not, so that their rate is known.
pub(super) const SAMPLE: u32 = 64;
/// Looks in a row that show a high rate before dealing ends.
const TICKS_UP: u32 = 3;
/// Looks over which a low rate is told.
const TICKS_DOWN: u32 = 20;

/// The rate of one listener.
#[derive(Debug)]
pub(super) struct Pace {
    /// Connections per second above which they are not dealt.
    limit: u32,
    direct: bool,
    /// Connections that came to the daemon since `since`.
    n: u32,
    since: Instant,
    /// Looks in a row that speak for dealing no more, or since the rate was last told.
    streak: u32,
}

impl Pace {
    pub(super) fn new(limit: u32, now: Instant) -> Pace {
        Pace { limit, direct: limit == 0, n: 0, since: now, streak: 0 }
    }

    /// Goes on as it was; nothing is known of the rate.
    pub(super) fn resume(limit: u32, was_direct: bool, now: Instant) -> Pace {
        Pace { direct: limit == 0 || was_direct, ..Pace::new(limit, now) }
    }

    pub(super) fn is_direct(&self) -> bool {
        self.direct
    }

    /// Counts a connection; says whether the way has changed.
    pub(super) fn count(&mut self, now: Instant) -> bool {
        self.n += 1;
        // While connections go to the workers it is the clock that asks.
        !self.direct && now.duration_since(self.since) >= TICK && self.look(now)
    }

    /// Looks at the rate; says whether the way has changed. While connections go to the workers the daemon sees few of
    /// them, so it takes [`TICKS_DOWN`] looks to tell.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        if self.direct {
            self.streak += 1;
            if self.streak < TICKS_DOWN {
                return false;
            }
            self.streak = 0;
            self.direct = self.rate(now) * f64::from(SAMPLE) >= f64::from(self.limit) / 2.0;
            return !self.direct;
        }
        self.streak = if self.rate(now) > f64::from(self.limit) { self.streak + 1 } else { 0 };
        if self.streak < TICKS_UP {
            return false;
        }
        self.streak = 0;
        self.direct = true;
        true
    }

    /// Connections per second that came to the daemon since this was last asked.
    fn rate(&mut self, now: Instant) -> f64 {
        let seconds = now.duration_since(self.since).as_secs_f64().max(0.001);
        let rate = f64::from(self.n) / seconds;
        self.n = 0;
        self.since = now;
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connections at a rate for a time; when the way changed, in ms from the start.
    fn run(pace: &mut Pace, start: Instant, rate: u32, for_ms: u64) -> Vec<u64> {
        let mut changes = Vec::new();
        let mut debt = 0;
        let mut sampled = 0;
        for ms in 0..for_ms {
            let now = start + Duration::from_millis(ms);
            debt += rate;
            while debt >= 1000 {
                debt -= 1000;
                sampled += 1;
                if pace.is_direct() && sampled % SAMPLE != 0 {
                    continue;
                }
                if pace.count(now) {
                    changes.push(ms);
                }
            }
            if pace.is_direct() && ms % 50 == 49 && pace.look(now) {
                changes.push(ms);
            }
        }
        changes
    }

    #[test]
    fn a_low_rate_is_dealt() {
        let start = Instant::now();
        let mut pace = Pace::new(1000, start);
        assert!(run(&mut pace, start, 900, 10_000).is_empty());
        assert!(!pace.is_direct());
    }

    #[test]
    fn a_high_rate_goes_direct_soon_and_comes_back_late() {
        let start = Instant::now();
        let mut pace = Pace::new(1000, start);
        let changes = run(&mut pace, start, 4000, 5000);
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!((150..300).contains(&changes[0]), "{changes:?}");
        let quiet = start + Duration::from_secs(5);
        let changes = run(&mut pace, quiet, 100, 5000);
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!((900..2100).contains(&changes[0]), "{changes:?}");
    }

    #[test]
    fn a_burst_after_a_long_silence_is_no_rate() {
        let start = Instant::now();
        let mut pace = Pace::new(1000, start);
        let later = start + Duration::from_secs(60);
        assert!((0..500).all(|_| !pace.count(later)));
    }

    #[test]
    fn a_limit_of_zero_never_deals() {
        let start = Instant::now();
        let mut pace = Pace::new(0, start);
        assert!(pace.is_direct());
        assert!(run(&mut pace, start, 0, 5000).is_empty());
    }
}
