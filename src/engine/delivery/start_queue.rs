//! Executions that are started by a message: the queue `reveille.start`.
//!
//! ```text
//! publisher ─► reveille.start ─► StartMessage ─┬─► its face (`api::start_queue`) starts, answers, acknowledges
//!                                              └─► never a start: answered, parked with its reason, acknowledged
//! ```
//! The engine owns queue and settlement; the meaning of a body and the words of an answer belong to the face.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, empty};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::bus::envelope::{self, form};
use crate::bus::{Address, Delivery, Message, Properties, QueueSpec, Settlement};

use crate::engine::services::Services;
use crate::engine::services::intake::Intake;
use crate::trace::TraceOrigin;

use super::parking::{Parking, Why};

/// Starts under way at once. A start takes little of the processor and waits long: for its commit, and until the broker
/// has heard of the acks of others. With 200 the engine was idle for nine tenths of the time. Fewer than half of
/// `engine.starts_max` (2,000): from there on children wait.
const START_PREFETCH: u16 = 800;

/// A message that asks for an execution.
pub struct StartMessage {
    services: Arc<Services>,
    parking: Arc<Parking>,
    delivery: Delivery,
    intake: Arc<Intake>,
}

/// Messages that ask for executions, until the engine stops; none where the queue is turned off. One caller.
pub(in crate::engine) fn messages(
    services: &Arc<Services>,
    parking: &Arc<Parking>,
) -> BoxStream<'static, StartMessage> {
    let (services, parking) = (Arc::clone(services), Arc::clone(parking));
    let Some(name) = services.options.start_queue.clone() else { return empty().boxed() };
    let kind = services.options.queue_kind;
    let queue = QueueSpec::owned(name, kind, services.bus.names());
    let (bus, intake) = (Arc::clone(&services.bus), Intake::of(queue.name.clone()));
    let deliveries = intake.deliveries(START_PREFETCH, move || bus.consume(queue.clone(), START_PREFETCH));
    let message = move |delivery| StartMessage {
        services: Arc::clone(&services),
        parking: Arc::clone(&parking),
        delivery,
        intake: Arc::clone(&intake),
    };
    deliveries.map(message).boxed()
}

/// The message's id where it can be a name of an execution; else a digest of it.
pub(in crate::engine) fn name_of(message_id: &str) -> String {
    let fits = !message_id.is_empty()
        && message_id.len() <= crate::limits::NAME_CHARS_MAX
        && message_id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if fits { message_id.to_owned() } else { format!("message-{}", hex::encode(&Sha256::digest(message_id)[..16])) }
}

impl StartMessage {
    /// Without a byte order mark.
    pub fn body(&self) -> &[u8] {
        form::without_mark(&self.delivery.message.body)
    }

    /// Why it must be refused without a look at its body.
    pub fn unreadable(&self) -> Option<String> {
        self.delivery.unreadable()
    }

    /// It was given out before: its former consumer gave it back or is gone.
    pub fn is_redelivered(&self) -> bool {
        self.delivery.redelivered
    }

    pub fn message_id(&self) -> Option<&str> {
        self.delivery.message.properties.message_id.as_deref().filter(|id| !id.is_empty())
    }

    /// The trace in which it was sent.
    pub fn trace(&self) -> Option<TraceOrigin> {
        let message = &self.delivery.message;
        TraceOrigin::of_w3c(envelope::traceparent(message)?, envelope::tracestate(message))
    }

    /// The execution is durable: the answer goes out, then the message is acknowledged.
    pub async fn accept(self, answer: Vec<u8>) {
        self.services.metrics.start_message("accepted");
        self.answer("start.accepted", answer).await;
        self.delivery.settle(Settlement::Ack);
    }

    /// It can never be a start: `error` and `reason` go with it to the parking queue, the answer to its sender.
    pub async fn refuse(mut self, error: &str, reason: &str, answer: Vec<u8>) {
        // A further copy of a message that waits for the parking queue: it was answered and logged with the first.
        let Some(delivery) = self.parking.join(self.delivery) else { return };
        self.delivery = delivery;
        self.services.metrics.start_message("refused");
        let message_id = self.message_id();
        tracing::warn!(
            event = "start.refused",
            message.id = message_id,
            error.name = error,
            reason,
            "a start by message was refused: {reason}"
        );
        self.answer("start.refused", answer).await;
        let why = Why { verdict: error.to_owned(), reason: reason.to_owned() };
        self.parking.park(self.delivery, why, &self.intake);
    }

    /// It cannot be taken in now (the store is away): it comes again.
    pub fn postpone(self, reason: &str) {
        self.services.metrics.start_message("postponed");
        tracing::warn!(
            event = "start.postponed",
            message.id = self.message_id(),
            reason,
            "a start by message comes again later: {reason}"
        );
        self.delivery.settle(Settlement::Requeue);
    }

    async fn answer(&self, kind: &'static str, body: Vec<u8>) {
        let asked = &self.delivery.message.properties;
        let own = self.services.options.start_queue.as_deref();
        // An answer in one of our own queues would be read as a message of its kind, and refused.
        let to = asked
            .reply_to
            .as_deref()
            .filter(|to| !to.is_empty() && !self.services.bus.names().is_reply_queue(to) && Some(*to) != own);
        let Some(to) = to else { return };
        let properties = Properties {
            content_type: Some("application/json".into()),
            correlation_id: asked.correlation_id.clone().or_else(|| asked.message_id.clone()),
            message_id: Some(Uuid::new_v4().to_string()),
            app_id: Some("reveille".into()),
            kind: Some(kind.into()),
            timestamp: Some(self.services.clock.now()),
            persistent: true,
            ..Properties::default()
        };
        // A sender that is gone needs no answer.
        let _ = self.services.bus.publish(at(to), Message { body, properties }).await;
    }
}

fn at(queue: &str) -> Address {
    Address { exchange: String::new(), routing_key: queue.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_the_name_where_it_can_be_one() {
        assert_eq!(name_of("order-17_a.b"), "order-17_a.b");
        assert!(name_of("urn:order:17").starts_with("message-"));
        assert_eq!(name_of(&"x".repeat(200)).len(), "message-".len() + 32);
        assert_ne!(name_of("a/b"), name_of("a:b"));
    }
}
