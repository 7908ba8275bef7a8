//! Can the engine do its work? Asked by `/readyz`, watched once a second: a change is logged once, and metrics show it.
//!
//! A partition is asked through its mailbox, as for all other requests. A partition that does not answer for [`SILENT`]
//! is starved or stuck, and its executions stand still.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::bus::BusHealth;
use crate::ids::PartitionId;

use super::handle::{Engine, EngineHandle};

/// A partition that has not answered for so long is not well. One decision takes milliseconds.
const SILENT: Duration = Duration::from_secs(2);
/// A store that does not answer a read for so long.
const STORE_ANSWERS: Duration = Duration::from_secs(5);

/// A reason why the engine is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) enum Missing {
    Store(String),
    Bus(String),
    /// A queue that the engine lives by has no consumer.
    Deaf {
        queue: String,
        why: String,
    },
    Partition(PartitionId),
    /// This server shares its store, and owns no partition of it now.
    Idle,
}

impl Missing {
    const REASONS: [&'static str; 5] = ["store", "bus", "deaf", "partition", "idle"];

    fn reason(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Bus(_) => "bus",
            Self::Deaf { .. } => "deaf",
            Self::Partition(_) => "partition",
            Self::Idle => "idle",
        }
    }

    /// True for the same part, with any words.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Deaf { queue: a, .. }, Self::Deaf { queue: b, .. }) => a == b,
            (Self::Partition(a), Self::Partition(b)) => a == b,
            _ => self.reason() == other.reason(),
        }
    }

    /// The bus logs its own losses where they happen.
    fn is_logged_elsewhere(&self) -> bool {
        matches!(self, Self::Bus(_) | Self::Deaf { .. })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(why) => write!(f, "store: {why}"),
            Self::Bus(why) => write!(f, "bus: {why}"),
            Self::Deaf { queue, why } => write!(f, "bus: the queue {queue} has no consumer: {why}"),
            Self::Partition(id) => {
                write!(f, "engine: partition {id} has not answered for {} s: its thread is held", SILENT.as_secs())
            }
            Self::Idle => f.write_str("engine: this server owns no partition now, so it begins no execution"),
        }
    }
}

#[derive(Debug, Default)]
pub(in crate::engine) struct Health {
    /// Partitions that owe an answer, and since when.
    asked: Mutex<BTreeMap<PartitionId, Instant>>,
    /// As it was looked at last.
    missing: Mutex<Vec<Missing>>,
    stopping: AtomicBool,
}

impl Health {
    /// The engine stops: a part that goes away now is no news.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Every reason, and whether it was one at the last look.
    pub fn reasons(&self) -> Vec<(&'static str, bool)> {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        Missing::REASONS.map(|reason| (reason, missing.iter().any(|m| m.reason() == reason))).into()
    }

    /// Marks that this partition is asked; false where it still owes an answer.
    fn ask(&self, partition: PartitionId) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let free = !asked.contains_key(&partition);
        if free {
            asked.insert(partition, Instant::now());
        }
        free
    }

    fn answered(&self, partition: PartitionId) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }

    fn silent(&self) -> Vec<PartitionId> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|(_, since)| since.elapsed() >= SILENT).map(|(id, _)| *id).collect()
    }

    /// Keeps the missing parts. Returns those that are newly missing, and those that are there again.
    fn change(&self, now: Vec<Missing>) -> (Vec<Missing>, Vec<Missing>) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let not_in = |of: &[Missing], others: &[Missing]| -> Vec<Missing> {
            of.iter().filter(|m| !others.iter().any(|other| m.is_same(other))).cloned().collect()
        };
        let change = (not_in(&now, &missing), not_in(&missing, &now));
        *missing = now;
        change
    }
}

impl Engine {
    /// The missing parts of the engine.
    async fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        match tokio::time::timeout(STORE_ANSWERS, self.services.catalog.ping()).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => missing.push(Missing::Store(e.to_string())),
            Err(_) => {
                let seconds = STORE_ANSWERS.as_secs();
                missing.push(Missing::Store(format!("it has not answered a read for {seconds} s")));
            }
        }
        match self.services.bus.health() {
            BusHealth::Up | BusHealth::Blocked(_) => {
                missing.extend(self.services.bus.facts().deaf().map(|consumer| Missing::Deaf {
                    queue: consumer.queue.clone(),
                    why: consumer.trouble.clone().unwrap_or_else(|| "the broker has not confirmed one yet".to_owned()),
                }));
            }
            BusHealth::Down(why) => missing.push(Missing::Bus(why)),
        }
        missing.extend(self.health.silent().into_iter().map(Missing::Partition));
        if self.keeper.is_some() && !self.services.courier.has_partition() {
            missing.push(Missing::Idle);
        }
        missing
    }

    /// Facts that stop no work, and are worth a look.
    fn doubts(&self) -> Vec<String> {
        let facts = self.services.bus.facts();
        let refused = facts.refused.iter().map(|r| format!("the broker refuses {}: {} {}", r.what, r.code, r.why));
        let other = facts.shared_with.iter().map(|who| format!("another engine uses the same queues: {who}"));
        refused.chain(other).collect()
    }
}

/// Asks every partition that owes no answer.
fn ask_partitions(engine: &Arc<Engine>) {
    let answers = Arc::downgrade(engine);
    let wanted = |id: PartitionId| engine.health.ask(id);
    engine.partitions.beat(wanted, move |id| {
        if let Some(engine) = answers.upgrade() {
            engine.health.answered(id);
        }
    });
}

/// Looks again and again. Runs until the engine stops or is dropped: this look keeps nothing of it alive.
pub(in crate::engine) async fn watch(engine: Weak<Engine>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(engine) = engine.upgrade() else { return };
        ask_partitions(&engine);
        let now = engine.missing().await;
        if engine.health.stopping.load(Ordering::Relaxed) {
            return;
        }
        let (lost, regained) = engine.health.change(now);
        for missing in lost.iter().filter(|m| !m.is_logged_elsewhere()) {
            tracing::error!(
                event = "readiness.lost",
                what = missing.reason(),
                reason = %missing,
                "not ready: {missing}"
            );
        }
        for missing in regained.iter().filter(|m| !m.is_logged_elsewhere()) {
            tracing::info!(event = "readiness.regained", what = missing.reason(), "it is over: {missing}");
        }
    }
}

impl EngineHandle {
    /// Can the engine do its work now? If so, the facts that are worth a look; else the missing parts, in words.
    pub async fn ready(&self) -> Result<Vec<String>, Vec<String>> {
        let missing = self.inner.missing().await;
        if missing.is_empty() {
            Ok(self.inner.doubts())
        } else {
            Err(missing.iter().map(ToString::to_string).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_owes_its_answer_for_two_seconds_is_named_until_it_answers() {
        let health = Health::default();
        let (first, second) = (PartitionId(0), PartitionId(1));
        assert!(health.ask(first) && health.ask(second));
        health.answered(first);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(health.ask(first) && !health.ask(second));
        assert_eq!(health.silent(), []);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(health.silent(), [PartitionId(1)]);
        health.answered(second);
        assert_eq!(health.silent(), []);
        assert!(health.ask(second));
    }

    #[test]
    fn a_change_is_told_once_and_other_words_are_no_change() {
        let health = Health::default();
        let store = |why: &str| Missing::Store(why.to_owned());
        let deaf = |queue: &str| Missing::Deaf { queue: queue.to_owned(), why: "403".to_owned() };
        assert_eq!(health.change(vec![store("a"), deaf("q")]), (vec![store("a"), deaf("q")], vec![]));
        assert_eq!(health.change(vec![store("b"), deaf("r")]), (vec![deaf("r")], vec![deaf("q")]));
        let now = health.reasons();
        assert_eq!(now, [("store", true), ("bus", false), ("deaf", true), ("partition", false), ("idle", false)]);
        assert_eq!(health.change(vec![]), (vec![], vec![store("b"), deaf("r")]));
        assert!(health.reasons().iter().all(|(_, so)| !so));
    }
}
