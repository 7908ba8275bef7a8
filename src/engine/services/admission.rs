//! How much is under way, and when new work is refused: what is accepted must never pile up in memory without end. A
//! flood of starts, a store that is slow and a broker that takes nothing all end here; the answer is
//! `ThrottlingException`. Work that runs is not asked: its replies and timers go on, bounded by the executions that
//! were let in. Its children are counted as starts, take turns, and wait where half of the room is taken.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::bus::{Address, BusHealth, Message};
use crate::clock::Timestamp;
use crate::ids::Arn;
use crate::limits;

use crate::engine::services::{RETRY_AFTER, Services};
use crate::engine::types::{EngineError, Options};
/// The longest pause between tries of a child's start.
const CHILD_PAUSE_MAX: Duration = Duration::from_secs(10);
/// No child has waited for so long: the next that waits is news again. Longer than the longest pause.
const CHILDREN_CALM: Duration = Duration::from_secs(30);

/// What is under way now.
#[derive(Debug)]
pub(in crate::engine) struct Admission {
    /// Starts that the store has not taken yet.
    starts: AtomicUsize,
    /// Task messages that the broker has not confirmed, and their bytes.
    unpublished: AtomicUsize,
    unpublished_bytes: AtomicUsize,
    /// News that nobody waits for (verdicts, cancellations) on the way to the broker.
    notices: AtomicUsize,
    /// Refusing now: said once, when it begins.
    throttling: AtomicBool,
    dropping: AtomicBool,
    children: ChildrenWait,
    /// Children are started in the order in which they came, so many at once.
    child_starts: Semaphore,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            starts: AtomicUsize::default(),
            unpublished: AtomicUsize::default(),
            unpublished_bytes: AtomicUsize::default(),
            notices: AtomicUsize::default(),
            throttling: AtomicBool::default(),
            dropping: AtomicBool::default(),
            children: ChildrenWait::default(),
            child_starts: Semaphore::new(limits::CHILD_STARTS_AT_ONCE),
        }
    }
}

/// A child that may start; held until its start is durable.
pub(in crate::engine) struct ChildPermit<'a> {
    _turn: Option<SemaphorePermit<'a>>,
    _start: Permit,
}

/// Children whose start waits: told with the first of them, and again when none has waited for a while.
#[derive(Debug, Default)]
struct ChildrenWait(Mutex<Option<Timestamp>>);

impl ChildrenWait {
    fn last(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more waits; true where that is news.
    fn waits(&self, now: Timestamp) -> bool {
        self.last().replace(now).is_none()
    }

    /// One was started; true where those that waited are over.
    fn starts(&self, now: Timestamp) -> bool {
        let mut last = self.last();
        let over = last.is_some_and(|last| now.since(last) >= CHILDREN_CALM);
        if over {
            *last = None;
        }
        over
    }
}

/// How long a task that has waited for so long waits until it is tried again: longer each time, and spread (`unit` in
/// [0, 1)), since thousands may wait together.
pub(in crate::engine) fn pause_after(waited: Duration, unit: f64) -> Duration {
    (waited / 2).clamp(RETRY_AFTER, CHILD_PAUSE_MAX).mul_f64(1.0 - unit / 4.0)
}

/// One look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Load {
    starts: usize,
    unpublished: usize,
    unpublished_bytes: usize,
}

/// May one more start come in? The refusal says what is full, and which setting bounds it.
fn admits(load: Load, starts_max: usize, unpublished_max: usize) -> Result<(), String> {
    let Load { starts, unpublished, unpublished_bytes } = load;
    if starts >= starts_max {
        return Err(format!("{starts} starts wait for the store, as many as engine.starts_max lets in"));
    }
    if unpublished >= unpublished_max {
        return Err(format!(
            "{unpublished} task messages wait for the broker, as many as engine.unpublished_max lets wait"
        ));
    }
    if unpublished_bytes >= limits::UNPUBLISHED_BYTES_MAX {
        return Err(format!(
            "{unpublished_bytes} bytes of task messages wait for the broker, no more than UNPUBLISHED_BYTES_MAX may"
        ));
    }
    Ok(())
}

/// Counts something for as long as it is held.
pub(in crate::engine) struct Permit {
    services: Arc<Services>,
    what: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Start,
    Publish { bytes: usize },
    Notice,
}

impl Permit {
    fn begin(services: &Arc<Services>, what: Kind) -> Self {
        let admission = &services.admission;
        match what {
            Kind::Start => _ = admission.starts.fetch_add(1, Ordering::AcqRel),
            Kind::Publish { bytes } => {
                admission.unpublished.fetch_add(1, Ordering::AcqRel);
                admission.unpublished_bytes.fetch_add(bytes, Ordering::AcqRel);
            }
            Kind::Notice => _ = admission.notices.fetch_add(1, Ordering::AcqRel),
        }
        Self { services: Arc::clone(services), what }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let admission = &self.services.admission;
        match self.what {
            Kind::Start => _ = admission.starts.fetch_sub(1, Ordering::AcqRel),
            Kind::Publish { bytes } => {
                admission.unpublished.fetch_sub(1, Ordering::AcqRel);
                admission.unpublished_bytes.fetch_sub(bytes, Ordering::AcqRel);
            }
            Kind::Notice => _ = admission.notices.fetch_sub(1, Ordering::AcqRel),
        }
    }
}

impl Admission {
    fn load(&self) -> Load {
        Load {
            starts: self.starts.load(Ordering::Acquire),
            unpublished: self.unpublished.load(Ordering::Acquire),
            unpublished_bytes: self.unpublished_bytes.load(Ordering::Acquire),
        }
    }
}

impl Services {
    /// For metrics: starts that wait for the store, task messages that wait for the broker.
    pub(in crate::engine) fn work_in_progress(&self) -> (usize, usize) {
        let load = self.admission.load();
        (load.starts, load.unpublished)
    }

    /// Lets one more start in, or refuses it because too much is under way. Held until the start is durable.
    pub(in crate::engine) fn admit(self: &Arc<Self>) -> Result<Permit, EngineError> {
        let Options { starts_max, unpublished_max, .. } = self.options;
        let admitted = admits(self.admission.load(), starts_max, unpublished_max);
        match admitted.and_then(|()| self.footprint.refusal().map_or(Ok(()), Err)) {
            Ok(()) => {
                if self.admission.throttling.swap(false, Ordering::AcqRel) {
                    tracing::info!(event = "start.unthrottled", "new starts are let in again");
                }
                Ok(Permit::begin(self, Kind::Start))
            }
            Err(full) => {
                self.metrics.start_throttled();
                let why = match self.bus.health() {
                    BusHealth::Up => full,
                    BusHealth::Blocked(alarm) => format!("{full}; the broker takes none now: {alarm}"),
                    BusHealth::Down(lost) => format!("{full}; the broker cannot be reached: {lost}"),
                };
                if !self.admission.throttling.swap(true, Ordering::AcqRel) {
                    tracing::warn!(event = "start.throttled", reason = why, "new starts are refused: {why}");
                }
                Err(EngineError::Busy(format!("Rate exceeded: {why}; try again later")))
            }
        }
    }

    /// The same for the start of a task. Children take turns, so that replies and callers never stand in line behind
    /// thousands of them, and leave half of the room to callers; those that are refused are tried again.
    pub(in crate::engine) async fn admit_child(self: &Arc<Self>) -> Result<ChildPermit<'_>, EngineError> {
        // It is never closed.
        let turn = self.admission.child_starts.acquire().await.ok();
        let starts = self.admission.load().starts;
        if starts >= self.options.starts_max.div_ceil(2) {
            return Err(EngineError::Busy(format!(
                "{starts} starts wait for the store, half of what engine.starts_max lets in: a child waits"
            )));
        }
        if let Some(why) = self.footprint.refusal_of_child() {
            return Err(EngineError::Busy(format!("{why}: a child waits")));
        }
        Ok(ChildPermit { _turn: turn, _start: Permit::begin(self, Kind::Start) })
    }

    /// True where a start that has waited so long for room waits no longer: what starts itself may hold all the room
    /// that its children wait for.
    pub(in crate::engine) fn child_gives_up(&self, waited: Duration) -> bool {
        waited >= limits::CHILD_PATIENCE && self.footprint.refusal_of_child().is_some()
    }

    /// The start of a child must wait. Nothing is wrong with the child, and thousands may wait together: told once.
    pub(in crate::engine) fn child_waits(&self, execution: &Arn, reason: &str) {
        if self.admission.children.waits(self.clock.now()) {
            tracing::warn!(
                event = "child.delayed",
                execution.arn = %execution,
                reason,
                "starts of children wait, and are tried again until they go through: {reason}"
            );
        } else {
            tracing::debug!(execution.arn = %execution, reason, "a child's start waits");
        }
    }

    /// A child was started.
    pub(in crate::engine) fn child_starts(&self) {
        if self.admission.children.starts(self.clock.now()) {
            tracing::info!(event = "child.resumed", "no start of a child waits any more");
        }
    }

    /// Task messages of so many bytes that are on the way to the broker.
    pub(in crate::engine) fn publishing(self: &Arc<Self>, bytes: usize) -> Permit {
        Permit::begin(self, Kind::Publish { bytes })
    }

    /// Publishes what nothing waits for. Where the broker has not taken the last ten thousand of them, more are
    /// dropped: they are news, and must not fill the memory while nobody can read them.
    pub(in crate::engine) fn publish_best_effort(self: &Arc<Self>, to: Address, message: Message) {
        let waiting = self.admission.notices.load(Ordering::Acquire);
        if waiting >= limits::ASIDES_MAX {
            self.metrics.aside_dropped();
            if !self.admission.dropping.swap(true, Ordering::AcqRel) {
                tracing::warn!(
                    event = "aside.dropped",
                    count = waiting,
                    "verdicts and cancellations are dropped: the broker has not taken those before (ASIDES_MAX)"
                );
            }
            return;
        }
        if waiting < limits::ASIDES_MAX / 2 {
            self.admission.dropping.store(false, Ordering::Release);
        }
        let (services, permit) = (Arc::clone(self), Permit::begin(self, Kind::Notice));
        actix_rt::spawn(async move {
            // Nobody may be listening; that is no error.
            let _ = services.bus.publish(to, message).await;
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_refused_at_each_bound_and_told_which() {
        let load = |starts, unpublished, unpublished_bytes| Load { starts, unpublished, unpublished_bytes };
        let most = limits::UNPUBLISHED_BYTES_MAX;
        for (load, refused) in [
            (load(0, 0, 0), None),
            (load(9, 99, most - 1), None),
            (load(10, 0, 0), Some("engine.starts_max")),
            (load(0, 100, 0), Some("engine.unpublished_max")),
            (load(0, 1, most), Some("UNPUBLISHED_BYTES_MAX")),
        ] {
            match (admits(load, 10, 100), refused) {
                (Ok(()), None) => {}
                (Err(why), Some(name)) => assert!(why.contains(name), "{why}"),
                (said, _) => panic!("{load:?}: {said:?}"),
            }
        }
    }
    #[test]
    fn children_that_wait_are_told_once_and_ask_less_and_less_often() {
        let children = ChildrenWait::default();
        let at = |s: i64| Timestamp::from_millis(s * 1_000);
        assert!(!children.starts(at(0)), "none has waited");
        let told: Vec<i64> = (0..100).filter(|s| children.waits(at(*s))).collect();
        assert_eq!(told, [0]);
        assert_eq!((children.starts(at(110)), children.waits(at(110))), (false, false), "others wait still");
        assert_eq!((children.starts(at(140)), children.starts(at(141)), children.waits(at(142))), (true, false, true));
        let (mut waited, mut tries) = (Duration::ZERO, 0);
        while waited < Duration::from_mins(1) {
            let pause = pause_after(waited, 0.0);
            assert!(pause >= RETRY_AFTER && pause <= CHILD_PAUSE_MAX, "{pause:?}");
            assert!(pause_after(waited, 0.99) >= pause.mul_f64(0.75) && pause_after(waited, 0.99) < pause);
            waited += pause;
            tries += 1;
        }
        assert!(tries < 15, "{tries} tries in a minute");
    }
}
