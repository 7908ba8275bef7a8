//! One timer queue per partition. It holds only executions that are due soon; later due times wait in the store's index
//! and are fetched in time.
//!
//! An execution has at most one entry that counts: its entry in `armed`. Older entries of it stay in the heap and are
//! passed over.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::ExecutionId;

/// So many entries that count no more are not worth a look.
const PASSED_OVER_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Timestamp, ExecutionId)>>,
    armed: HashMap<ExecutionId, Timestamp>,
    /// Due times at or after this moment are left to the store.
    horizon: Timestamp,
    /// The store is asked again from this moment on.
    fetch_at: Timestamp,
    /// It had more than it was asked for: it is asked again when fewer than this are left.
    refill_below: Option<usize>,
}

impl Timers {
    /// The store is asked for executions that are due within `length`. Timers that are armed from now on are kept here
    /// if they are due before that.
    pub fn begin_fetch(&mut self, now: Timestamp, length: Duration) {
        self.horizon = now.plus(length);
        (self.fetch_at, self.refill_below) = (Timestamp::default(), None);
    }

    /// It has answered with all: it must be asked again when half of `length` is behind us.
    pub fn fetched(&mut self, now: Timestamp, length: Duration) {
        self.fetch_at = now.plus(length / 2);
    }

    /// It has answered with the first `count` of more, due up to `last`: the others wait there until half of these are
    /// done, so that memory does not grow with executions that are due at once. It is not asked again before `pause`
    /// is over: those that cannot be handled now stay in its index.
    pub fn fetched_some(&mut self, now: Timestamp, (count, last): (usize, Timestamp), pause: Duration) {
        self.horizon = last.plus(Duration::from_millis(1));
        self.armed.retain(|_, at| *at < self.horizon);
        (self.fetch_at, self.refill_below) = (now.plus(pause), Some(count / 2 + 1));
    }

    /// True where the store must be asked: time passed, the clock was put forward, or the store could not answer. After
    /// a step back there is no hurry: earlier due times are here.
    pub fn fetch_is_due(&self, now: Timestamp) -> bool {
        now >= self.fetch_at && self.refill_below.is_none_or(|few| self.armed.len() < few)
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

    /// Sets when an execution is due, where nothing is known of it.
    pub fn arm_unless_armed(&mut self, execution: ExecutionId, due: Timestamp) {
        if !self.armed.contains_key(&execution) {
            self.arm(execution, Some(due));
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

    /// Takes one execution that is due, and since when it is.
    pub fn pop(&mut self, now: Timestamp) -> Option<(ExecutionId, Timestamp)> {
        if self.next()? > now {
            return None;
        }
        let Reverse((due, execution)) = self.heap.pop()?;
        self.armed.remove(&execution);
        Some((execution, due))
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
        timers.begin_fetch(t(0), Duration::from_secs(1));
        assert!(timers.arm(id(1), Some(t(500))));
        assert!(!timers.arm(id(2), Some(t(600))));
        assert!(timers.arm(id(1), Some(t(300))));
        assert!(!timers.arm(id(1), Some(t(700))));
        assert!(!timers.arm(id(3), Some(t(1_000))), "beyond the horizon");
        assert_eq!(timers.next(), Some(t(600)));
        assert_eq!(timers.pop(t(599)), None);
        assert_eq!(timers.pop(t(600)), Some((id(2), t(600))));
        assert_eq!(timers.pop(t(10_000)), Some((id(1), t(700))));
        timers.arm(id(4), Some(t(800)));
        timers.arm(id(4), None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_clock_that_is_put_forward_has_the_store_asked_and_one_that_is_put_back_loses_nothing() {
        let t = Timestamp::from_millis;
        let length = Duration::from_secs(4);
        let mut timers = Timers::default();
        assert!(timers.fetch_is_due(t(0)), "nothing was fetched yet");
        timers.begin_fetch(t(10_000), length);
        assert!(timers.fetch_is_due(t(10_000)), "the store has not answered");
        timers.fetched(t(10_000), length);
        assert!(timers.arm(id(1), Some(t(13_000))));
        assert!(!timers.fetch_is_due(t(11_999)) && !timers.fetch_is_due(t(-1_000_000)));
        assert!(timers.fetch_is_due(t(12_000)) && timers.fetch_is_due(t(1_000_000)));
        timers.begin_fetch(t(1_000), length);
        timers.fetched(t(1_000), length);
        assert!(timers.arm(id(2), Some(t(4_000))));
        assert!(!timers.arm(id(3), Some(t(14_000))));
        assert!(timers.fetch_is_due(t(13_000)));
        assert_eq!(timers.pop(t(13_000)), Some((id(2), t(4_000))));
        assert_eq!(timers.pop(t(13_000)), Some((id(1), t(13_000))));
    }

    #[test]
    fn executions_beyond_the_number_that_was_asked_for_wait_in_the_store() {
        let t = Timestamp::from_millis;
        let (length, pause) = (Duration::from_secs(10), Duration::from_secs(1));
        let mut timers = Timers::default();
        timers.begin_fetch(t(0), length);
        for n in 0..4 {
            timers.arm(id(n), Some(t(100)));
        }
        timers.arm(id(8), Some(t(9_000)));
        timers.fetched_some(t(0), (4, t(100)), pause);
        assert!(!timers.arm(id(9), Some(t(101))), "beyond the last that came");
        assert!(!timers.fetch_is_due(t(2_000)), "four are here");
        for _ in 0..2 {
            assert!(timers.pop(t(2_000)).is_some());
        }
        assert!(timers.fetch_is_due(t(2_000)) && !timers.fetch_is_due(t(999)), "not before the pause is over");
        timers.begin_fetch(t(2_000), length);
        timers.fetched(t(2_000), length);
        assert!(timers.arm(id(9), Some(t(50))) && !timers.fetch_is_due(t(6_999)) && timers.fetch_is_due(t(7_000)));
    }

    #[test]
    fn a_second_try_does_not_take_the_place_of_newer_knowledge() {
        let t = Timestamp::from_millis;
        let mut timers = Timers::default();
        timers.begin_fetch(t(0), Duration::from_secs(10));
        timers.arm(id(1), Some(t(2_000)));
        timers.arm_unless_armed(id(1), t(500));
        timers.arm_unless_armed(id(2), t(1_000));
        assert_eq!(timers.pop(t(5_000)), Some((id(2), t(1_000))));
        assert_eq!(timers.pop(t(5_000)), Some((id(1), t(2_000))));
    }

    #[test]
    fn executions_that_end_before_their_timeout_leave_nothing_behind() {
        let mut timers = Timers::default();
        timers.begin_fetch(Timestamp::from_millis(0), Duration::MAX);
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
