//! Words for partitions that other nodes own: through the partition's own reply queue, answered to this node's queue.
//!
//! The owner of the partition at that time consumes the queue, so a word that meets a handover waits and does not fail.
//! A word that has no answer in time counts as not carried out: its asker may repeat it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use crate::bus::envelope::{Signs, Tell, TellAnswer};
use crate::bus::{Address, Delivery, Publication, QueueKind, QueueSpec, Settlement, TaskBus};
use crate::clock::Clock;
use crate::engine::types::tell::{Answer, Aside, Told, Word};
use crate::engine::types::{DeliverError, Delivered, Input};
use crate::ids::{ExecutionId, PartitionId};
use crate::limits;
use crate::telemetry::metrics::Metrics;
use crate::token::TokenKeys;

use super::onlookers::Onlookers;
use super::seat::Seat;

/// How long a word waits for its answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// Answers out at once in this node's queue.
const ANSWERS_PREFETCH: u16 = 500;

/// The keys of the task tokens, for words between nodes.
pub(in crate::engine) struct Keys(pub TokenKeys);

const PURPOSE: &str = "tells";

impl Signs for Keys {
    fn sign(&self, signed: &[u8]) -> [u8; 32] {
        self.0.sign(PURPOSE, signed)
    }

    fn is_signed(&self, signed: &[u8], signature: &[u8]) -> bool {
        self.0.is_signed(PURPOSE, signed, signature)
    }
}

impl std::fmt::Debug for Away {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Away").finish_non_exhaustive()
    }
}

pub(in crate::engine) struct Away {
    bus: Arc<dyn TaskBus>,
    clock: Arc<dyn Clock>,
    keys: Keys,
    metrics: Metrics,
    seat: Arc<Seat>,
    /// The slot of this node; `None`: it is alone, or has not joined.
    slot: watch::Receiver<Option<u16>>,
    asked: Mutex<HashMap<Uuid, oneshot::Sender<Answer>>>,
    pub onlookers: Onlookers,
}

/// A word that waits for its answer; it is forgotten when its asker goes.
struct Asked<'a> {
    away: &'a Away,
    id: Uuid,
    answer: oneshot::Receiver<Answer>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.away.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Away {
    pub fn new(
        bus: Arc<dyn TaskBus>,
        clock: Arc<dyn Clock>,
        tokens: TokenKeys,
        metrics: Metrics,
        seat: Arc<Seat>,
        onlookers: Onlookers,
    ) -> Self {
        let slot = seat.changes();
        Self { bus, clock, keys: Keys(tokens), metrics, seat, slot, asked: Mutex::default(), onlookers }
    }

    /// True where there may be other nodes.
    pub fn has_others(&self) -> bool {
        self.slot.borrow().is_some()
    }

    /// An input for an execution whose partition is not here.
    pub async fn deliver(&self, partition: PartitionId, execution: ExecutionId, input: Input) -> Delivered {
        let Some(input) = Told::of(input) else { return Delivered::Later(DeliverError::NotHere(partition)) };
        match self.ask(partition, &Word::Input { execution, input }).await {
            Ok(answer) => answer.into_delivered(execution),
            Err(DeliverError::NoExecution(_)) => Delivered::Gone(DeliverError::NoExecution(execution)),
            Err(error) => Delivered::Later(error),
        }
    }

    /// # Errors
    /// This node has no queue for the answer, the word could not be sent, or it was not answered in time.
    /// `NoExecution`: the execution was on a node that has gone.
    pub async fn ask(&self, partition: PartitionId, word: &Word) -> Result<Answer, DeliverError> {
        let Some(slot) = *self.slot.borrow() else { return Err(DeliverError::NotHere(partition)) };
        let mut asked = self.register()?;
        let until = Instant::now() + ANSWERED_WITHIN;
        let (to, message) = self.message(partition, word, asked.id, Some(self.bus.names().node(slot)));
        let failed = |why: String| {
            self.metrics.tell("unanswered");
            DeliverError::Busy(format!("the owner of partition {partition} could not be asked: {why}; try again"))
        };
        let sent = async {
            match (self.bus.publish(to, message).await, word) {
                (Ok(Publication::Confirmed), _) => std::future::pending().await,
                // Its node has gone, and all its executions with it.
                (Ok(Publication::Unroutable { .. }), Word::Input { execution, .. }) if partition.is_express() => {
                    DeliverError::NoExecution(*execution)
                }
                (Ok(said), _) => failed(format!("the broker does not take it ({said:?})")),
                (Err(error), _) => failed(error.to_string()),
            }
        };
        tokio::select! {
            biased;
            answer = &mut asked.answer => match answer {
                Ok(answer) => {
                    self.metrics.tell("answered");
                    Ok(answer)
                }
                Err(_) => Err(failed("this node stops".to_owned())),
            },
            error = sent => Err(error),
            () = tokio::time::sleep_until(until) => {
                Err(failed(format!("it has not answered within {} s", ANSWERED_WITHIN.as_secs())))
            }
        }
    }

    /// A word that wants no answer. It may be lost.
    pub async fn say(&self, partition: PartitionId, word: &Word) {
        if self.has_others() {
            let (to, message) = self.message(partition, word, Uuid::new_v4(), None);
            let _ = tokio::time::timeout(ANSWERED_WITHIN, self.bus.publish(to, message)).await;
        }
    }

    /// Hears the answers, in the queue of the slot that this node has, as long as the bus is open.
    pub async fn hear(self: Arc<Self>) {
        let mut slot = self.slot.clone();
        loop {
            let Some(mine) = *slot.borrow_and_update() else {
                if slot.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let queue = QueueSpec::plain(self.bus.names().node(mine), QueueKind::OfNode);
            let mut answers = self.bus.consume(queue, ANSWERS_PREFETCH);
            loop {
                tokio::select! {
                    changed = slot.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    answer = answers.next() => match answer {
                        Some(answer) => self.take(answer),
                        None => return,
                    },
                }
            }
        }
    }

    fn take(&self, delivery: Delivery) {
        match TellAnswer::read(&delivery.message, &self.keys) {
            Ok(TellAnswer { to, body }) if to.is_nil() => self.onlookers.hear(&body),
            Ok(TellAnswer { to, body }) => {
                let asker = self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&to);
                // Another copy, or it came too late.
                if let Some(asker) = asker {
                    let _ = asker.send(Answer::decode(&body));
                }
            }
            Err(defect) => {
                self.metrics.tell(defect.as_str());
                tracing::warn!(
                    event = "tell.refused",
                    reason = defect.as_str(),
                    "an answer in this node's queue is no node's: {defect}"
                );
            }
        }
        delivery.settle(Settlement::Ack);
    }

    /// The message of an answer.
    pub fn answer(&self, to: Uuid, answer: &Answer) -> crate::bus::Message {
        TellAnswer { to, body: answer.encode(self.seat.form()) }.into_message(ANSWERED_WITHIN, &self.keys)
    }

    /// The message of a word for a node, and the node's queue.
    pub fn aside(&self, slot: u16, aside: &Aside) -> (Address, crate::bus::Message) {
        let to = Address { exchange: String::new(), routing_key: self.bus.names().node(slot) };
        let message = TellAnswer { to: Uuid::nil(), body: aside.encode(self.seat.form()) };
        (to, message.into_message(ANSWERED_WITHIN, &self.keys))
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    fn register(&self) -> Result<Asked<'_>, DeliverError> {
        let (sender, answer) = oneshot::channel();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= limits::TELLS_MAX {
            return Err(DeliverError::Busy("too many requests wait for other nodes (TELLS_MAX); try again".to_owned()));
        }
        let id = Uuid::new_v4();
        asked.insert(id, sender);
        Ok(Asked { away: self, id, answer })
    }

    fn message(
        &self,
        partition: PartitionId,
        word: &Word,
        id: Uuid,
        reply_to: Option<String>,
    ) -> (Address, crate::bus::Message) {
        let expires = self.clock.now().plus(ANSWERED_WITHIN);
        let tell = Tell { id, expires, reply_to, body: word.encode(self.seat.form()) };
        let to = Address { exchange: String::new(), routing_key: self.bus.reply_queue(partition) };
        (to, tell.into_message(partition, ANSWERED_WITHIN, &self.keys))
    }
}
