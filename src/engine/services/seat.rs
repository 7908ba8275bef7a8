//! This process among the nodes that share a store: its slot, and whether its word still counts.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::types::tell::NEWEST;

/// Of a process that is the only owner of its store. No moment is later.
const EVER: u64 = u64::MAX;
/// Of a node without others: no other could take it for dead.
const UNTIL_OTHERS_COME: u64 = EVER - 1;

/// A node that has lost its place gives back for so long all deliveries that it holds. Each is handed out again
/// within a fifth of it.
const GIVES_ALL_BACK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(in crate::engine) struct Seat {
    began: Instant,
    /// Milliseconds after `began` until which this process may take things in.
    good_until: AtomicU64,
    /// From which on other nodes have this node's partitions, if there are any that could take them.
    lost_from: AtomicU64,
    /// Until which no other node can own a partition of this one.
    sure_until: AtomicU64,
    slot: watch::Sender<Option<u16>>,
    /// The newest form that all nodes read.
    form: AtomicU32,
}

impl Default for Seat {
    /// Of a process that is the only owner.
    fn default() -> Self {
        Self {
            began: Instant::now(),
            good_until: AtomicU64::new(EVER),
            lost_from: AtomicU64::new(EVER),
            sure_until: AtomicU64::new(EVER),
            slot: watch::Sender::new(None),
            form: AtomicU32::new(NEWEST),
        }
    }
}

impl Seat {
    /// Since this seat was made, by this process's own clock.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The number of this node, while it has one: it names the node's queue. `None` too where this is the only owner.
    pub fn slot(&self) -> Option<u16> {
        *self.slot.borrow()
    }

    /// The slot, whenever it changes: a node that was taken for dead joins again, perhaps with another one.
    pub fn changes(&self) -> watch::Receiver<Option<u16>> {
        self.slot.subscribe()
    }

    /// The newest form that all nodes read: what this one writes.
    pub fn form(&self) -> u32 {
        self.form.load(Ordering::Relaxed)
    }

    /// The nodes that live read up to these forms.
    pub fn meets(&self, forms: impl Iterator<Item = u32>) {
        self.form.store(forms.fold(NEWEST, u32::min), Ordering::Relaxed);
    }

    /// This node has joined, or is no node at present.
    pub fn sit(&self, slot: Option<u16>) {
        self.good_until.store(0, Ordering::Relaxed);
        self.sure_until.store(0, Ordering::Relaxed);
        self.lost_from.store(EVER, Ordering::Relaxed);
        self.slot.send_replace(slot);
    }

    /// A beat arrived in the store that keeps this node alive until then. `others`: other nodes are there.
    pub fn good_until(&self, until: Duration, others: bool) {
        let until = u64::try_from(until.as_millis()).unwrap_or(UNTIL_OTHERS_COME);
        self.sure_until.store(until, Ordering::Relaxed);
        self.good_until.store(if others { until } else { UNTIL_OTHERS_COME }, Ordering::Relaxed);
    }

    /// Without a further beat this node has lost its place then; `None`: no other node is there.
    pub fn lost_from(&self, from: Option<Duration>) {
        let from = from.and_then(|from| u64::try_from(from.as_millis()).ok());
        self.lost_from.store(from.unwrap_or(EVER), Ordering::Relaxed);
    }

    /// This node has lost its place to others, if any of them reaches the store. May it give back to the broker a
    /// delivery that it cannot take in? `again`: it was given out before. For a moment it gives back all, then
    /// each once: where no other node has the partition, the delivery comes here again, and the broker counts that.
    pub fn gives_back(&self, again: bool) -> bool {
        let from = self.lost_from.load(Ordering::Relaxed);
        let lost = if from == EVER { None } else { self.now().checked_sub(Duration::from_millis(from)) };
        lost.is_some_and(|lost| !again || lost < GIVES_ALL_BACK)
    }

    /// This process is the only owner of its store.
    pub fn is_alone(&self) -> bool {
        self.good_until.load(Ordering::Relaxed) == EVER
    }

    /// Its last good beat is so old that others may have taken this node for dead: nothing is taken in.
    pub fn is_fenced(&self) -> bool {
        self.is_past(&self.good_until)
    }

    /// No other node can have taken a partition of this one. A node that saw no others may be frozen while one comes:
    /// it takes things in, because the store refuses wrong writes, and it refuses nothing for good.
    pub fn is_sure(&self) -> bool {
        !self.is_past(&self.sure_until)
    }

    fn is_past(&self, until: &AtomicU64) -> bool {
        let until = until.load(Ordering::Relaxed);
        until != EVER && self.now().as_millis() > u128::from(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_has_lost_its_place_gives_back_all_for_a_moment_and_then_each_once() {
        let seat = Seat::default();
        let gives = || [false, true].map(|again| seat.gives_back(again));
        assert_eq!(gives(), [false, false]);
        seat.lost_from(Some(Duration::from_secs(6)));
        assert_eq!(gives(), [false, false]);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(gives(), [true, true]);
        tokio::time::sleep(GIVES_ALL_BACK).await;
        assert_eq!(gives(), [true, false]);
        seat.lost_from(None);
        assert_eq!(gives(), [false, false]);
    }

    #[test]
    fn a_node_writes_what_the_oldest_one_reads() {
        let seat = Seat::default();
        assert_eq!(seat.form(), NEWEST);
        seat.meets([NEWEST + 1, NEWEST].into_iter());
        assert_eq!(seat.form(), NEWEST, "a newer node reads it too");
        seat.meets([NEWEST, NEWEST - 1].into_iter());
        assert_eq!(seat.form(), NEWEST - 1);
        seat.meets([NEWEST].into_iter());
        assert_eq!(seat.form(), NEWEST, "the older one has gone");
    }
}
