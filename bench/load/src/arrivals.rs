//! When requests are due that a clock sends, not the answer to an earlier one.

use std::time::{Duration, Instant};

/// Independent arrivals: the times between them are distributed exponentially around their mean. Clients that do not
/// know of each other come like that, in bunches and with gaps, while a metronome would never let a queue form.
///
/// Every run has the same sequence, so that runs can be compared.
pub(crate) struct Arrivals {
    due: Instant,
    mean: f64,
    random: u64,
}

impl Arrivals {
    /// `rate`: arrivals per second.
    pub(crate) fn new(start: Instant, rate: f64) -> Arrivals {
        let mut arrivals = Arrivals { due: start, mean: 1.0 / rate, random: 0x9e37_79b9_7f4a_7c15 };
        arrivals.advance();
        arrivals
    }

    /// When the next request is due.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Goes on to the one after it.
    pub(crate) fn advance(&mut self) {
        let gap = -self.mean * self.uniform().ln();
        self.due += Duration::from_secs_f64(gap);
    }

    /// Above 0, at most 1. Generator: xorshift64*.
    fn uniform(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        (bits + 1) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_and_the_gaps_differ() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start, 1000.0);
        let mut times = Vec::new();
        for _ in 0..10_000 {
            times.push(arrivals.due() - start);
            arrivals.advance();
        }
        let seconds = times.last().unwrap().as_secs_f64();
        assert!((9.7..10.3).contains(&seconds), "{seconds}");

        let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let longer_than_mean = gaps.iter().filter(|gap| **gap > Duration::from_millis(1)).count() as f64;
        // 1/e of them, if they are exponential.
        assert!((0.35..0.39).contains(&(longer_than_mean / gaps.len() as f64)), "{longer_than_mean}");
    }
}
