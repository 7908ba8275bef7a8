//! One timer queue per partition. It holds only what is due soon; what is due later waits in the store's index and is
//! fetched in time.
//!
//! An execution has at most one entry that counts: the one in `armed`. Entries that were armed anew stay in the heap
//! and are passed over.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::clock::Timestamp;
use crate::ids::ExecutionId;

/// So many entries that count no more are not worth a look.
const PASSED_OVER_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Timestamp, ExecutionId)>>,
    armed: HashMap<ExecutionId, Timestamp>,
    /// What is due at or after this moment is left to the store.
    horizon: Timestamp,
}

impl Timers {
    /// From now on what is due before `horizon` is kept here.
    pub fn set_horizon(&mut self, horizon: Timestamp) {
        self.horizon = horizon;
    }

    /// Sets when an execution is due next. Returns true where it is now the soonest of all.
    pub fn arm(&mut self, execution: ExecutionId, due: Option<Timestamp>) -> bool {
        match due {
            Some(at) if at < self.horizon => {
                if self.armed.insert(execution, at) == Some(at) {
                    return false;
                }
                self.heap.push(Reverse((at, execution)));
                self.tidy();
                self.next() == Some(at)
            }
            _ => {
                self.armed.remove(&execution);
                false
            }
        }
    }

    /// Passed-over entries are thrown out when they are the most: an execution that ends soon would else leave its
    /// timeout here for as long as it might have lasted. Costs, spread over the entries, a constant.
    fn tidy(&mut self) {
        if self.heap.len() > 2 * self.armed.len() + PASSED_OVER_MAX {
            self.heap = self.armed.iter().map(|(execution, at)| Reverse((*at, *execution))).collect();
            self.armed.shrink_to(2 * self.armed.len());
        }
    }

    /// The soonest moment at which something is due.
    pub fn next(&mut self) -> Option<Timestamp> {
        while let Some(Reverse((at, execution))) = self.heap.peek() {
            if self.armed.get(execution) == Some(at) {
                return Some(*at);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes one execution that is due.
    pub fn pop(&mut self, now: Timestamp) -> Option<ExecutionId> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, execution)) = self.heap.pop()?;
        self.armed.remove(&execution);
        Some(execution)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> ExecutionId {
        ExecutionId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn only_the_newest_moment_counts_and_the_far_future_is_left_to_the_store() {
        let t = Timestamp::from_millis;
        let mut timers = Timers::default();
        timers.set_horizon(t(1_000));
        assert!(timers.arm(id(1), Some(t(500))));
        assert!(!timers.arm(id(2), Some(t(600))));
        assert!(timers.arm(id(1), Some(t(300))));
        assert!(!timers.arm(id(1), Some(t(700))));
        assert!(!timers.arm(id(3), Some(t(1_000))), "beyond the horizon");
        assert_eq!(timers.next(), Some(t(600)));
        assert_eq!(timers.pop(t(599)), None);
        assert_eq!(timers.pop(t(600)), Some(id(2)));
        assert_eq!(timers.pop(t(10_000)), Some(id(1)));
        timers.arm(id(4), Some(t(800)));
        timers.arm(id(4), None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn executions_that_end_before_their_timeout_leave_nothing_behind() {
        let mut timers = Timers::default();
        timers.set_horizon(Timestamp::from_millis(i64::MAX));
        for n in 0..100_000 {
            timers.arm(id(n), Some(Timestamp::from_millis(1_000_000 + i64::try_from(n).unwrap())));
            timers.arm(id(n), None);
        }
        assert!(
            timers.heap.len() <= PASSED_OVER_MAX + 1 && timers.armed.capacity() < PASSED_OVER_MAX,
            "{}",
            timers.heap.len()
        );
    }
}
