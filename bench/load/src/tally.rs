//! What is counted during a run, and what is printed about it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;

/// How a request can fail. `fresh`: the first one of its connection; `reused`: a later one, which a server may close at
/// any moment between two requests.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Failure {
    ConnectRefused,
    ConnectError,
    WriteError,
    ResetFresh,
    ResetReused,
    ResetInAnswer,
    ClosedFresh,
    ClosedReused,
    ClosedInAnswer,
    /// Answered, but not with 200.
    BadStatus,
    Malformed,
}

/// Counters that a run fills.
#[derive(Default)]
pub(crate) struct Tally {
    /// Latencies of all answers, in microseconds.
    latencies: Vec<u32>,
    answered_in_time: u64,
    pub(crate) connections: u64,
    pub(crate) hung: u64,
    pub(crate) waited: u64,
    failures: BTreeMap<Failure, u64>,
    workers: HashMap<Vec<u8>, Worker>,
}

/// What one worker answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Worker {
    /// Requests.
    pub(crate) requests: u64,
    /// Connections, by their first request.
    pub(crate) connections: u64,
}

/// The object that is printed.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Until the time limit or, with a number of requests, the last answer.
    pub(crate) seconds: f64,
    /// Answered ones, those after the time limit as well.
    pub(crate) requests: u64,
    /// Opened or tried.
    pub(crate) connections: u64,
    /// Within `seconds`.
    pub(crate) requests_per_second: f64,
    /// From the beginning of a request, its connection included, to the end of its answer. At a given rate it begins
    /// when it is due, so that a wait for the server's earlier answers is not left out.
    pub(crate) latency_us: Latency,
    /// Only those that occurred.
    pub(crate) failures: BTreeMap<Failure, u64>,
    /// Connections whose answer did not come within the patience.
    pub(crate) hung: u64,
    /// At a given rate: requests that had to wait for a client, because all had one under way.
    pub(crate) waited: u64,
    /// By the body of the answers.
    pub(crate) workers: BTreeMap<String, Worker>,
}

/// `None` without any answer.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: Option<u32>,
    pub(crate) p99: Option<u32>,
    pub(crate) max: Option<u32>,
}

impl Tally {
    /// `first`: of its connection. `in_time`: before the time limit.
    pub(crate) fn answered(&mut self, worker: &[u8], latency: Duration, first: bool, in_time: bool) {
        self.latencies.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        self.answered_in_time += u64::from(in_time);
        // Without a copy of the name: nearly every answer is from a worker that is known.
        if !self.workers.contains_key(worker) {
            self.workers.insert(worker.to_vec(), Worker::default());
        }
        if let Some(counted) = self.workers.get_mut(worker) {
            counted.requests += 1;
            counted.connections += u64::from(first);
        }
    }

    pub(crate) fn failed(&mut self, failure: Failure) {
        *self.failures.entry(failure).or_default() += 1;
    }

    pub(crate) fn report(mut self, lasted: Duration) -> Report {
        self.latencies.sort_unstable();
        let seconds = lasted.as_secs_f64();
        let per_second = if seconds > 0.0 { self.answered_in_time as f64 / seconds } else { 0.0 };
        let name = |worker: &[u8]| String::from_utf8_lossy(worker).into_owned();
        Report {
            seconds,
            requests: self.latencies.len() as u64,
            connections: self.connections,
            requests_per_second: per_second,
            latency_us: Latency {
                p50: percentile(&self.latencies, 50),
                p99: percentile(&self.latencies, 99),
                max: self.latencies.last().copied(),
            },
            failures: self.failures,
            hung: self.hung,
            waited: self.waited,
            workers: self.workers.iter().map(|(worker, counted)| (name(worker), *counted)).collect(),
        }
    }
}

/// The smallest value that at least `percent` of them do not exceed.
fn percentile(sorted: &[u32], percent: usize) -> Option<u32> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let hundred: Vec<u32> = (1..=100).collect();
        let cases: [(&[u32], usize, Option<u32>); 6] = [
            (&[], 50, None),
            (&[7], 50, Some(7)),
            (&[7], 99, Some(7)),
            (&[1, 2, 3, 4], 50, Some(2)),
            (&hundred, 50, Some(50)),
            (&hundred, 99, Some(99)),
        ];
        for (sorted, percent, expected) in cases {
            assert_eq!(percentile(sorted, percent), expected, "{sorted:?} {percent}");
        }
    }

    #[test]
    fn a_report_as_it_is_printed() {
        let mut tally = Tally { connections: 3, hung: 1, ..Tally::default() };
        tally.answered(b"12", Duration::from_micros(100), true, true);
        tally.answered(b"12", Duration::from_micros(300), false, true);
        tally.answered(b"7", Duration::from_micros(200), true, false);
        tally.failed(Failure::ResetReused);
        let expected = serde_json::json!({
            "seconds": 0.5, "requests": 3, "connections": 3, "requests_per_second": 4.0,
            "latency_us": {"p50": 200, "p99": 300, "max": 300},
            "failures": {"reset_reused": 1}, "hung": 1, "waited": 0,
            "workers": {"12": {"requests": 2, "connections": 1}, "7": {"requests": 1, "connections": 1}},
        });
        assert_eq!(serde_json::to_value(tally.report(Duration::from_millis(500))).unwrap(), expected);
    }

    #[test]
    fn nothing_answered() {
        let report = Tally::default().report(Duration::ZERO);
        assert_eq!(report.latency_us, Latency::default());
        assert_eq!(report.requests_per_second, 0.0);
    }
}
