//! What happens after an app's process has ended. Pure: no clock, no process, no effects.

use std::time::Duration;

use super::spec::AppSpec;
use crate::sys::Exit;

/// Counters of one app that decide about its next restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// Exits before `min_uptime` inside the window; PM2's `unstable_restarts`.
    pub(crate) unstable_restarts: u64,
    /// The back-off delay used last, ms; PM2's `prev_restart_delay`.
    pub(crate) last_delay_ms: Option<u64>,
    /// Exits before `min_uptime` without a longer run between them, inside the window or not.
    pub(crate) n_quick: u64,
}

/// What is known when a process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExitFacts {
    pub(crate) exit: Exit,
    /// A Node app that had nothing left to do.
    pub(crate) is_done: bool,
    /// How long this process ran.
    pub(crate) uptime: Duration,
    /// Time since the first start or the last manual restart; `None` once the app was given up.
    pub(crate) age: Option<Duration>,
}

impl ExitFacts {
    /// How long the process has lived as far as the policy is concerned.
    fn life(&self) -> Duration {
        if self.is_done { self.uptime.max(LIFE_OF_DONE) } else { self.uptime }
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start again at once.
    RestartNow,
    /// Start again after a delay; the status is `waiting restart` meanwhile. The flag says that the
    /// delay comes from the growing back-off.
    RestartAfter { delay: Duration, backoff: bool },
    /// Leave it `stopped`.
    Stay,
    /// Too many unstable exits: `errored`.
    GiveUp { unstable_restarts: u64 },
}

/// The delay after the first automatic restart that failed, ms.
const FIRST_RETRY_MS: u64 = 100;

/// A Node app that has done its work lives this long in PM2, so that it is never unstable. Here it ends at once, and the
/// next one comes as late.
const LIFE_OF_DONE: Duration = Duration::from_secs(3);

/// The longest back-off delay, ms.
const LONGEST_DELAY_MS: u64 = 15_000;

/// Decides what follows an exit nobody asked for, and updates the counters.
///
/// Behaviour of PM2 7.0.4, specification `lifecycle.md` §5, except that an app which is not going to
/// be restarted never ends as `waiting restart`, and that a death by signal counts as code 128+n.
pub(crate) fn after_exit(spec: &AppSpec, history: &mut History, facts: ExitFacts) -> Action {
    count_unstable(spec, history, facts);
    history.n_quick = if facts.life() < spec.min_uptime { history.n_quick + 1 } else { 0 };
    if !spec.autorestart || spec.stop_exit_codes.contains(&exit_code(facts.exit)) {
        return Action::Stay;
    }
    if history.unstable_restarts >= spec.max_restarts {
        // Whoever starts it again finds it as new.
        history.n_quick = 0;
        let unstable_restarts = std::mem::take(&mut history.unstable_restarts);
        return Action::GiveUp { unstable_restarts };
    }
    if let Some(first_ms) = spec.exp_backoff_restart_delay_ms {
        let next = match history.last_delay_ms {
            None | Some(0) => first_ms,
            Some(last) => (last + last / 2).min(LONGEST_DELAY_MS),
        };
        history.last_delay_ms = Some(next);
        return Action::RestartAfter { delay: Duration::from_millis(next), backoff: true };
    }
    if spec.restart_delay_ms > 0 {
        return Action::RestartAfter { delay: Duration::from_millis(spec.restart_delay_ms), backoff: false };
    }
    if facts.is_done {
        let delay = facts.life().saturating_sub(facts.uptime);
        return Action::RestartAfter { delay, backoff: false };
    }
    match bound(spec, history) {
        Some(delay) => Action::RestartAfter { delay, backoff: false },
        None => Action::RestartNow,
    }
}

/// The rate of restarts that no counter of PM2 bounds: an app that has once run for longer than the window and then
/// crashes at once, again and again. After `max_restarts` such exits in a row, each next restart waits longer, from
/// 100 ms by half up to 15 s; it is never given up. A run of `min_uptime` ends that.
fn bound(spec: &AppSpec, history: &History) -> Option<Duration> {
    let n_slow = history.n_quick.checked_sub(spec.max_restarts.max(1))?;
    let longest = LONGEST_DELAY_MS as f64;
    let exponent = i32::try_from(n_slow).unwrap_or(i32::MAX);
    let delay = (FIRST_RETRY_MS as f64 * 1.5_f64.powi(exponent)).min(longest);
    Some(Duration::from_millis(delay as u64))
}

/// Decides what follows an automatic restart that could not even start the process: the cause (a
/// folder that a deployment replaces, no descriptors) may pass, so it is tried again ever more slowly.
pub(crate) fn after_failed_restart(spec: &AppSpec, history: &mut History) -> Action {
    history.unstable_restarts += 1;
    if history.unstable_restarts >= spec.max_restarts {
        let unstable_restarts = std::mem::take(&mut history.unstable_restarts);
        return Action::GiveUp { unstable_restarts };
    }
    let next = match history.last_delay_ms {
        None | Some(0) => FIRST_RETRY_MS,
        Some(last) => (last + last / 2).min(LONGEST_DELAY_MS),
    };
    history.last_delay_ms = Some(next);
    Action::RestartAfter { delay: Duration::from_millis(next), backoff: true }
}

/// What the log says then; PM2's words.
pub(crate) fn gave_up(spec: &AppSpec, unstable_restarts: u64) -> String {
    let script = &spec.script;
    format!("Script {script} had too many unstable restarts ({unstable_restarts}). Stopped. \"errored\"")
}

/// Counts an exit before `min_uptime`, asked for or not, inside the window that began with the first start or
/// the last manual restart.
pub(crate) fn count_unstable(spec: &AppSpec, history: &mut History, facts: ExitFacts) {
    let window = spec.min_uptime.saturating_mul(u32::try_from(spec.max_restarts).unwrap_or(u32::MAX));
    if facts.age.is_some_and(|age| age < window) && facts.life() < spec.min_uptime {
        history.unstable_restarts += 1;
    }
}

/// The exit code as reported: the process's own, or 128 plus the number of the signal.
pub(crate) fn exit_code(exit: Exit) -> i64 {
    match exit {
        Exit::Code(code) => i64::from(code),
        Exit::Signal(signal) => 128 + i64::from(signal),
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

    fn crash(uptime_ms: u64, age_ms: u64) -> ExitFacts {
        ExitFacts {
            exit: Exit::Code(1),
            is_done: false,
            uptime: Duration::from_millis(uptime_ms),
            age: Some(Duration::from_millis(age_ms)),
        }
    }

    #[test]
    fn crashing_at_once_is_given_up_after_sixteen_deaths() {
        let (spec, mut history) = (AppSpec::default(), History::default());
        for _ in 0..15 {
            assert_eq!(after_exit(&spec, &mut history, crash(50, 800)), Action::RestartNow);
        }
        assert_eq!(after_exit(&spec, &mut history, crash(50, 900)), Action::GiveUp { unstable_restarts: 16 });
        assert_eq!(history.unstable_restarts, 0);
    }

    #[test]
    fn outside_the_window_nothing_is_counted() {
        let (spec, mut history) = (AppSpec::default(), History::default());
        assert_eq!(after_exit(&spec, &mut history, crash(50, 16_001)), Action::RestartNow);
        assert_eq!(after_exit(&spec, &mut history, crash(1_000, 1_001)), Action::RestartNow);
        assert_eq!(history.unstable_restarts, 0);
    }

    #[test]
    fn work_that_is_done_is_no_crash() {
        let (spec, mut history) = (AppSpec::default(), History::default());
        for _ in 0..100 {
            let done = ExitFacts { exit: Exit::Code(0), is_done: true, ..crash(200, 800) };
            let delay = Duration::from_millis(2800);
            assert_eq!(after_exit(&spec, &mut history, done), Action::RestartAfter { delay, backoff: false });
        }
        assert_eq!(history, History::default());
    }

    #[test]
    fn crashes_after_the_window_are_slowed_down_and_never_given_up() {
        let (spec, mut history) = (AppSpec::default(), History::default());
        let late = crash(50, 60_000);
        for _ in 0..15 {
            assert_eq!(after_exit(&spec, &mut history, late), Action::RestartNow);
        }
        let delays: Vec<u64> = (0..40)
            .map(|_| match after_exit(&spec, &mut history, late) {
                Action::RestartAfter { delay, backoff: false } => u64::try_from(delay.as_millis()).unwrap(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(delays[..4], [100, 150, 225, 337]);
        assert_eq!(delays[39], 15_000);
        assert_eq!((history.unstable_restarts, history.last_delay_ms), (0, None), "PM2's counters");
        assert_eq!(after_exit(&spec, &mut history, crash(1_000, 60_000)), Action::RestartNow);
        assert_eq!(after_exit(&spec, &mut history, late), Action::RestartNow);
    }

    #[test]
    fn delays_grow_by_half_up_to_fifteen_seconds() {
        let spec = spec(|spec| {
            spec.exp_backoff_restart_delay_ms = Some(100);
            spec.restart_delay_ms = 7;
        });
        let mut history = History::default();
        let delays: Vec<u64> = (0..14)
            .map(|_| match after_exit(&spec, &mut history, crash(2_000, 60_000)) {
                Action::RestartAfter { delay, backoff: true } => u64::try_from(delay.as_millis()).unwrap(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(delays, [100, 150, 225, 337, 505, 757, 1135, 1702, 2553, 3829, 5743, 8614, 12921, 15000]);
    }

    #[test]
    fn no_restart_stays_stopped_even_with_a_delay() {
        let spec = spec(|spec| {
            spec.autorestart = false;
            spec.restart_delay_ms = 500;
        });
        assert_eq!(after_exit(&spec, &mut History::default(), crash(5, 5)), Action::Stay);
    }

    #[test]
    fn stop_exit_codes_know_signals_apart_from_zero() {
        let spec = spec(|spec| spec.stop_exit_codes = vec![0]);
        let killed = ExitFacts { exit: Exit::Signal(9), ..crash(5_000, 5_000) };
        assert_eq!(after_exit(&spec, &mut History::default(), killed), Action::RestartNow);
        let clean = ExitFacts { exit: Exit::Code(0), ..crash(5_000, 5_000) };
        assert_eq!(after_exit(&spec, &mut History::default(), clean), Action::Stay);
    }

    #[test]
    fn max_restarts_zero_gives_up_at_the_first_exit() {
        let spec = spec(|spec| spec.max_restarts = 0);
        assert_eq!(
            after_exit(&spec, &mut History::default(), crash(5_000, 5_000)),
            Action::GiveUp { unstable_restarts: 0 }
        );
    }

    #[test]
    fn restarts_that_fail_are_tried_again_and_given_up_in_the_end() {
        let (spec, mut history) = (AppSpec::default(), History::default());
        let first = after_failed_restart(&spec, &mut history);
        assert_eq!(first, Action::RestartAfter { delay: Duration::from_millis(100), backoff: true });
        for _ in 0..14 {
            assert!(matches!(after_failed_restart(&spec, &mut history), Action::RestartAfter { .. }));
        }
        assert_eq!(after_failed_restart(&spec, &mut history), Action::GiveUp { unstable_restarts: 16 });
    }
}
