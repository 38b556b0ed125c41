//! How much may wait for somebody who reads.
//!
//! Whoever takes something now and then is only slower than those who speak to him, and is to lose nothing; whoever has
//! stopped must not cost more and more.

use std::time::Duration;

use tokio::time::Instant;

/// For one who has stopped.
pub(crate) const STOPPED_BYTES: usize = 16 * 1024 * 1024;
/// Who has taken nothing for so long, although something was waiting, has stopped.
const PATIENCE: Duration = Duration::from_millis(500);

/// The bytes that wait for one reader.
#[derive(Debug)]
pub(crate) struct Allowance {
    waiting: usize,
    /// For as long as he reads.
    most: usize,
    /// When he last took something, or had nothing to take.
    last_read: Instant,
}

impl Allowance {
    /// `most` may wait while he reads; so many bytes are waiting.
    pub(crate) fn new(most: usize, waiting: usize) -> Allowance {
        Allowance { waiting, most, last_read: Instant::now() }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Adds so many bytes, if they may wait. However large, one thing may wait alone.
    pub(crate) fn add(&mut self, count: usize) -> bool {
        let all = self.waiting.saturating_add(count);
        // The clock is looked at only if it matters.
        let reads = || self.last_read.elapsed() < PATIENCE;
        if self.waiting == 0 {
            self.last_read = Instant::now();
        } else if all > STOPPED_BYTES && (all > self.most || !reads()) {
            return false;
        }
        self.waiting = all;
        true
    }

    /// Adds so many bytes in any case.
    pub(crate) fn add_all_the_same(&mut self, count: usize) {
        self.waiting += count;
    }

    /// He has taken so many.
    pub(crate) fn taken(&mut self, count: usize) {
        self.waiting -= count;
        self.last_read = Instant::now();
    }

    /// So many do not wait after all.
    pub(crate) fn withdrawn(&mut self, count: usize) {
        self.waiting -= count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_reads_may_have_more_waiting() {
        let allows = |waiting, more, pause| async move {
            let mut allowance = Allowance::new(2 * STOPPED_BYTES, waiting);
            tokio::time::advance(pause).await;
            let allows = allowance.add(more);
            assert_eq!(allowance.waiting(), if allows { waiting.saturating_add(more) } else { waiting });
            allows
        };
        assert!(allows(0, usize::MAX, Duration::ZERO).await);
        assert!(allows(STOPPED_BYTES, STOPPED_BYTES, Duration::ZERO).await);
        assert!(!allows(STOPPED_BYTES, STOPPED_BYTES + 1, Duration::ZERO).await);
        assert!(allows(0, usize::MAX, PATIENCE).await);
        assert!(allows(STOPPED_BYTES - 1, 1, PATIENCE).await);
        assert!(!allows(STOPPED_BYTES, 1, PATIENCE).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_something_reads() {
        let mut allowance = Allowance::new(2 * STOPPED_BYTES, STOPPED_BYTES);
        tokio::time::advance(PATIENCE).await;
        assert!(!allowance.add(2));
        allowance.taken(1);
        assert!(allowance.add(2));
        tokio::time::advance(PATIENCE).await;
        // What was withdrawn nobody has taken.
        allowance.withdrawn(1);
        assert!(!allowance.add(2));
    }
}
