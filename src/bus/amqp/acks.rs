//! Which deliveries of one channel have been settled, and what to tell the broker: one `basic.ack` with `multiple` for
//! all that lie together. Pure; the channel's task asks for a [`Batch`] every few milliseconds.

use std::collections::VecDeque;

/// Where one delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// With the engine.
    Open,
    /// Settled with an ack that the broker has not heard of.
    Settled,
    /// To be given back, after a while.
    GivingBack,
    /// The broker knows.
    Gone,
}

/// The settlements for the broker.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Ack with `multiple` up to this tag.
    pub(super) up_to: Option<u64>,
    /// Ack each: settled ones that lie behind an open one.
    pub(super) singles: Vec<u64>,
}

/// Deliveries of one channel. Tags count from 1; memory is bounded by the prefetch and the distance to the oldest open
/// delivery.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    /// Tag of `slots[0]`, less one.
    before: u64,
    slots: VecDeque<Slot>,
    /// Slots that are `Settled`.
    settled: usize,
    /// Slots that are `Open` or `GivingBack`.
    outstanding: usize,
}

impl Tracker {
    /// A delivery has come in.
    pub(super) fn delivered(&mut self, tag: u64) {
        let Some(index) = self.index(tag) else { return };
        // tags that were never delivered to us (none, by the protocol) must not stop the count
        self.slots.resize(index.max(self.slots.len()), Slot::Gone);
        if index == self.slots.len() {
            self.slots.push_back(Slot::Open);
            self.outstanding += 1;
        }
    }

    /// Returns how many settled deliveries the broker has not heard of.
    pub(super) fn ack(&mut self, tag: u64) -> usize {
        if self.replace(tag, &[Slot::Open], Slot::Settled) {
            self.outstanding -= 1;
            self.settled += 1;
        }
        self.settled
    }

    /// Marks a delivery that is to be given back; true where it was open.
    pub(super) fn give_back(&mut self, tag: u64) -> bool {
        self.replace(tag, &[Slot::Open], Slot::GivingBack)
    }

    /// The broker has been told to take it back.
    pub(super) fn given_back(&mut self, tag: u64) {
        if self.replace(tag, &[Slot::GivingBack], Slot::Gone) {
            self.outstanding -= 1;
        }
    }

    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Settled deliveries that the broker has not heard of.
    pub(super) fn settled(&self) -> usize {
        self.settled
    }

    /// The deliveries that can be acked together. `strays` asks for the others too, one by one: they would fill the
    /// prefetch behind one slow delivery.
    pub(super) fn take(&mut self, strays: bool) -> Batch {
        let mut batch = Batch::default();
        while let Some(slot @ (Slot::Settled | Slot::Gone)) = self.slots.front() {
            if *slot == Slot::Settled {
                // only a tag that is still unacked may be named: RabbitMQ closes the channel over any other
                batch.up_to = Some(self.before + 1);
                self.settled -= 1;
            }
            self.slots.pop_front();
            self.before += 1;
        }
        if strays && self.settled > 0 {
            for (tag, slot) in (self.before + 1..).zip(self.slots.iter_mut()) {
                if *slot == Slot::Settled {
                    *slot = Slot::Gone;
                    batch.singles.push(tag);
                }
            }
            self.settled = 0;
        }
        batch
    }

    fn index(&self, tag: u64) -> Option<usize> {
        usize::try_from(tag.checked_sub(self.before + 1)?).ok()
    }

    fn replace(&mut self, tag: u64, from: &[Slot], to: Slot) -> bool {
        match self.index(tag).and_then(|i| self.slots.get_mut(i)) {
            Some(slot) if from.contains(slot) => {
                *slot = to;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tracker(deliveries: u64) -> Tracker {
        let mut t = Tracker::default();
        (1..=deliveries).for_each(|tag| t.delivered(tag));
        t
    }

    #[test]
    fn what_lies_together_is_acked_with_one_tag() {
        let mut t = tracker(5);
        for tag in [2, 1, 3, 5] {
            t.ack(tag);
        }
        assert_eq!(t.take(false), Batch { up_to: Some(3), singles: vec![] });
        assert_eq!(t.take(false), Batch::default());
        t.ack(4);
        assert_eq!(t.take(false), Batch { up_to: Some(5), singles: vec![] });
        assert_eq!(t.outstanding(), 0);
    }

    #[test]
    fn a_slow_delivery_does_not_hold_those_behind_it() {
        let mut t = tracker(4);
        for tag in [2, 4] {
            t.ack(tag);
        }
        assert_eq!(t.take(true), Batch { up_to: None, singles: vec![2, 4] });
        t.ack(1);
        t.ack(3);
        // 4 is gone already: naming it again would close the channel
        assert_eq!(t.take(false), Batch { up_to: Some(3), singles: vec![] });
        assert_eq!(t.slots.len(), 0);
    }

    #[test]
    fn one_that_is_given_back_is_never_acked() {
        let mut t = tracker(3);
        t.ack(1);
        assert!(t.give_back(2));
        assert!(!t.give_back(2));
        t.ack(2);
        t.ack(3);
        assert_eq!(t.take(false), Batch { up_to: Some(1), singles: vec![] });
        t.given_back(2);
        assert_eq!(t.take(false), Batch { up_to: Some(3), singles: vec![] });
        assert_eq!(t.outstanding(), 0);
    }

    proptest! {
        /// In whatever order they are settled, each tag is acked or given back once, and a `multiple` never covers an
        /// open one.
        #[test]
        fn every_delivery_is_told_once(order in Just((1..=40u64).collect::<Vec<_>>()).prop_shuffle(), back in 0u64..8, every in 1usize..9) {
            let mut t = tracker(40);
            let mut told = std::collections::BTreeSet::new();
            let mut open: std::collections::BTreeSet<u64> = (1..=40).collect();
            for (n, tag) in order.iter().enumerate() {
                if tag % 8 == back {
                    prop_assert!(t.give_back(*tag));
                    t.given_back(*tag);
                    prop_assert!(told.insert(*tag));
                } else {
                    t.ack(*tag);
                }
                open.remove(tag);
                if n % every == 0 {
                    let batch = t.take(n % 2 == 0);
                    if let Some(up_to) = batch.up_to {
                        prop_assert!(open.range(..=up_to).next().is_none());
                        prop_assert!(!told.contains(&up_to));
                        told.extend(1..=up_to);
                    }
                    for tag in batch.singles {
                        prop_assert!(told.insert(tag));
                    }
                }
            }
            if let Some(up_to) = t.take(true).up_to {
                told.extend(1..=up_to);
            }
            prop_assert_eq!(told.len(), 40);
            prop_assert_eq!((t.outstanding(), t.settled(), t.slots.len()), (0, 0, 0));
        }
    }
}
