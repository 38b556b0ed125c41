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

/// Whether so many more bytes may wait behind `waiting` ones, for somebody who last took something, or had nothing
/// waiting, at that moment; `most` for one who reads. However large, one thing may wait alone.
pub(crate) fn allows(waiting: usize, more: usize, last_read: Instant, most: usize) -> bool {
    let all = waiting.saturating_add(more);
    // The clock is looked at only if it matters.
    waiting == 0 || all <= STOPPED_BYTES || (all <= most && last_read.elapsed() < PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_reads_may_have_more_waiting() {
        let now = Instant::now();
        let allows = |waiting, more| allows(waiting, more, now, 2 * STOPPED_BYTES);
        assert!(allows(0, usize::MAX));
        assert!(allows(STOPPED_BYTES, STOPPED_BYTES));
        assert!(!allows(STOPPED_BYTES, STOPPED_BYTES + 1));
        tokio::time::advance(PATIENCE).await;
        assert!(allows(0, usize::MAX));
        assert!(allows(STOPPED_BYTES - 1, 1));
        assert!(!allows(STOPPED_BYTES, 1));
    }
}
