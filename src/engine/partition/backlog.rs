//! An answer in time counts, also where it waited in the queue because no server ran or this process stood still. So
//! timeouts of tasks are held back until the backlog of the partition's reply queue has been taken in.
//!
//! ```text
//! start, or a pause noticed ─► held ─► how much waits in the queue? ─► so much has come in, and nothing more is there
//!                                         ─► work in progress is settled ─► released: held timeouts are due
//!                 BACKLOG_STILL_MAX without any: a task must not wait for ever for a broker that is away
//! ```
//! Only the ends of tasks are held back (their timeouts, their heartbeats, the execution's timeout); Wait states and
//! retries are not.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::ids::ExecutionId;

/// So much later than it was to wake, and the process stood still (or was short of time): a stop, a machine that slept,
/// a clock that was set. It is never to wake later than after `clock_check`.
pub(super) const LATE: Duration = Duration::from_millis(500);
/// Due timeouts wait so long for the backlog before they are looked at.
const SOON: Duration = Duration::from_secs(1);

/// May tasks time out?
#[derive(Debug)]
pub(in crate::engine) struct Backlog {
    pub(super) held: Cell<bool>,
    /// Holding has begun again.
    pub(super) again: Notify,
    /// It has ended.
    pub(super) released: Notify,
    /// Executions whose timers were looked at while timeouts were held back.
    pub(super) seen: RefCell<HashSet<ExecutionId>>,
    /// Those of them that are to be looked at again at the end of it.
    pub(super) late: RefCell<HashSet<ExecutionId>>,
    /// Deliveries that came in, since the start.
    pub(super) received: Cell<u64>,
    /// Questions to the router, and its answers.
    ask: Notify,
    asked: Cell<u64>,
    answer: Notify,
    answered: Cell<u64>,
    /// Replies under way by a task of their own, which began since the last round.
    round: RefCell<Rc<Round>>,
}

#[derive(Debug, Default)]
struct Round {
    open: Cell<usize>,
    none_is: Notify,
}

/// A reply that a task of its own brings to its execution.
#[derive(Debug)]
pub(in crate::engine) struct OpenReply(Rc<Round>);

impl Drop for OpenReply {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        if self.0.open.get() == 0 {
            self.0.none_is.notify_one();
        }
    }
}

/// When the clock's keeper wants to wake, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Planned {
    steady: Instant,
    wall: Timestamp,
}

impl Planned {
    pub fn after(wait: Duration, now: Timestamp) -> Self {
        Self { steady: Instant::now() + wait, wall: now.plus(wait) }
    }

    fn is_missed(self, now: Timestamp) -> bool {
        self.steady + LATE < Instant::now() || self.wall.plus(LATE) < now
    }
}

impl Backlog {
    /// At a start: held.
    pub fn new() -> Self {
        Self {
            held: Cell::new(true),
            again: Notify::new(),
            released: Notify::new(),
            seen: RefCell::default(),
            late: RefCell::default(),
            received: Cell::new(0),
            ask: Notify::new(),
            asked: Cell::new(0),
            answer: Notify::new(),
            answered: Cell::new(0),
            round: RefCell::default(),
        }
    }

    /// Timeouts of tasks wait.
    pub fn is_held(&self) -> bool {
        self.held.get()
    }

    /// Mostly the backlog is taken in at once: due timeouts wait a moment for it, so that they are not looked at twice.
    pub async fn released_soon(&self) {
        let released = self.released.notified();
        if self.is_held() {
            let _ = tokio::time::timeout(SOON, released).await;
        }
    }

    /// The keeper of the clock woke. Where it is late, answers may wait that came in time.
    pub fn woke(&self, planned: Planned, now: Timestamp) {
        if planned.is_missed(now) && !self.held.replace(true) {
            self.again.notify_one();
        }
    }

    /// The timers of this execution are looked at now.
    pub fn looks_at(&self, execution: ExecutionId) {
        if self.is_held() {
            self.seen.borrow_mut().insert(execution);
        }
    }

    /// True where the execution has been looked at and only held timeouts of it are due. It comes again at the end.
    pub fn keeps(&self, execution: ExecutionId) -> bool {
        let keeps = self.is_held() && self.seen.borrow().contains(&execution);
        if keeps {
            self.late.borrow_mut().insert(execution);
        }
        keeps
    }

    /// The router has a delivery.
    pub fn received(&self) {
        self.received.set(self.received.get() + 1);
    }

    /// The router is asked whether there is a further delivery now. It answers with [`Self::is_dry`] where there is
    /// none.
    pub async fn asked(&self) {
        self.ask.notified().await;
    }

    pub fn is_dry(&self) {
        self.answered.set(self.asked.get());
        self.answer.notify_one();
    }

    /// A reply goes its way by a task of its own.
    pub fn begin(&self) -> OpenReply {
        let round = self.round.borrow().clone();
        round.open.set(round.open.get() + 1);
        OpenReply(round)
    }

    pub(super) async fn dry(&self) {
        let number = self.asked.get() + 1;
        self.asked.set(number);
        self.ask.notify_one();
        while self.answered.get() < number {
            self.answer.notified().await;
        }
    }

    /// All work that was in progress is settled. Work that begins meanwhile is not waited for.
    pub(super) async fn settled(&self) {
        let round = self.round.replace(Rc::default());
        while round.open.get() > 0 {
            round.none_is.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_is_late_by_either_clock() {
        let wall = Timestamp::from_millis(1_000_000);
        let planned = Planned::after(Duration::from_secs(5), wall);
        assert!(!planned.is_missed(wall.plus(Duration::from_secs(5))));
        assert!(planned.is_missed(wall.plus(Duration::from_secs(6))));
        // A clock that was set back says nothing of a pause.
        assert!(!planned.is_missed(Timestamp::from_millis(0)));
        let earlier = Planned { steady: Instant::now() - LATE - Duration::from_millis(1), wall: wall.plus(LATE) };
        assert!(earlier.is_missed(wall));
    }

    #[test]
    fn an_execution_is_kept_once_it_has_been_looked_at() {
        let (backlog, id) = (Backlog::new(), ExecutionId(uuid::Uuid::from_u128(1)));
        assert!(!backlog.keeps(id), "its Wait states may be due");
        backlog.looks_at(id);
        assert!(backlog.keeps(id) && backlog.late.borrow().contains(&id));
        backlog.held.set(false);
        assert!(!backlog.keeps(id));
        backlog.woke(Planned::after(Duration::ZERO, Timestamp::from_millis(0)), Timestamp::from_millis(10_000));
        assert!(backlog.is_held());
    }
}
