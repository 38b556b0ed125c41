//! Many changes, one restart.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

/// A burst is over when nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(50);
/// It is not waited for longer than this.
const LONGEST: Duration = Duration::from_secs(1);

/// Puts the changes of an editor, a checkout or a build together.
#[derive(Debug, Default)]
pub(crate) struct Burst {
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    path: PathBuf,
    at: Instant,
    last: Instant,
}

impl Burst {
    /// A burst that has begun with this path.
    pub(crate) fn begun(path: PathBuf) -> Burst {
        let now = Instant::now();
        Burst { begun: Some(Begun { path, at: now, last: now }) }
    }

    /// The path that a burst has begun with which is not over.
    pub(crate) fn into_path(self) -> Option<PathBuf> {
        self.begun.map(|begun| begun.path)
    }

    /// The first path of the next burst, once that is over and `delay` has passed. Nothing is lost when it is dropped
    /// before; `None` when there will be no changes any more.
    pub(crate) async fn over(
        &mut self,
        changes: &mut mpsc::Receiver<PathBuf>,
        delay: Duration,
    ) -> Option<PathBuf> {
        loop {
            match &mut self.begun {
                None => {
                    let path = changes.recv().await?;
                    let now = Instant::now();
                    self.begun = Some(Begun { path, at: now, last: now });
                }
                Some(begun) => {
                    let due = (begun.last + QUIET).min(begun.at + LONGEST).max(begun.at + delay);
                    tokio::select! {
                        biased;
                        change = changes.recv(), if begun.last + QUIET < begun.at + LONGEST => {
                            change?;
                            begun.last = Instant::now();
                        }
                        () = tokio::time::sleep_until(due) => return self.begun.take().map(|begun| begun.path),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When restarts are due for changes at those times, all in ms from the start.
    async fn due(changes_at: &[u64], delay: u64) -> Vec<u64> {
        let (sender, mut changes) = mpsc::channel(16);
        let changes_at = changes_at.to_vec();
        let start = Instant::now();
        let sending = tokio::spawn(async move {
            for at in changes_at {
                tokio::time::sleep_until(start + Duration::from_millis(at)).await;
                drop(sender.try_send(PathBuf::from(at.to_string())));
            }
            tokio::time::sleep(Duration::from_secs(100)).await;
        });
        let mut burst = Burst::default();
        let mut found = Vec::new();
        while let Ok(Some(_)) = tokio::time::timeout(
            Duration::from_secs(30),
            burst.over(&mut changes, Duration::from_millis(delay)),
        )
        .await
        {
            found.push(start.elapsed().as_millis() as u64);
        }
        sending.abort();
        found
    }

    #[tokio::test(start_paused = true)]
    async fn one_restart_for_each_burst() {
        assert_eq!(due(&[0], 0).await, [50]);
        assert_eq!(due(&[0, 10, 20, 60], 0).await, [110]);
        assert_eq!(due(&[0, 10, 500, 510], 0).await, [60, 560]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_counts_from_the_first_change() {
        assert_eq!(due(&[0, 10], 300).await, [300]);
        assert_eq!(due(&[0, 10, 280], 300).await, [330]);
    }

    #[tokio::test(start_paused = true)]
    async fn endless_changes_are_not_waited_for() {
        let changes: Vec<u64> = (0..150).map(|n| n * 20).collect();
        let found = due(&changes, 0).await;
        assert!(found.len() >= 3 && found[0] <= 1000, "{found:?}");
    }
}
