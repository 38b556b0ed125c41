//! What makes a job act without being asked: its `cron_restart` pattern, its `max_memory_restart` limit, its files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local, TimeZone};
use tokio::time::Instant;

use super::cron::{self, Schedule};
use super::spec::AppSpec;
use crate::clock;
use crate::handover::{Clock, CronState, TriggersState};
use crate::sys::Sampler;
use crate::watch::{Burst, Subscription, WatchPlan, Watches};

/// How often the memory of an app with a limit is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// The same while it does not change.
const LOOK_AT_REST: Duration = Duration::from_millis(1500);
/// The same after a restart for that reason has failed.
const LOOK_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// By so much the times of files may be behind the clock.
const FILE_CLOCK: Duration = Duration::from_millis(10);

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
    /// A pattern that could not be read, which was told.
    unreadable: Option<String>,
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
    /// What `?` in the pattern means depends on it.
    read_at: DateTime<Local>,
    schedule: Schedule,
    next: Option<DateTime<Local>>,
}

struct Guard {
    limit: u64,
    pid: i32,
    /// `None` when the process has ended.
    sampler: Option<Sampler>,
    look: Instant,
    /// What was used at the last look.
    used: u64,
}

impl Triggers {
    /// Follows the app's pattern. One that goes on keeps its place.
    ///
    /// # Errors
    /// What is wrong with the pattern, once; there is none then.
    pub(super) fn follow(&mut self, spec: &AppSpec) -> Result<(), String> {
        let Some(pattern) = &spec.cron_restart else {
            self.cron = None;
            return Ok(());
        };
        if self.cron.as_ref().is_some_and(|timetable| timetable.pattern == *pattern) {
            return Ok(());
        }
        self.cron = None;
        if self.unreadable.as_ref() == Some(pattern) {
            return Ok(());
        }
        let now = clock::local();
        let schedule = Schedule::parse(pattern, &now).map_err(|error| {
            self.unreadable = Some(pattern.clone());
            format!("cron_restart \"{pattern}\": {error}")
        })?;
        self.unreadable = None;
        let next = schedule.next(&now);
        self.cron = Some(Timetable { pattern: pattern.clone(), read_at: now, schedule, next });
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
        let subscription = watches.subscribe(plan.clone(), None)?;
        self.files = Some(Files { plan: plan.clone(), subscription, burst: Burst::default() });
        Ok(())
    }

    /// What is followed, as data. The memory is looked at anew.
    pub(super) fn freeze(self) -> TriggersState {
        let cron = self.cron.map(|timetable| CronState {
            read_at: timetable.read_at.timestamp_millis(),
            next: timetable.next.map(|next| next.timestamp_millis()),
            pattern: timetable.pattern,
        });
        let changed = self.files.and_then(|mut files| {
            files.burst.into_path().or_else(|| files.subscription.changes.try_recv().ok())
        });
        TriggersState { cron, changed: changed.map(|path| path.to_string_lossy().into_owned()) }
    }

    /// Follows what was followed until the clock was stopped, and misses nothing since. What cannot be followed is left to
    /// [`Triggers::follow`] and [`Triggers::watch`].
    pub(super) fn thaw(
        state: TriggersState,
        plan: Option<&Arc<WatchPlan>>,
        watches: &Watches,
        clock: &Clock,
    ) -> Triggers {
        let since = SystemTime::UNIX_EPOCH + Duration::from_millis(clock.at.unsigned_abs()) - FILE_CLOCK;
        let files = plan.and_then(|plan| {
            let subscription = watches.subscribe(plan.clone(), Some(since)).ok()?;
            let burst = state.changed.map(|path| Burst::begun(path.into())).unwrap_or_default();
            Some(Files { plan: plan.clone(), subscription, burst })
        });
        Triggers { cron: state.cron.and_then(Timetable::thaw), files, ..Triggers::default() }
    }

    /// The app has just been started: times that came before are over.
    pub(super) fn forget_times(&mut self) {
        if let Some(timetable) = &mut self.cron {
            timetable.next = timetable.schedule.next(&clock::local());
        }
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
            look: next_look(LOOK),
            used: 0,
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
        let Triggers { cron, memory, files, .. } = self;
        tokio::select! {
            () = due(cron) => {
                if let Some(timetable) = cron {
                    timetable.next = timetable.schedule.next(&clock::local());
                }
                Trigger::Cron
            }
            (used, limit) = exceeded(memory) => Trigger::Memory { used, limit },
            path = changed(files) => Trigger::Change(path),
        }
    }
}

impl Timetable {
    fn thaw(state: CronState) -> Option<Timetable> {
        let date = |ms| Local.timestamp_millis_opt(ms).single();
        let read_at = date(state.read_at)?;
        let schedule = Schedule::parse(&state.pattern, &read_at).ok()?;
        Some(Timetable { pattern: state.pattern, read_at, schedule, next: state.next.and_then(date) })
    }
}

async fn due(cron: &mut Option<Timetable>) {
    let Some(timetable) = cron else { return std::future::pending().await };
    while let Some(next) = timetable.next {
        if cron::sleep_until(next).await {
            return;
        }
        // The clock may have been set back.
        timetable.next = timetable.schedule.next(&clock::local()).map(|other| other.min(next));
    }
    std::future::pending().await
}

async fn changed(files: &mut Option<Files>) -> PathBuf {
    if let Some(Files { plan, subscription, burst }) = files
        && let Some(path) = burst.over(&mut subscription.changes, plan.delay).await
    {
        return plan.shown(&path).to_owned();
    }
    std::future::pending().await
}

/// The moment that is so far away, but all apps are looked at in the same moments: the daemon wakes up once.
fn next_look(pause: Duration) -> Instant {
    let now = clock::epoch_ms().unsigned_abs();
    let due = now + pause.as_millis() as u64;
    Instant::now() + Duration::from_millis(due - due % LOOK.as_millis() as u64 - now)
}

async fn exceeded(memory: &mut Option<Guard>) -> (u64, u64) {
    let Some(guard) = memory else { return std::future::pending().await };
    loop {
        tokio::time::sleep_until(guard.look).await;
        if guard.sampler.is_none() {
            // There was no descriptor for it.
            guard.sampler = Sampler::open(guard.pid);
        }
        let used = guard.sampler.as_mut().and_then(Sampler::sample).map_or(0, |sample| sample.memory);
        let is_at_rest = std::mem::replace(&mut guard.used, used) == used;
        if used > guard.limit {
            guard.look = next_look(LOOK);
            return (used, guard.limit);
        }
        guard.look = next_look(if is_at_rest { LOOK_AT_REST } else { LOOK });
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

    fn again(triggers: Triggers, watches: &Watches, plan: Option<&Arc<WatchPlan>>) -> Triggers {
        let text = serde_json::to_string(&triggers.freeze()).unwrap();
        Triggers::thaw(serde_json::from_str(&text).unwrap(), plan, watches, &Clock::stop())
    }

    fn no_watches() -> Watches {
        Watches::new(crate::journal::Journal::new(crate::bus::Bus::default(), ""))
    }

    #[tokio::test]
    async fn a_time_that_passes_during_a_freeze_is_not_missed() {
        let every_minute = spec(|spec| spec.cron_restart = Some("? * * * * *".to_owned()));
        let mut triggers = Triggers::default();
        triggers.follow(&every_minute).unwrap();
        let next = triggers.cron.as_ref().unwrap().next;
        triggers = again(triggers, &no_watches(), None);
        triggers.follow(&every_minute).unwrap();
        assert_eq!(
            triggers.cron.as_ref().unwrap().next.map(|at| at.timestamp()),
            next.map(|at| at.timestamp())
        );
        let mut state = triggers.freeze();
        if let Some(cron) = &mut state.cron {
            cron.next = Some(Local::now().timestamp_millis() - 5);
        }
        let mut triggers = Triggers::thaw(state, None, &no_watches(), &Clock::stop());
        assert_eq!(next_within(&mut triggers, Duration::from_secs(10)).await, Some(Trigger::Cron));
        let next = triggers.cron.unwrap().next.unwrap();
        assert!(next > Local::now());
    }

    #[tokio::test]
    async fn files_that_change_during_a_freeze_are_not_missed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let touch = |name: &str| std::fs::write(path(name), "").unwrap();
        std::fs::create_dir(path("lib")).unwrap();
        touch("lib/old.js");
        let app = serde_json::json!({"watch": true, "ignore_watch": ["ignored"]});
        let plan =
            WatchPlan::read(app.as_object().unwrap(), folder.path(), Vec::new()).map(Arc::new).unwrap();
        let watches = no_watches();
        let changed = |name: &str| Some(Trigger::Change(name.into()));
        // Longer ago than the clock of files may be behind.
        tokio::time::sleep(FILE_CLOCK * 3).await;

        let mut triggers = again(Triggers::default(), &watches, Some(&plan));
        assert_eq!(next_within(&mut triggers, Duration::from_millis(300)).await, None);
        // Before: a burst that is not over.
        touch("a.js");
        assert_eq!(next_within(&mut triggers, Duration::from_millis(20)).await, None);
        let state = triggers.freeze();
        // In between.
        let clock = Clock::stop();
        tokio::time::sleep(FILE_CLOCK * 3).await;
        touch("ignored");
        touch("lib/b.js");
        assert_eq!(state.changed.as_deref(), path("a.js").to_str());
        let mut triggers = Triggers::thaw(state, Some(&plan), &watches, &clock);
        triggers.watch(Some(&plan), &watches).unwrap();
        assert_eq!(next_within(&mut triggers, Duration::from_secs(10)).await, changed("a.js"));
        triggers.forget_changes();
        let mut triggers = Triggers::thaw(TriggersState::default(), Some(&plan), &watches, &clock);
        assert_eq!(next_within(&mut triggers, Duration::from_secs(10)).await, changed("lib/b.js"));
        // After.
        touch("lib/c.js");
        assert_eq!(next_within(&mut triggers, Duration::from_secs(10)).await, changed("lib/c.js"));
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
