//! Task messages that the broker gave up. The broker's reason becomes the task's failure, which Retry and Catch see.
//!
//! The queues that the settings tell the engine to own send their dead letters here (`app` declares them so). A message
//! without a token belongs to no task: it is parked, with the reason.

use std::sync::Arc;

use futures_util::StreamExt;

use crate::bus::envelope::TASK_TOKEN;
use crate::bus::{Delivery, HeaderValue, Message, QueueSpec, Settlement};
use crate::clock::Timestamp;
use crate::engine::execution::express::Express;
use crate::engine::services::Services;
use crate::engine::services::intake::Intake;
use crate::engine::types::{Delivered, Input};
use crate::ids::Arn;
use crate::integrations;
use crate::interpreter::stimulus::StimulusKind;

use super::arn_of;
use super::parking::{Parking, Why};

const PREFETCH: u16 = 100;
/// A message expires when its task does: a message so close to the deadline is left to the timeout, whose name the
/// definition knows.
const NEAR_THE_DEADLINE_SECONDS: f64 = 2.0;

/// Takes dead letters until the bus closes.
pub(in crate::engine) async fn run(services: Arc<Services>, express: Arc<Express>, parking: Arc<Parking>) {
    let intake = Intake::of(services.bus.names().dead_letters());
    let kind = services.options.queue_kind;
    let queue = QueueSpec::owned(services.bus.names().dead_letters(), kind, services.bus.names());
    let bus = Arc::clone(&services.bus);
    let mut letters = intake.deliveries(PREFETCH, move || bus.consume(queue.clone(), PREFETCH));
    while let Some(letter) = letters.next().await {
        take(&services, &express, &parking, &intake, letter).await;
    }
}

async fn take(services: &Services, express: &Express, parking: &Arc<Parking>, intake: &Arc<Intake>, letter: Delivery) {
    services.metrics.dead_letter(counted(&death(&letter.message).0));
    if let Some(why) = letter.unreadable() {
        tracing::warn!(event = "task.unreadable", reason = why, "a dead letter is parked: {why}");
        park(parking, intake, letter, &why);
        return;
    }
    let text = |name: &str| letter.message.properties.headers.get(name).and_then(HeaderValue::as_text);
    let (reason, queue) = death(&letter.message);
    let Some(token) = text(TASK_TOKEN) else {
        park(parking, intake, letter, &reason);
        return;
    };
    let Ok((key, _)) = services.tokens.verify(token) else {
        park(parking, intake, letter, &reason);
        return;
    };
    let deadline = text("deadline").and_then(|t| Timestamp::parse_iso(t).ok());
    if reason == "expired"
        && deadline.is_some_and(|d| services.clock.now().plus_seconds(NEAR_THE_DEADLINE_SECONDS) >= d)
    {
        letter.settle(Settlement::Ack);
        return;
    }
    let failure = integrations::dead_lettered(&reason, &queue);
    // By the token: headers may hold anything.
    let arn = arn_of(services, express, key.execution).await;
    tracing::warn!(
        event = "task.returned",
        execution.arn = arn.as_ref().map(Arn::as_str),
        task.scheduled_id = key.scheduled.0,
        task.token_id = crate::token::fingerprint(token),
        task.destination = queue,
        error.name = failure.error.as_deref().unwrap_or_default(),
        reason,
        "the broker gave up a task message"
    );
    services.metrics.task_returned(counted(&reason));
    let input = Input::Stimulus(StimulusKind::DispatchFailed { scheduled: key.scheduled, failure });
    // Another copy was answered, or its execution is over or unreadable: there is nothing to fail.
    let again = matches!(services.courier.deliver(key.execution, input).await, Delivered::Later(_));
    letter.settle(if again { Settlement::Requeue } else { Settlement::Ack });
}

fn park(parking: &Arc<Parking>, intake: &Arc<Intake>, letter: Delivery, reason: &str) {
    // A further copy of a letter that waits for the parking queue.
    let Some(letter) = parking.join(letter) else { return };
    let reason = format!("the broker gave it up: {reason}");
    parking.park(letter, Why { verdict: "dead-letter".to_owned(), reason }, intake);
}

/// Why and where it died first, as RabbitMQ says: `x-first-death-*`, else the newest entry of `x-death`.
fn death(message: &Message) -> (String, String) {
    let headers = &message.properties.headers;
    let said = |first: &str, field: &str| {
        let entry = match headers.get("x-death") {
            Some(HeaderValue::Json(list)) => list.get(0).and_then(|entry| entry.get(field)).and_then(|v| v.as_str()),
            _ => None,
        };
        headers.get(first).and_then(HeaderValue::as_text).or(entry).unwrap_or("unknown").to_owned()
    };
    (said("x-first-death-reason", "reason"), said("x-first-death-queue", "queue"))
}

/// The reason as a metric's label: a closed set.
fn counted(reason: &str) -> &'static str {
    match reason {
        "expired" => "expired",
        "maxlen" => "maxlen",
        "delivery_limit" => "delivery-limit",
        _ => "rejected",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_death_counts_and_old_brokers_say_it_in_x_death() {
        let mut message = Message::default();
        assert_eq!(death(&message), ("unknown".to_owned(), "unknown".to_owned()));
        let deaths =
            json!([{"reason": "rejected", "queue": "work", "count": 1}, {"reason": "expired", "queue": "old"}]);
        message.properties.headers.insert("x-death".into(), HeaderValue::Json(deaths));
        assert_eq!(death(&message), ("rejected".to_owned(), "work".to_owned()));
        for (name, text) in [("x-first-death-reason", "delivery_limit"), ("x-first-death-queue", "first")] {
            message.properties.headers.insert(name.into(), HeaderValue::Text(text.to_owned()));
        }
        assert_eq!(death(&message), ("delivery_limit".to_owned(), "first".to_owned()));
        assert_eq!(counted("delivery_limit"), "delivery-limit");
    }
}
