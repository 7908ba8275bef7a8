//! The deliveries of a connection, until its consumers take them: mended ones, and those on their way.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bus::Mended;

/// How many messages were mended for each reason, over all connections of a bus.
#[derive(Debug, Default)]
pub struct Tally([AtomicU64; Mended::REASONS.len()]);

impl Tally {
    fn count(&self, mended: Mended) {
        for ((reason, ..), count) in Mended::REASONS.iter().zip(&self.0) {
            if mended.has(*reason) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Every reason with its count.
    #[must_use]
    pub fn figures(&self) -> BTreeMap<&'static str, u64> {
        Mended::REASONS
            .iter()
            .zip(&self.0)
            .map(|((_, name, _), count)| (*name, count.load(Ordering::Relaxed)))
            .collect()
    }
}

/// A delivery that is on its way from the broker to its consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The same each time that the message is delivered; messages that are alike may share it.
    pub print: u64,
    /// Of its content header; 0: that has not come in.
    pub header_bytes: usize,
    pub body_bytes: u64,
    pub mended: Mended,
}

/// The deliveries of one connection that their consumer has not taken, by channel and delivery tag. They tell which
/// deliveries were mended, and which were on their way when the connection ended. A delivery is here before lapin sees
/// it. Deliveries that no consumer takes go when their channel is opened again, or with the connection: the prefetch
/// bounds their number.
#[derive(Debug, Default)]
pub struct Marks {
    arrivals: Mutex<HashMap<(u16, u64), Arrival>>,
    tally: Arc<Tally>,
}

impl Marks {
    #[must_use]
    pub fn new(tally: Arc<Tally>) -> Self {
        Self { tally, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u16, u64), Arrival>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The consumer takes this delivery, and gets the changes in it. Asked once, for each delivery and each
    /// `basic.get`.
    pub fn take(&self, channel: u16, tag: u64) -> Option<Mended> {
        self.lock().remove(&(channel, tag)).map(|arrival| arrival.mended).filter(|mended| !mended.is_none())
    }

    /// The deliveries of a channel that have come in, whole or in part, and were not taken, in order.
    #[must_use]
    pub fn left(&self, channel: u16) -> Vec<Arrival> {
        let arrivals = self.lock();
        let mut left: Vec<(u64, Arrival)> =
            arrivals.iter().filter(|((of, _), _)| *of == channel).map(|((_, tag), arrival)| (*tag, *arrival)).collect();
        left.sort_unstable_by_key(|(tag, _)| *tag);
        left.into_iter().map(|(_, arrival)| arrival).collect()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn put(&self, channel: u16, tag: u64, arrival: Arrival) {
        self.lock().insert((channel, tag), arrival);
        if arrival.header_bytes > 0 && !arrival.mended.is_none() {
            self.tally.count(arrival.mended);
        }
    }

    /// A new channel counts its deliveries from one again.
    pub(super) fn forget(&self, channel: u16) {
        self.lock().retain(|(of, _), _| *of != channel);
    }
}
