//! Memory and CPU of the apps, measured when somebody asks and only then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::job::Monit;
use crate::sys::{Sample, Sampler};

/// Samples older than this are not compared with.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Remembers every process that was asked for.
#[derive(Default)]
pub(crate) struct Metrics {
    known: Mutex<HashMap<i32, Known>>,
}

struct Known {
    sampler: Sampler,
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
                let found =
                    before.remove(pid).or_else(|| Some(Known { sampler: Sampler::open(*pid)?, last: None }));
                let Some(mut process) = found else { return Monit::default() };
                let Some(sample) = process.sampler.sample() else { return Monit::default() };
                let last = process.last.filter(|(_, at)| now - *at < MAX_AGE);
                process.last = Some((sample, now));
                known.insert(*pid, process);
                Monit::between(last.as_ref().map(|(last, at)| (last, now - *at)), &sample)
            })
            .collect()
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
}
