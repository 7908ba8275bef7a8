//! Which deliveries of a connection were mended, until their consumer asks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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

/// The mended deliveries of one connection, by channel and delivery tag. A mark is there before lapin sees the message.
/// Marks that nobody asks for go when their channel is opened again, or with the connection: there are no more of them
/// than the prefetch lets be out.
#[derive(Debug, Default)]
pub struct Marks {
    /// So that the usual case, nothing mended, costs no lock.
    count: AtomicUsize,
    mended: Mutex<HashMap<(u16, u64), Mended>>,
    tally: Arc<Tally>,
}

impl Marks {
    #[must_use]
    pub fn new(tally: Arc<Tally>) -> Self {
        Self { tally, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u16, u64), Mended>> {
        self.mended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was mended in this delivery. Asked once, for each delivery and each `basic.get`.
    pub fn take(&self, channel: u16, tag: u64) -> Option<Mended> {
        if self.is_empty() {
            return None;
        }
        let mut mended = self.lock();
        let found = mended.remove(&(channel, tag));
        self.count.store(mended.len(), Ordering::Release);
        found
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    pub(super) fn put(&self, channel: u16, tag: u64, what: Mended) {
        let mut mended = self.lock();
        mended.insert((channel, tag), what);
        self.count.store(mended.len(), Ordering::Release);
        drop(mended);
        self.tally.count(what);
    }

    /// A new channel counts its deliveries from one again.
    pub(super) fn forget(&self, channel: u16) {
        if !self.is_empty() {
            let mut mended = self.lock();
            mended.retain(|(of, _), _| *of != channel);
            self.count.store(mended.len(), Ordering::Release);
        }
    }
}
