//! Admission control: counts work in progress, and refuses starts beyond a bound. Accepted work never piles up in
//! memory without end: a flood of starts, a slow store and a broker that takes nothing all end here, with
//! `ThrottlingException`. Running work is not asked: its replies and timers go on, bounded by the executions that were
//! let in. Its children count as starts, take turns, and wait where half of the room is taken.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clock::Timestamp;
use crate::limits;

use crate::engine::types::RETRY_AFTER;

/// The longest pause between tries of a child's start.
const CHILD_PAUSE_MAX: Duration = Duration::from_secs(10);
/// No child has waited for so long: the next that waits is news again. Longer than the longest pause.
const CHILDREN_CALM: Duration = Duration::from_secs(30);

/// Work in progress.
#[derive(Debug)]
pub(in crate::engine) struct Admission {
    /// Starts that the store has not taken yet.
    starts: AtomicUsize,
    /// Task messages that the broker has not confirmed, and their bytes.
    unpublished: AtomicUsize,
    unpublished_bytes: AtomicUsize,
    /// Notices (verdicts, cancellations) on the way to the broker.
    pub(super) notices: AtomicUsize,
    /// Refusing now: said once, when it begins.
    pub(super) throttling: AtomicBool,
    pub(super) dropping: AtomicBool,
    pub(super) children: ChildrenWait,
    /// Children are started in the order in which they came, so many at once.
    pub(super) child_starts: Semaphore,
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
    pub(super) _turn: Option<SemaphorePermit<'a>>,
    pub(super) _start: Permit,
}

/// Children whose start waits: told with the first of them, and again when none has waited for a while.
#[derive(Debug, Default)]
pub(super) struct ChildrenWait(Mutex<Option<Timestamp>>);

impl ChildrenWait {
    fn last(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more waits; true where that is news.
    pub(super) fn waits(&self, now: Timestamp) -> bool {
        self.last().replace(now).is_none()
    }

    /// One was started; true where those that waited are over.
    pub(super) fn starts(&self, now: Timestamp) -> bool {
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
pub(super) struct Load {
    pub starts: usize,
    pub unpublished: usize,
    unpublished_bytes: usize,
}

/// May one more start come in? The refusal names the full room, and the setting that bounds it.
pub(super) fn admits(load: Load, starts_max: usize, unpublished_max: usize) -> Result<(), String> {
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
    admission: Arc<Admission>,
    what: Kind,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Start,
    Publish { bytes: usize },
    Notice,
}

impl Permit {
    pub(super) fn begin(admission: &Arc<Admission>, what: Kind) -> Self {
        match what {
            Kind::Start => _ = admission.starts.fetch_add(1, Ordering::AcqRel),
            Kind::Publish { bytes } => {
                admission.unpublished.fetch_add(1, Ordering::AcqRel);
                admission.unpublished_bytes.fetch_add(bytes, Ordering::AcqRel);
            }
            Kind::Notice => _ = admission.notices.fetch_add(1, Ordering::AcqRel),
        }
        Self { admission: Arc::clone(admission), what }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let admission = &self.admission;
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
    pub(super) fn load(&self) -> Load {
        Load {
            starts: self.starts.load(Ordering::Acquire),
            unpublished: self.unpublished.load(Ordering::Acquire),
            unpublished_bytes: self.unpublished_bytes.load(Ordering::Acquire),
        }
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
