//! Who gets the next connection.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

/// A worker that has been this long without taking what it was given is busy.
const PROMPT: Duration = Duration::from_millis(10);

/// A worker that may be given a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: u64,
    /// Connections that it has not taken yet.
    pub(super) n_unaccepted: usize,
    /// For how long the oldest of them has waited.
    pub(super) oldest: Duration,
}

/// Round robin after `last` among those that take what they are given; the others only when there is nobody else,
/// and then whoever has least to do.
pub(super) fn in_turn(candidates: impl Iterator<Item = Candidate>, last: u64) -> Option<u64> {
    let rank = |candidate: &Candidate| {
        let late = candidate.oldest > PROMPT;
        // Numbers grow, so whoever comes after `last` is nearest to it counted round.
        let turn = candidate.id.wrapping_sub(last.wrapping_add(1));
        (late, if late { candidate.n_unaccepted } else { 0 }, turn)
    };
    candidates.min_by_key(rank).map(|candidate| candidate.id)
}

/// The worker of a client's address: always the same while the workers are the same, and when one goes or comes only
/// its own clients move (rendezvous hashing).
pub(super) fn for_address(workers: impl Iterator<Item = u64>, address: IpAddr) -> Option<u64> {
    let address = address.to_canonical();
    workers.max_by_key(|worker| {
        let mut hasher = DefaultHasher::new();
        (worker, address).hash(&mut hasher);
        hasher.finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(id: u64) -> Candidate {
        Candidate { id, n_unaccepted: 0, oldest: Duration::ZERO }
    }

    #[test]
    fn round_robin() {
        let mut last = 0;
        let mut order = Vec::new();
        for _ in 0..7 {
            last = in_turn([3, 5, 9].map(idle).into_iter(), last).unwrap();
            order.push(last);
        }
        assert_eq!(order, [3, 5, 9, 3, 5, 9, 3]);
        assert_eq!(in_turn([].into_iter(), 4), None);
    }

    #[test]
    fn what_was_just_given_does_not_change_the_order() {
        let busy = Candidate { id: 5, n_unaccepted: 2, oldest: Duration::from_millis(2) };
        assert_eq!(in_turn([idle(3), busy, idle(9)].into_iter(), 3), Some(5));
    }

    #[test]
    fn whoever_does_not_take_is_left_out() {
        let blocked = Candidate { id: 5, n_unaccepted: 1, oldest: Duration::from_millis(50) };
        assert_eq!(in_turn([idle(3), blocked, idle(9)].into_iter(), 3), Some(9));
        let more = Candidate { id: 9, n_unaccepted: 3, oldest: Duration::from_millis(20) };
        assert_eq!(in_turn([more, blocked].into_iter(), 5), Some(5), "least to do");
    }

    #[test]
    fn only_the_clients_of_a_worker_that_goes_move() {
        let clients: Vec<IpAddr> = (0..=255).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let of = |workers: &[u64], client: IpAddr| for_address(workers.iter().copied(), client).unwrap();
        let mut n = [0; 5];
        for client in &clients {
            let before = of(&[1, 2, 3, 4], *client);
            n[before as usize] += 1;
            let after = of(&[4, 2, 1], *client);
            assert!(before == 3 || before == after);
        }
        assert!(n[1..].iter().all(|n| *n > 32), "{n:?}");
    }

    #[test]
    fn a_mapped_address_is_the_same_client() {
        let workers = || 1..100;
        let plain = for_address(workers(), "10.1.2.3".parse().unwrap());
        assert_eq!(for_address(workers(), "::ffff:10.1.2.3".parse().unwrap()), plain);
    }
}
