//! The answers of a worker, by task.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use super::{Asked, own};
use crate::bus::envelope::{Reply, ReplyOutcome};
use crate::bus::{BusError, Delivery, Settlement, TaskBus};

const PREFETCH: u16 = 100;

/// A reply queue, and the messages that have come in.
pub(super) struct Inbox {
    pub queue: String,
    stream: BoxStream<'static, Delivery>,
    pub log: Log,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    tasks: HashMap<String, Heard>,
    /// Messages that belong to no task, in words.
    pub strays: Vec<String>,
}

/// The answers to one task.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub sent: Instant,
    pub beats: Vec<Instant>,
    pub ends: Vec<End>,
}

/// A reply that ends its task, or would if it could be read.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub at: Instant,
    pub what: Result<ReplyOutcome, String>,
    pub persistent: bool,
}

impl Heard {
    pub fn ended(&self) -> bool {
        !self.ends.is_empty()
    }

    /// The longest time without a sign of life until its end.
    pub fn silence(&self) -> Option<Duration> {
        let end = self.ends.first()?.at;
        let mut last = self.sent;
        let mut longest = Duration::ZERO;
        for at in self.beats.iter().copied().filter(|at| *at < end).chain([end]) {
            longest = longest.max(at.duration_since(last));
            last = at;
        }
        Some(longest)
    }
}

impl Log {
    pub fn of(&self, task: &Asked) -> &Heard {
        &self.tasks[&task.token]
    }

    fn note(&mut self, delivery: &Delivery, at: Instant) {
        let persistent = delivery.message.properties.persistent;
        let (token, what) = match Reply::decode(&delivery.message) {
            Ok(reply) => (Some(reply.token), Ok(reply.outcome)),
            Err(defect) => (defect.token, Err(defect.detail)),
        };
        let known = token.and_then(|token| self.tasks.get_mut(&token));
        match (known, what) {
            (Some(task), Ok(ReplyOutcome::Heartbeat)) => task.beats.push(at),
            (Some(task), what) => task.ends.push(End { at, what, persistent }),
            (None, Ok(_)) => self.strays.push("an answer has a token that no task had".to_owned()),
            (None, Err(why)) => self.strays.push(why),
        }
    }
}

impl Inbox {
    pub async fn open(bus: &dyn TaskBus, name: &str) -> Result<Self, BusError> {
        let spec = own(name.to_owned());
        bus.declare(Vec::new(), vec![spec.clone()], Vec::new()).await?;
        Ok(Self { queue: name.to_owned(), stream: bus.consume(spec, PREFETCH), log: Log::default() })
    }

    /// A task was sent (again).
    pub fn expect(&mut self, task: &Asked) {
        let new = || Heard { sent: Instant::now(), beats: Vec::new(), ends: Vec::new() };
        self.log.tasks.entry(task.token.clone()).or_insert_with(new);
    }

    /// Hears until `enough`; false: not within the time.
    pub async fn hear(&mut self, within: Duration, enough: impl Fn(&Log) -> bool) -> bool {
        let until = Instant::now() + within;
        while !enough(&self.log) {
            let Ok(Some(delivery)) = tokio::time::timeout_at(until, self.stream.next()).await else { return false };
            self.log.note(&delivery, Instant::now());
            delivery.settle(Settlement::Ack);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_counts_from_the_sending_to_the_end() {
        let sent = Instant::now();
        let at = |seconds| sent + Duration::from_secs(seconds);
        let end = |seconds| End { at: at(seconds), what: Ok(ReplyOutcome::Heartbeat), persistent: true };
        let heard = |beats: &[u64], ends: &[u64]| Heard {
            sent,
            beats: beats.iter().copied().map(at).collect(),
            ends: ends.iter().copied().map(end).collect(),
        };
        for (beats, ends, silence) in [
            (&[][..], &[][..], None),
            (&[], &[3], Some(3)),
            (&[1, 3], &[4], Some(2)),
            (&[5], &[6], Some(5)),
            (&[1], &[9], Some(8)),
            // An answer after the end counts for nothing.
            (&[1, 20], &[2, 30], Some(1)),
        ] {
            let silence = silence.map(Duration::from_secs);
            assert_eq!(heard(beats, ends).silence(), silence, "{beats:?} {ends:?}");
        }
    }
}
