//! Which client asks when.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use crate::arrivals::Arrivals;
use crate::options::{Limit, Pace};

/// Clients come in when they have no request under way and are taken out to ask.
pub(crate) struct Schedule {
    end: Option<Instant>,
    /// Requests that may still be sent.
    n_left: u64,
    work: Work,
}

enum Work {
    /// Every client asks again when its pause is over.
    Closed { think: Duration, pauses: BinaryHeap<Reverse<(Instant, usize)>> },
    /// Requests are due by the clock; one of the two queues is always empty.
    Open { arrivals: Arrivals, free: Vec<usize>, waiting: VecDeque<Instant>, n_waited: u64 },
}

impl Schedule {
    pub(crate) fn new(pace: Pace, limit: Limit, n_clients: usize, start: Instant) -> Schedule {
        let (end, n_left) = match limit {
            Limit::Time(limit) => (Some(start + limit), u64::MAX),
            Limit::Requests(limit) => (None, limit),
        };
        let work = match pace {
            Pace::Closed { think } => Work::Closed {
                think,
                pauses: (0..n_clients).map(|client| Reverse((start, client))).collect(),
            },
            Pace::Open { rate } => Work::Open {
                arrivals: Arrivals::new(start, rate),
                free: (0..n_clients).rev().collect(),
                waiting: VecDeque::new(),
                n_waited: 0,
            },
        };
        Schedule { end, n_left, work }
    }

    /// The client has its answer.
    pub(crate) fn answered(&mut self, client: usize, now: Instant) {
        match &mut self.work {
            Work::Closed { think, pauses } => pauses.push(Reverse((now + *think, client))),
            Work::Open { free, .. } => free.push(client),
        }
    }

    /// The client's request has failed. It rests, so that a server that is away is not asked in a tight loop.
    pub(crate) fn failed(&mut self, client: usize, now: Instant) {
        const REST: Duration = Duration::from_millis(5);
        match &mut self.work {
            Work::Closed { think, pauses } => pauses.push(Reverse((now + REST.max(*think), client))),
            Work::Open { free, .. } => free.push(client),
        }
    }

    /// A client that has to ask now, and since when its request is due.
    pub(crate) fn take(&mut self, now: Instant) -> Option<(usize, Instant)> {
        while self.next().is_some_and(|due| due <= now) {
            match &mut self.work {
                Work::Closed { pauses, .. } => {
                    let Reverse((_, client)) = pauses.pop()?;
                    self.n_left -= 1;
                    return Some((client, now));
                }
                Work::Open { arrivals, free, waiting, n_waited } => {
                    waiting.push_back(arrivals.due());
                    *n_waited += u64::from(free.len() < waiting.len());
                    arrivals.advance();
                    self.n_left -= 1;
                }
            }
        }
        match &mut self.work {
            Work::Open { free, waiting, .. } if !waiting.is_empty() => {
                Some((free.pop()?, waiting.pop_front()?))
            }
            _ => None,
        }
    }

    /// When a request will be due, as far as it is known.
    pub(crate) fn next(&self) -> Option<Instant> {
        let due = match &self.work {
            Work::Closed { pauses, .. } => pauses.peek().map(|Reverse((due, _))| *due)?,
            Work::Open { arrivals, .. } => arrivals.due(),
        };
        (self.n_left > 0 && self.end.is_none_or(|end| due < end)).then_some(due)
    }

    /// No request will be sent any more, unless a client that has one under way comes in.
    pub(crate) fn is_over(&self) -> bool {
        let none_waits = match &self.work {
            Work::Closed { .. } => true,
            Work::Open { waiting, .. } => waiting.is_empty(),
        };
        none_waits && self.next().is_none()
    }

    /// Requests that were due when no client was free.
    pub(crate) fn n_waited(&self) -> u64 {
        match self.work {
            Work::Closed { .. } => 0,
            Work::Open { n_waited, .. } => n_waited,
        }
    }

    /// When the last request may be sent, if a time was set.
    pub(crate) fn end(&self) -> Option<Instant> {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn taken(schedule: &mut Schedule, now: Instant) -> Vec<usize> {
        let mut clients: Vec<usize> =
            std::iter::from_fn(|| schedule.take(now)).map(|(client, _)| client).collect();
        clients.sort_unstable();
        clients
    }

    #[test]
    fn clients_ask_again_after_their_pause() {
        let start = Instant::now();
        let pace = Pace::Closed { think: 10 * MS };
        let mut schedule = Schedule::new(pace, Limit::Time(100 * MS), 2, start);
        assert_eq!(taken(&mut schedule, start), [0, 1]);
        assert!(schedule.is_over(), "both have a request under way");

        schedule.answered(1, start + 5 * MS);
        assert_eq!(schedule.next(), Some(start + 15 * MS));
        assert_eq!(schedule.take(start + 14 * MS), None);
        assert_eq!(taken(&mut schedule, start + 15 * MS), [1]);

        schedule.answered(0, start + 90 * MS);
        assert_eq!(schedule.next(), None, "its pause ends with the time");
        assert!(schedule.is_over());
    }

    #[test]
    fn failures_are_followed_by_a_rest() {
        let start = Instant::now();
        let mut schedule =
            Schedule::new(Pace::Closed { think: Duration::ZERO }, Limit::Requests(9), 1, start);
        assert_eq!(taken(&mut schedule, start), [0]);
        schedule.failed(0, start);
        assert_eq!(schedule.next(), Some(start + 5 * MS));
    }

    #[test]
    fn the_number_of_requests_is_exact() {
        let start = Instant::now();
        let mut schedule =
            Schedule::new(Pace::Closed { think: Duration::ZERO }, Limit::Requests(3), 2, start);
        assert_eq!(taken(&mut schedule, start), [0, 1]);
        schedule.answered(0, start);
        schedule.answered(1, start);
        assert_eq!(taken(&mut schedule, start).len(), 1);
        assert!(schedule.is_over());
    }

    #[test]
    fn arrivals_wait_for_a_client_and_keep_the_time_they_were_due() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Pace::Open { rate: 1000.0 }, Limit::Requests(3), 1, start);
        let first = schedule.next().unwrap();
        let late = start + Duration::from_secs(1);
        assert_eq!(schedule.take(late), Some((0, first)));
        assert_eq!(schedule.take(late), None);
        assert_eq!(schedule.n_waited(), 2);
        assert!(!schedule.is_over(), "two wait");

        schedule.answered(0, late);
        let (_, second) = schedule.take(late).unwrap();
        assert!(first < second && second < late);
        schedule.failed(0, late);
        assert!(schedule.take(late).is_some_and(|(_, third)| second < third));
        assert!(schedule.is_over());
    }

    #[test]
    fn arrivals_end_with_the_time() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Pace::Open { rate: 1000.0 }, Limit::Time(100 * MS), 1000, start);
        let n_arrivals = taken(&mut schedule, start + 200 * MS).len();
        assert!((70..130).contains(&n_arrivals), "{n_arrivals}");
        assert!(schedule.is_over());
        assert_eq!(schedule.n_waited(), 0);
    }
}
