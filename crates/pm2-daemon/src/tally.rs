//! Counts that can be waited for.

use std::sync::Arc;

use tokio::sync::watch;

/// How much of something there is; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<watch::Sender<usize>>);

impl Tally {
    pub(crate) fn add(&self, count: usize) {
        self.0.send_modify(|sum| *sum += count);
    }

    pub(crate) fn remove(&self, count: usize) {
        self.0.send_modify(|sum| *sum = sum.saturating_sub(count));
    }

    /// Counts one until the result is dropped.
    pub(crate) fn one(&self) -> One {
        self.add(1);
        One(self.clone())
    }

    /// Completes when there is nothing.
    pub(crate) async fn zero(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        drop(self.0.subscribe().wait_for(|sum| *sum == 0).await);
    }
}

/// One that is counted.
pub(crate) struct One(Tally);

impl Drop for One {
    fn drop(&mut self) {
        self.0.remove(1);
    }
}

/// Something that stops at a word and goes on at another.
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(crate) fn opened() -> Gate {
        Gate(watch::Sender::new(true))
    }

    pub(crate) fn set_open(&self, is_open: bool) {
        self.0.send_replace(is_open);
    }

    /// Completes when the gate is open.
    pub(crate) async fn open(&self) {
        self.is(true).await;
    }

    /// Completes when the gate is shut.
    pub(crate) async fn shut(&self) {
        self.is(false).await;
    }

    async fn is(&self, open: bool) {
        if *self.0.borrow() != open {
            drop(self.0.subscribe().wait_for(|is_open| *is_open == open).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for() {
        let tally = Tally::default();
        tally.zero().await;
        let (one, other) = (tally.one(), tally.clone().one());
        drop(one);
        let soon =
            |tally: Tally| async move { tokio::time::timeout(Duration::from_secs(1), tally.zero()).await };
        assert!(soon(tally.clone()).await.is_err());
        drop(other);
        assert!(soon(tally).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_opens_and_shuts() {
        let gate = Gate::opened();
        gate.open().await;
        assert!(tokio::time::timeout(Duration::from_secs(1), gate.shut()).await.is_err());
        gate.set_open(false);
        gate.shut().await;
        assert!(tokio::time::timeout(Duration::from_secs(1), gate.open()).await.is_err());
    }
}
