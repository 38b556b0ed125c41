//! Memory and CPU of the apps, measured when somebody asks and only then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::handover::{Clock, SampleState};
use crate::job::Monit;
use crate::sys::{Sample, Sampler};

/// Samples older than this are not compared with.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Remembers every process that was asked for.
#[derive(Default)]
pub(crate) struct Metrics {
    known: Mutex<HashMap<i32, Known>>,
}

#[derive(Default)]
struct Known {
    /// `None` until it is needed, and for a process that is gone.
    sampler: Option<Sampler>,
    last: Option<(Sample, Instant)>,
}

impl Metrics {
    /// Measures the given processes now, and forgets all others. CPU is the share of one core since the
    /// previous measurement by anyone; 0 at the first one. A process that is gone has 0 of both.
    ///
    /// Behaviour of PM2 7.0.4, specification `lifecycle.md` §12.
    pub(crate) fn measure(&self, pids: &[i32]) -> Vec<Monit> {
        let now = Instant::now();
        let mut known = self.known.lock();
        let mut before = std::mem::take(&mut *known);
        pids.iter()
            .map(|pid| {
                let mut process = before.remove(pid).unwrap_or_default();
                process.sampler = process.sampler.or_else(|| Sampler::open(*pid));
                let sample = process.sampler.as_mut().and_then(Sampler::sample);
                let Some(sample) = sample else { return Monit::default() };
                let last = process.last.filter(|(_, at)| now - *at < MAX_AGE);
                process.last = Some((sample, now));
                known.insert(*pid, process);
                Monit::between(last.as_ref().map(|(last, at)| (last, now - *at)), &sample)
            })
            .collect()
    }

    /// The last measurements as data.
    pub(crate) fn freeze(&self, clock: &Clock) -> Vec<SampleState> {
        let known = self.known.lock();
        let state = |(pid, known): (&i32, &Known)| {
            let (sample, at) = known.last?;
            let cpu_us = u64::try_from(sample.cpu.as_micros()).unwrap_or(u64::MAX);
            Some(SampleState { pid: *pid, memory: sample.memory, cpu_us, at: clock.tell(at) })
        };
        known.iter().filter_map(state).collect()
    }

    /// The next measurement compares with these.
    pub(crate) fn thaw(&self, samples: Vec<SampleState>, clock: &Clock) {
        let mut known = self.known.lock();
        for state in samples {
            let sample = Sample { memory: state.memory, cpu: Duration::from_micros(state.cpu_us) };
            let last = Some((sample, clock.moment(state.at)));
            known.insert(state.pid, Known { sampler: None, last });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_a_vanished_one_has_nothing() {
        let metrics = Metrics::default();
        let own = i32::try_from(std::process::id()).unwrap();
        let monits = metrics.measure(&[own, i32::MAX]);
        assert!(monits[0].memory > 100_000, "{monits:?}");
        assert_eq!((monits[0].cpu, monits[1]), (0.0, Monit::default()));
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(60) {}
        let busy = metrics.measure(&[own])[0];
        assert!(busy.cpu > 5.0 && busy.cpu.is_finite(), "{busy:?}");
    }

    #[test]
    fn a_measurement_is_compared_with_one_before_a_freeze() {
        let metrics = Metrics::default();
        let own = i32::try_from(std::process::id()).unwrap();
        metrics.measure(&[own]);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(60) {}
        let text = serde_json::to_string(&metrics.freeze(&Clock::stop())).unwrap();
        let next = Metrics::default();
        next.thaw(serde_json::from_str(&text).unwrap(), &Clock::stop());
        let busy = next.measure(&[own])[0];
        assert!(busy.cpu > 5.0 && busy.cpu.is_finite() && busy.memory > 100_000, "{busy:?}");
    }
}
