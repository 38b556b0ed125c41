//! Rotation at the times of a pattern.

use std::sync::Arc;

use chrono::{DateTime, Local, TimeZone};

use super::pump::say;
use super::registry::Shared;
use crate::bus::Bus;
use crate::cron;
use crate::journal::Journal;

/// Rotates logs when their time has come, for as long as the daemon lives. It sleeps while no log has a time.
pub(super) async fn run(shared: Arc<Shared>, since: Option<i64>, journal: Journal, bus: Bus) {
    let since = since.and_then(|at| Local.timestamp_millis_opt(at).single());
    let mut since = since.unwrap_or_else(Local::now);
    loop {
        let next =
            shared.files().iter().filter_map(|file| file.plan()?.schedule.as_ref()?.next(&since)).min();
        let is_time = async {
            match next {
                Some(next) => cron::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            has_come = is_time => if has_come && let Some(now) = next {
                shared.settings.look();
                rotate(&shared, since, now, &journal, &bus);
                since = now;
            },
            () = shared.settings.changed.notified() => {}
        }
    }
}

/// Rotates all logs that have a time between these two.
fn rotate(shared: &Shared, since: DateTime<Local>, now: DateTime<Local>, journal: &Journal, bus: &Bus) {
    for file in shared.files() {
        let plan = file.plan();
        let schedule = plan.as_ref().and_then(|plan| plan.schedule.as_ref());
        if schedule.and_then(|schedule| schedule.next(&since)).is_some_and(|at| at <= now)
            && let Some(change) = file.rotate_by_time()
        {
            say(&change, &file, journal, bus);
        }
    }
}
