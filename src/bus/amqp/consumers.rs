//! Which queues have a consumer now: for readiness.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bus::ConsumerFact;

/// All streams of a bus.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    next: AtomicU64,
    facts: Mutex<BTreeMap<u64, ConsumerFact>>,
}

impl Consumers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, ConsumerFact>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn facts(&self) -> Vec<ConsumerFact> {
        self.lock().values().cloned().collect()
    }

    /// A stream of ours consumes this queue, and declares it again itself.
    pub(super) fn has(&self, queue: &str) -> bool {
        self.lock().values().any(|fact| fact.queue == queue)
    }

    /// A stream begins, without a consumer yet.
    pub(super) fn enter(self: &Arc<Self>, queue: &str, standing: bool) -> Entry {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let fact = ConsumerFact { queue: queue.to_owned(), active: false, standing, trouble: None };
        self.lock().insert(number, fact);
        Entry { consumers: self.clone(), number }
    }
}

/// One stream's line, for as long as it is there.
#[derive(Debug)]
pub(super) struct Entry {
    consumers: Arc<Consumers>,
    number: u64,
}

impl Entry {
    pub(super) fn active(&self) {
        self.set(true, None);
    }

    pub(super) fn trouble(&self, why: &str) {
        self.set(false, Some(why.to_owned()));
    }

    fn set(&self, active: bool, trouble: Option<String>) {
        if let Some(fact) = self.consumers.lock().get_mut(&self.number) {
            (fact.active, fact.trouble) = (active, trouble);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.consumers.lock().remove(&self.number);
    }
}
