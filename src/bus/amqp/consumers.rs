//! Which queues have a consumer now: for readiness.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::bus::ConsumerFact;

/// A new consumer has so long to be confirmed before its queue counts as without one.
const OPENS_WITHIN: Duration = Duration::from_secs(5);

/// All streams of a bus.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    next: AtomicU64,
    /// With the moment when each stream began.
    facts: Mutex<BTreeMap<u64, (Instant, ConsumerFact)>>,
}

impl Consumers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, (Instant, ConsumerFact)>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn facts(&self) -> Vec<ConsumerFact> {
        let fact = |(since, fact): &(Instant, ConsumerFact)| {
            let opening = !fact.active && fact.trouble.is_none() && since.elapsed() < OPENS_WITHIN;
            ConsumerFact { opening, ..fact.clone() }
        };
        self.lock().values().map(fact).collect()
    }

    /// A stream of ours consumes this queue, and declares it again itself.
    pub(super) fn has(&self, queue: &str) -> bool {
        self.lock().values().any(|(_, fact)| fact.queue == queue)
    }

    /// A stream begins, without a consumer yet.
    pub(super) fn enter(self: &Arc<Self>, queue: &str, standing: bool) -> Entry {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let queue = queue.to_owned();
        let fact = ConsumerFact { queue, active: false, standing, opening: true, trouble: None };
        self.lock().insert(number, (Instant::now(), fact));
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
        if let Some((_, fact)) = self.consumers.lock().get_mut(&self.number) {
            (fact.active, fact.trouble) = (active, trouble);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.consumers.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::BusFacts;

    fn deaf(consumers: &Consumers) -> Vec<String> {
        let facts = BusFacts { consumers: consumers.facts(), ..BusFacts::default() };
        facts.deaf().map(|consumer| consumer.queue.clone()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_is_about_to_have_its_first_consumer_is_not_deaf() {
        let consumers = Arc::new(Consumers::default());
        let first = consumers.enter("reveille.replies.1", true);
        assert_eq!(deaf(&consumers), [""; 0], "the broker is being asked");
        first.trouble("refused");
        assert_eq!(deaf(&consumers), ["reveille.replies.1"]);
        first.active();
        let _second = consumers.enter("reveille.replies.2", true);
        tokio::time::sleep(OPENS_WITHIN).await;
        assert_eq!(deaf(&consumers), ["reveille.replies.2"], "it does not answer");
    }
}
