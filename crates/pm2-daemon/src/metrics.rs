//! Memory and CPU of the apps, measured when somebody asks and only then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::job::Monit;
use crate::sys::{self, Sample};

/// Samples older than this are not compared with.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Remembers the last sample of every process that was asked for.
#[derive(Default)]
pub(crate) struct Metrics {
    last: Mutex<HashMap<i32, (Sample, Instant)>>,
}

impl Metrics {
    /// Measures the given processes now. CPU is the share of one core since the previous measurement
    /// by anyone; 0 at the first one. A process that is gone has 0 of both.
    ///
    /// Behaviour of PM2 7.0.4, specification `lifecycle.md` §12.
    pub(crate) fn measure(&self, pids: &[i32]) -> Vec<Monit> {
        let now = Instant::now();
        let mut last = self.last.lock();
        let monits = pids
            .iter()
            .map(|pid| {
                let Some(sample) = sys::sample(*pid) else {
                    last.remove(pid);
                    return Monit::default();
                };
                let before = last.insert(*pid, (sample, now)).filter(|(_, at)| now - *at < MAX_AGE);
                Monit::between(before.as_ref().map(|(before, at)| (before, now - *at)), &sample)
            })
            .collect();
        last.retain(|_, (_, at)| now - *at < MAX_AGE);
        monits
    }
}
