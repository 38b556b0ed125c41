//! What waits for one subscriber.

use std::collections::VecDeque;
use std::sync::Arc;

use pm2_core::protocol::encode_event;

use super::Busy;
use crate::allowance::Allowance;
use crate::clock::epoch_ms;
use crate::tally::One;

/// Bytes that may wait for a subscriber that reads.
const MAX_QUEUED_BYTES: usize = 256 * 1024 * 1024;
/// So much was waiting at some time that its memory is worth giving back.
const MUCH: usize = 1024 * 1024;
/// Packets are written together up to this size.
const BATCH: usize = 64 * 1024;

/// Packets in their order, and how many did not fit behind them.
pub(super) struct Queue {
    frames: VecDeque<Arc<[u8]>>,
    /// Of all that has not been written, also of what is being written.
    allowance: Allowance,
    /// The most that there was of them since there was nothing.
    peak: usize,
    lost: u64,
    is_closed: bool,
    busy: Busy,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            frames: VecDeque::new(),
            allowance: Allowance::new(MAX_QUEUED_BYTES, 0),
            peak: 0,
            lost: 0,
            is_closed: false,
            busy: None,
        }
    }
}

/// Whole packets, in their order.
pub(super) enum Batch {
    Nothing,
    One(Arc<[u8]>),
    Many(Vec<u8>),
}

impl Batch {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Batch::Nothing => &[],
            Batch::One(frame) => frame,
            Batch::Many(frames) => frames,
        }
    }
}

impl Queue {
    /// Whether a packet may fit.
    pub(super) fn is_open(&self) -> bool {
        self.lost == 0 && !self.is_closed
    }

    pub(super) fn lose_one(&mut self) {
        self.lost += 1;
    }

    /// Queues a packet or counts it as lost. `true`: it is the first one for a writer that waits.
    pub(super) fn offer(&mut self, frame: &Arc<[u8]>, busy: impl FnOnce() -> One) -> bool {
        if self.is_closed {
            return false;
        }
        let is_first = self.allowance.waiting() == 0;
        if self.lost > 0 || !self.allowance.add(frame.len()) {
            self.lost += 1;
            return false;
        }
        if is_first {
            self.busy = Some(busy());
        }
        self.peak = self.peak.max(self.allowance.waiting());
        self.frames.push_back(frame.clone());
        is_first
    }

    /// What to write next; `None` when nothing more comes.
    ///
    /// Until everything that was queued is written, nothing is taken up again after a loss: so the notice stands where
    /// the lost packets would have been.
    pub(super) fn take(&mut self) -> Option<Batch> {
        let Some(frame) = self.frames.pop_front() else {
            return match (self.lost, self.is_closed) {
                (0, true) => None,
                (0, false) => Some(Batch::Nothing),
                _ => Some(Batch::Many(self.notice())),
            };
        };
        let fits = |length: usize| move |next: &mut Arc<[u8]>| length + next.len() <= BATCH;
        let Some(second) = self.frames.pop_front_if(fits(frame.len())) else {
            return Some(Batch::One(frame));
        };
        let mut batch = [&*frame, &*second].concat();
        while let Some(next) = self.frames.pop_front_if(fits(batch.len())) {
            batch.extend_from_slice(&next);
        }
        if self.frames.is_empty() {
            // After a burst it would keep its largest size.
            self.frames = VecDeque::new();
        }
        Some(Batch::Many(batch))
    }

    fn notice(&mut self) -> Vec<u8> {
        let packet = format!(r#"{{"lost":{},"at":{}}}"#, self.lost, epoch_ms());
        let notice = encode_event("pm2:overflow", &packet);
        self.lost = 0;
        self.allowance.add_all_the_same(notice.len());
        notice
    }

    /// So many bytes have left. `true`: those were the last of many.
    pub(super) fn written(&mut self, count: usize) -> bool {
        self.allowance.taken(count);
        if self.allowance.waiting() > 0 {
            return false;
        }
        self.busy = None;
        std::mem::take(&mut self.peak) > MUCH
    }

    /// Whether dropping it frees much.
    pub(super) fn is_large(&self) -> bool {
        self.allowance.waiting() > MUCH
    }

    /// Nothing more comes.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }
}
