//! Facts of a bus beside up and down, for readiness and metrics, which ask at the moment that they need them.
//!
//! How to read it: an engine is *deaf* where [`BusFacts::deaf`] gives something: a queue that it lives by has no
//! consumer, so messages pile up there. A refused declaration ([`BusFacts::refused`]) is worth a metric
//! and a person's look, but stops nothing by itself: a queue that is there is consumed all the same. Counts only grow.

use std::collections::BTreeMap;

/// A snapshot. A bus that knows nothing of the kind (in this process) gives an empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BusFacts {
    /// Every queue that is being consumed or should be.
    pub consumers: Vec<ConsumerFact>,
    /// Declarations that the broker refuses now.
    pub refused: Vec<RefusedFact>,
    /// Connections that were lost since the start, each of which was made again or is being made.
    pub connections_lost: u64,
    /// Messages that could not be read as they came, by reason (`crate::bus::Mended`); one message may have several.
    pub mended: BTreeMap<&'static str, u64>,
    /// Messages at which connections ended again and again, and that were put aside: `parked`, `rejected`.
    pub set_aside: BTreeMap<&'static str, u64>,
    /// Another engine that uses the same names on this virtual host: who it says that it is.
    pub shared_with: Option<String>,
}

/// One consumed queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerFact {
    pub queue: String,
    /// The broker has confirmed a consumer, on a connection that is up.
    pub active: bool,
    /// The engine lives by it: replies, starts, dead letters. False for pollers of an activity, which come and go, and
    /// for HTTP Tasks.
    pub standing: bool,
    /// It was asked for a moment ago, and the broker has not answered yet: as each partition's queue when a server
    /// takes it over.
    pub opening: bool,
    /// Why there is none, in the broker's words.
    pub trouble: Option<String>,
}

/// One thing that the broker refuses to declare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedFact {
    /// `queue reveille.parked`, `exchange news`.
    pub what: String,
    /// AMQP's reply code: 403 no right, 405 another connection's, 406 other arguments.
    pub code: u16,
    pub why: String,
}

impl BusFacts {
    /// Queues of the engine that have no consumer, and are not about to get one. While there is such a queue, the
    /// engine is not ready.
    pub fn deaf(&self) -> impl Iterator<Item = &ConsumerFact> {
        self.consumers.iter().filter(|consumer| consumer.standing && !consumer.active && !consumer.opening)
    }
}
