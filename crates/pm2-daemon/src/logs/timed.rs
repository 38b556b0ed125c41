//! Rotation at the times of a pattern, of all logs of all processes, whether anybody writes to them or not; and what else is
//! due without anybody writing: a log that is too large for settings that are new.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Local, TimeDelta, TimeZone};

use super::pump::say;
use super::registry::Shared;
use super::rotation::Plan;
use super::settings::{OwnSettings, PlanCache};
use crate::bus::Bus;
use crate::journal::Journal;
use crate::{clock, cron};

/// Changes of the list come in crowds.
const CROWD: Duration = Duration::from_millis(50);
/// How often it is looked whether settings have changed while nobody writes. The system could tell at once, but whoever it
/// tells pays with 20 ms at an upgrade: so long takes the end of an inotify handle.
const LOOK: Duration = Duration::from_secs(30);
/// How often it is looked whether the module still does all this.
const MODULE_GRAIN: TimeDelta = TimeDelta::minutes(1);

/// What is known of each log.
#[derive(Default)]
struct Logs(BTreeMap<PathBuf, Log>);

#[derive(Default)]
struct Log {
    cache: PlanCache,
    plan: Option<Arc<Plan>>,
    /// When it is rotated next.
    due: Option<DateTime<Local>>,
}

/// What is to be done with a log.
#[derive(Debug, PartialEq, Eq)]
enum Duty {
    Nothing,
    /// Its settings are new: it may be too large for them.
    Look,
    /// Its time has come.
    Rotate,
}

impl Log {
    /// Takes over how the log is rotated now. Times count from `since` on where the pattern is new.
    fn adopt(&mut self, plan: Option<Arc<Plan>>, since: &DateTime<Local>) -> Duty {
        if self.plan == plan {
            return Duty::Nothing;
        }
        let schedule = |plan: &Option<Arc<Plan>>| plan.as_ref().and_then(|plan| plan.schedule.clone());
        let is_other = schedule(&self.plan) != schedule(&plan);
        self.plan = plan;
        if is_other {
            self.due = self.next(since);
        }
        if self.plan.is_some() { Duty::Look } else { Duty::Nothing }
    }

    /// What is due at that moment. However many times have gone by, it is once.
    fn turn(&mut self, now: &DateTime<Local>) -> Duty {
        if self.due.is_none_or(|due| due > *now) {
            return Duty::Nothing;
        }
        self.due = self.next(now);
        Duty::Rotate
    }

    fn next(&self, after: &DateTime<Local>) -> Option<DateTime<Local>> {
        self.plan.as_ref()?.schedule.as_ref()?.next(after)
    }
}

/// Rotates logs when their time has come, for as long as the daemon lives. It sleeps while no log has a time.
pub(super) async fn run(shared: Arc<Shared>, since: Option<i64>, journal: Journal, bus: Bus) {
    let mut since = since.and_then(|at| Local.timestamp_millis_opt(at).single());
    let mut logs = Logs::default();
    loop {
        if !shared.is_paused() {
            // What an earlier image has left begins where that one has ended.
            let now = clock::local();
            logs.pass(&shared, since.take().unwrap_or(now), now, &journal, &bus).await;
        }
        let next = logs.0.values().filter_map(|log| log.due).min();
        let next = if shared.settings.yields() { Some(clock::local() + MODULE_GRAIN) } else { next };
        let is_time = async {
            match next {
                Some(next) if !shared.is_paused() => drop(cron::sleep_until(next).await),
                _ => std::future::pending().await,
            }
        };
        let is_time_to_look = async {
            match logs.0.is_empty() {
                true => std::future::pending().await,
                false => tokio::time::sleep(LOOK).await,
            }
        };
        tokio::select! {
            () = is_time => {}
            () = is_time_to_look => {}
            () = shared.settings.changed.notified() => tokio::time::sleep(CROWD).await,
        }
    }
}

impl Logs {
    /// Does what is due.
    async fn pass(
        &mut self,
        shared: &Arc<Shared>,
        since: DateTime<Local>,
        now: DateTime<Local>,
        journal: &Journal,
        bus: &Bus,
    ) {
        shared.settings.look();
        let listed = shared.logs();
        self.0.retain(|path, _| listed.contains_key(path));
        for (path, own) in listed {
            let log = self.0.entry(path.clone()).or_default();
            let plan = shared.settings.plan(&own, &mut log.cache);
            let looks = log.adopt(plan, &since);
            let from = match (log.turn(&now), looks, &log.plan) {
                (Duty::Rotate, ..) => 1,
                (_, Duty::Look, Some(plan)) => {
                    if let Some(codec) = plan.compress {
                        shared.archive.resume(&path, codec);
                    }
                    plan.max_size
                }
                _ => continue,
            };
            rotate(shared, &path, &own, from, journal, bus);
            // There may be many, and others have something to write.
            tokio::task::yield_now().await;
        }
    }
}

/// Rotates a log if it has that size.
fn rotate(shared: &Arc<Shared>, path: &Path, own: &OwnSettings, from: u64, journal: &Journal, bus: &Bus) {
    if !std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.len() >= from) {
        return;
    }
    if let Some(file) = shared.borrow(path, own)
        && let Err(change) = file.rotate_from(from)
    {
        say(&change, &file, journal, bus);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> DateTime<Local> {
        let date =
            chrono::NaiveDateTime::parse_from_str(&format!("2026-03-{text}"), "%Y-%m-%d %H:%M").unwrap();
        Local.from_local_datetime(&date).unwrap()
    }

    fn plan(settings: serde_json::Value) -> Option<Arc<Plan>> {
        Some(Arc::new(Plan::read(settings.as_object().unwrap(), &Local::now()).0))
    }

    #[test]
    fn a_pattern_counts_from_its_beginning_and_not_more_than_once() {
        let mut log = Log::default();
        assert_eq!(log.adopt(None, &at("01 12:00")), Duty::Nothing);
        assert_eq!(log.turn(&at("04 12:00")), Duty::Nothing);
        // Days that nobody has asked about are no reason.
        assert_eq!(log.adopt(plan(json!({})), &at("05 12:00")), Duty::Look);
        assert_eq!(log.turn(&at("05 12:00")), Duty::Nothing);
        assert_eq!(log.due, Some(at("06 00:00")));
        assert_eq!(log.adopt(plan(json!({})), &at("05 13:00")), Duty::Nothing);
        // Another size does not move it, and the night is not forgotten.
        assert_eq!(log.adopt(plan(json!({"max_size": 5})), &at("06 00:01")), Duty::Look);
        assert_eq!(log.turn(&at("08 00:01")), Duty::Rotate, "the machine has slept");
        assert_eq!(log.turn(&at("08 00:02")), Duty::Nothing);
        assert_eq!(log.due, Some(at("09 00:00")));
        assert_eq!(log.adopt(plan(json!({"rotateInterval": ""})), &at("08 01:00")), Duty::Look);
        assert_eq!(log.due, None);
        assert_eq!(log.adopt(None, &at("08 02:00")), Duty::Nothing);
    }
}
