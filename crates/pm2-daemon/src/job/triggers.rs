//! What makes a job act without being asked: its `cron_restart` pattern, its `max_memory_restart` limit, its files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Local};
use tokio::time::Instant;

use super::cron::{self, Schedule};
use super::spec::AppSpec;
use crate::sys::Sampler;
use crate::watch::{Burst, Subscription, WatchPlan, Watches};

/// How often the memory of an app with a limit is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// The same after a restart for that reason has failed.
const LOOK_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// The reason for what a job does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trigger {
    /// A file has changed; the path as the log shows it.
    Change(PathBuf),
    /// The pattern is due.
    Cron,
    /// The main process uses more memory than it may; both in bytes.
    Memory { used: u64, limit: u64 },
}

/// The triggers of one job. Without a pattern, a limit and watching they cost nothing.
#[derive(Default)]
pub(super) struct Triggers {
    cron: Option<Timetable>,
    memory: Option<Guard>,
    files: Option<Files>,
}

struct Files {
    plan: Arc<WatchPlan>,
    subscription: Subscription,
    burst: Burst,
}

struct Timetable {
    pattern: String,
    schedule: Schedule,
    next: Option<DateTime<Local>>,
}

struct Guard {
    limit: u64,
    pid: i32,
    /// `None` when the process has ended.
    sampler: Option<Sampler>,
    look: Instant,
}

impl Triggers {
    /// Follows the app's pattern. One that goes on keeps its place.
    ///
    /// # Errors
    /// What is wrong with the pattern; there is none then.
    pub(super) fn follow(&mut self, spec: &AppSpec) -> Result<(), String> {
        let Some(pattern) = &spec.cron_restart else {
            self.cron = None;
            return Ok(());
        };
        if self.cron.as_ref().is_some_and(|timetable| timetable.pattern == *pattern) {
            return Ok(());
        }
        self.cron = None;
        let now = Local::now();
        let schedule =
            Schedule::parse(pattern, &now).map_err(|error| format!("cron_restart \"{pattern}\": {error}"))?;
        let next = schedule.next(&now);
        self.cron = Some(Timetable { pattern: pattern.clone(), schedule, next });
        Ok(())
    }

    /// Follows the files that the app wants to be restarted for.
    ///
    /// # Errors
    /// Why files cannot be watched.
    pub(super) fn watch(&mut self, plan: Option<&Arc<WatchPlan>>, watches: &Watches) -> Result<(), String> {
        let Some(plan) = plan else {
            self.files = None;
            return Ok(());
        };
        if self.files.as_ref().is_some_and(|files| files.plan == *plan) {
            return Ok(());
        }
        self.files = None;
        let subscription = watches.subscribe(plan.clone())?;
        self.files = Some(Files { plan: plan.clone(), subscription, burst: Burst::default() });
        Ok(())
    }

    /// What has changed until now has been dealt with.
    pub(super) fn forget_changes(&mut self) {
        if let Some(files) = &mut self.files {
            files.burst = Burst::default();
            while files.subscription.changes.try_recv().is_ok() {}
        }
    }

    /// The process of the job has changed.
    pub(super) fn guard(&mut self, spec: &AppSpec, pid: Option<i32>) {
        self.memory = pid.zip(spec.max_memory_restart).map(|(pid, limit)| Guard {
            limit,
            pid,
            sampler: Sampler::open(pid),
            look: Instant::now() + LOOK,
        });
    }

    /// A restart for too much memory has not happened.
    pub(super) fn be_patient(&mut self) {
        if let Some(guard) = &mut self.memory {
            guard.look = Instant::now() + LOOK_AFTER_FAILURE;
        }
    }

    /// Completes when something is to be done. Nothing is lost when it is dropped before.
    pub(super) async fn next(&mut self) -> Trigger {
        let Triggers { cron, memory, files } = self;
        tokio::select! {
            () = due(cron) => {
                if let Some(timetable) = cron {
                    timetable.next = timetable.schedule.next(&Local::now());
                }
                Trigger::Cron
            }
            (used, limit) = exceeded(memory) => Trigger::Memory { used, limit },
            path = changed(files) => Trigger::Change(path),
        }
    }
}

async fn due(cron: &Option<Timetable>) {
    match cron.as_ref().and_then(|timetable| timetable.next) {
        Some(next) => cron::due(next).await,
        None => std::future::pending().await,
    }
}

async fn changed(files: &mut Option<Files>) -> PathBuf {
    if let Some(Files { plan, subscription, burst }) = files
        && let Some(path) = burst.over(&mut subscription.changes, plan.delay).await
    {
        return plan.shown(&path).to_owned();
    }
    std::future::pending().await
}

async fn exceeded(memory: &mut Option<Guard>) -> (u64, u64) {
    let Some(guard) = memory else { return std::future::pending().await };
    loop {
        tokio::time::sleep_until(guard.look).await;
        guard.look = Instant::now() + LOOK;
        if guard.sampler.is_none() {
            // There was no descriptor for it.
            guard.sampler = Sampler::open(guard.pid);
        }
        let used = guard.sampler.as_mut().and_then(Sampler::sample).map_or(0, |sample| sample.memory);
        if used > guard.limit {
            return (used, guard.limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(change: impl FnOnce(&mut AppSpec)) -> AppSpec {
        let mut spec = AppSpec::default();
        change(&mut spec);
        spec
    }

    async fn next_within(triggers: &mut Triggers, limit: Duration) -> Option<Trigger> {
        tokio::time::timeout(limit, triggers.next()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_done_without_a_reason() {
        let mut triggers = Triggers::default();
        triggers.follow(&AppSpec::default()).unwrap();
        triggers.guard(&AppSpec::default(), Some(std::process::id() as i32));
        assert_eq!(next_within(&mut triggers, Duration::from_secs(1_000_000)).await, None);
    }

    #[tokio::test]
    async fn a_pattern_is_due_again_and_again_until_it_is_removed() {
        let mut triggers = Triggers::default();
        let every_second = spec(|spec| spec.cron_restart = Some("* * * * * *".to_owned()));
        triggers.follow(&every_second).unwrap();
        for _ in 0..2 {
            assert_eq!(next_within(&mut triggers, Duration::from_secs(2)).await, Some(Trigger::Cron));
            // A restart follows the same pattern.
            triggers.follow(&every_second).unwrap();
        }
        triggers.follow(&AppSpec::default()).unwrap();
        assert_eq!(next_within(&mut triggers, Duration::from_millis(1100)).await, None);
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_told() {
        let broken = spec(|spec| spec.cron_restart = Some("* * *".to_owned()));
        let error = Triggers::default().follow(&broken).unwrap_err();
        assert!(error.starts_with("cron_restart \"* * *\": "), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn too_much_memory_is_seen_within_a_second() {
        let mut triggers = Triggers::default();
        let own = Some(std::process::id() as i32);
        triggers.guard(&spec(|spec| spec.max_memory_restart = Some(1024)), own);
        let seen = next_within(&mut triggers, Duration::from_secs(1)).await;
        assert!(matches!(seen, Some(Trigger::Memory { used, limit: 1024 }) if used > 100_000), "{seen:?}");
        triggers.be_patient();
        assert_eq!(next_within(&mut triggers, Duration::from_secs(29)).await, None);
        assert!(next_within(&mut triggers, Duration::from_secs(2)).await.is_some());
        triggers.guard(&spec(|spec| spec.max_memory_restart = Some(1 << 50)), own);
        assert_eq!(next_within(&mut triggers, Duration::from_secs(60)).await, None);
        triggers.guard(&spec(|spec| spec.max_memory_restart = Some(1024)), Some(i32::MAX));
        assert_eq!(next_within(&mut triggers, Duration::from_secs(60)).await, None);
    }
}
