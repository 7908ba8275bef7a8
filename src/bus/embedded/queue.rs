//! One queue of the embedded bus: first in, first out; expired messages leave from anywhere, given back ones come again
//! first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::bus::{Address, Message, QueueSpec};
use crate::limits;

/// A message in a queue, or out of it and not yet settled.
pub(super) struct Stored {
    pub(super) message: Message,
    expires: Option<Instant>,
    /// How often it was handed out.
    pub(super) deliveries: u32,
    /// How often a worker gave it back.
    returned: u32,
    /// Its place in the order of arrival.
    place: u64,
}

/// A message that leaves without being settled.
pub(super) struct Dead {
    pub(super) message: Message,
    pub(super) reason: &'static str,
    pub(super) queue: String,
    pub(super) to: Option<Address>,
}

pub(super) struct Queue {
    /// `None` while only publishes have named it.
    pub(super) spec: Option<QueueSpec>,
    ready: VecDeque<Stored>,
    /// Given back: when they come again.
    resting: VecDeque<(Instant, Stored)>,
    /// How many messages in `ready` expire, and when; so that a consumer wakes for the first.
    expiries: BTreeMap<Instant, usize>,
    next_place: u64,
    /// Bytes of the bodies in `ready`.
    bytes: u64,
    pub(super) news: Arc<Notify>,
    pub(super) consumers: u32,
}

impl Queue {
    pub(super) fn new(spec: Option<QueueSpec>) -> Self {
        Self {
            spec,
            ready: VecDeque::new(),
            resting: VecDeque::new(),
            expiries: BTreeMap::new(),
            next_place: 0,
            bytes: 0,
            news: Arc::default(),
            consumers: 0,
        }
    }

    pub(super) fn ready(&self) -> usize {
        self.ready.len() + self.resting.len()
    }

    /// False: the queue is full.
    pub(super) fn push(&mut self, message: Message, now: Instant) -> bool {
        let spec = self.spec.as_ref();
        let max = spec.and_then(|s| s.max_length).map_or(limits::EMBEDDED_QUEUE_MESSAGES, |m| m as usize);
        if self.ready() >= max {
            return false;
        }
        let ttl = [message.properties.expiration, spec.and_then(|s| s.message_ttl)].into_iter().flatten().min();
        let expires = ttl.and_then(|ttl| now.checked_add(ttl));
        let place = self.next_place;
        self.next_place += 1;
        self.put(Stored { message, expires, deliveries: 0, returned: 0, place });
        self.drop_oldest();
        true
    }

    fn drop_oldest(&mut self) {
        let Some(most) = self.spec.as_ref().and_then(|s| s.drop_oldest) else { return };
        while most.messages.is_some_and(|n| self.ready.len() > n as usize) || most.bytes.is_some_and(|n| self.bytes > n)
        {
            let Some(oldest) = self.take_first() else { return };
            drop(oldest);
        }
    }

    fn take_first(&mut self) -> Option<Stored> {
        let stored = self.ready.pop_front()?;
        self.bytes -= stored.message.body.len() as u64;
        self.forget_expiry(&stored);
        Some(stored)
    }

    /// The next message. Expired messages before it go to `dead`.
    pub(super) fn pop(&mut self, now: Instant, dead: &mut Vec<Dead>) -> Option<Stored> {
        while self.resting.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, stored)) = self.resting.pop_front() {
                self.put(stored);
            }
        }
        self.expire(now, dead);
        let mut stored = self.take_first()?;
        stored.deliveries += 1;
        if !self.ready.is_empty() {
            // a wake-up that met several messages passes on to the next consumer
            self.news.notify_one();
        }
        Some(stored)
    }

    /// True where a message waits that will go to another queue when its time is over.
    pub(super) fn may_bury(&self) -> bool {
        !self.expiries.is_empty() && self.spec.as_ref().is_some_and(|s| s.dead_letter.is_some())
    }

    /// Moves expired messages to `dead`.
    pub(super) fn expire(&mut self, now: Instant, dead: &mut Vec<Dead>) {
        if self.expiries.first_key_value().is_some_and(|(at, _)| *at <= now) {
            self.expiries = self.expiries.split_off(&now);
            self.expiries.remove(&now);
            let (expired, ready): (VecDeque<_>, _) =
                std::mem::take(&mut self.ready).into_iter().partition(|s| s.expires.is_some_and(|e| e <= now));
            self.ready = ready;
            self.bytes -= expired.iter().map(|s| s.message.body.len() as u64).sum::<u64>();
            dead.extend(expired.into_iter().map(|s| self.dead(s.message, "expired")));
        }
    }

    /// A delivery comes back. Over the delivery limit it is dead.
    pub(super) fn give_back(&mut self, mut stored: Stored, counts: bool, at: Instant, dead: &mut Vec<Dead>) {
        stored.returned += u32::from(counts);
        let limit = self.spec.as_ref().and_then(|s| s.delivery_limit);
        if limit.is_some_and(|limit| stored.returned > limit) {
            let letter = self.dead(stored.message, "delivery_limit");
            dead.push(letter);
            return;
        }
        self.resting.push_back((at, stored));
        self.news.notify_one();
    }

    /// When a look is worth it although nothing was published.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let resting = self.resting.front().map(|(at, _)| *at);
        [resting, self.expiries.keys().next().copied()].into_iter().flatten().min()
    }

    fn put(&mut self, stored: Stored) {
        if let Some(expires) = stored.expires {
            *self.expiries.entry(expires).or_default() += 1;
        }
        self.bytes += stored.message.body.len() as u64;
        // a returned message goes to its old place, before messages that were published after it
        let index = self.ready.partition_point(|s| s.place < stored.place);
        self.ready.insert(index, stored);
        self.news.notify_one();
    }

    fn forget_expiry(&mut self, stored: &Stored) {
        if let Some(expires) = stored.expires
            && let Some(count) = self.expiries.get_mut(&expires)
        {
            *count -= 1;
            if *count == 0 {
                self.expiries.remove(&expires);
            }
        }
    }

    fn dead(&self, message: Message, reason: &'static str) -> Dead {
        let spec = self.spec.as_ref();
        Dead {
            message,
            reason,
            queue: spec.map(|s| s.name.clone()).unwrap_or_default(),
            to: spec.and_then(|s| s.dead_letter.clone()),
        }
    }
}
