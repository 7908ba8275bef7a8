//! Failures reported by the broker or a worker, in the words of the task's service.

use serde_json::{Value, json};
use uuid::Uuid;

use super::events::DEFAULT_BUS;
use super::parameters::Service;
use super::{OnUnroutable, Outgoing};
use crate::asl::resource::{Pattern, Resource, ResourceKind};
use crate::bus::{Address, Publication};
use crate::ids::Realm;
use crate::interpreter::event::Failure;

/// The failure of a task whose message the broker refused. `None` where the message arrived, or needs no receiver.
#[must_use]
pub fn refusal(
    resource: &Resource,
    message: &Outgoing,
    publication: &Publication,
    realm: &Realm,
    request_id: Uuid,
) -> Option<Failure> {
    match publication {
        Publication::Confirmed => None,
        // AWS's default event bus always exists. The engine makes no exchange for it: a bus without an exchange has no
        // listeners.
        Publication::Unroutable { code: 404, .. }
            if message.on_unroutable == OnUnroutable::Accepted
                && message.address.exchange == DEFAULT_BUS
                && is_events(resource) =>
        {
            None
        }
        // 312 NO_ROUTE: the exchange is there, no queue is bound. 404: there is no such exchange.
        Publication::Unroutable { code, .. } if *code != 404 && message.on_unroutable == OnUnroutable::Accepted => None,
        Publication::Unroutable { code, text } => Some(
            no_such_destination(resource, message, realm, request_id)
                .unwrap_or_else(|| unroutable(message, *code, text)),
        ),
        Publication::Nacked => {
            Some(Failure::new("Amqp.Nacked", format!("The broker refused the message to {}", place(message))))
        }
        Publication::Refused { text } => Some(Failure::new("Amqp.Refused", text.clone())),
    }
}

fn is_events(resource: &Resource) -> bool {
    matches!(&resource.kind, ResourceKind::Service { service, .. } if service == "events")
}

fn unroutable(message: &Outgoing, code: u16, text: &str) -> Failure {
    let remedy = remedy(message, code);
    Failure::new("Amqp.Unroutable", format!("No queue takes messages for {}: {code} {text}. {remedy}", place(message)))
}

/// The remedy: a program to start or a setting, so that the message finds a queue.
fn remedy(message: &Outgoing, code: u16) -> String {
    let Address { exchange, routing_key } = &message.address;
    match (exchange.as_str(), code) {
        ("", _) => format!(
            "The queue '{routing_key}' does not exist: start its worker, name the queue in the setting bus.queues, or \
             set bus.declare to auto"
        ),
        (exchange, 404) => format!(
            "The exchange '{exchange}' does not exist: declare it, or name it in the setting bus.topics or \
             bus.event_buses"
        ),
        (exchange, _) => format!("No queue is bound to the exchange '{exchange}' for this key: start its worker"),
    }
}

fn place(message: &Outgoing) -> String {
    let key = &message.address.routing_key;
    match message.address.exchange.as_str() {
        "" => format!("queue '{key}'"),
        exchange => format!("exchange '{exchange}', routing key '{key}'"),
    }
}

/// The failure of a message that found no queue, with the remedy. AWS's words come first: definitions may look for
/// them.
#[must_use]
pub fn with_remedy(failure: Failure, message: &Outgoing, publication: &Publication) -> Failure {
    let Publication::Unroutable { code, .. } = publication else { return failure };
    let remedy = remedy(message, *code);
    let cause = failure.cause.map(|cause| if cause.ends_with(&remedy) { cause } else { format!("{cause}. {remedy}") });
    Failure { cause, ..failure }
}

/// AWS's error for a queue, topic or function that does not exist.
fn no_such_destination(resource: &Resource, message: &Outgoing, realm: &Realm, request_id: Uuid) -> Option<Failure> {
    let (service, queue) = match &resource.kind {
        ResourceKind::LambdaFunction { .. } => ("lambda", &message.address.routing_key),
        ResourceKind::Service { service, .. } => (service.as_str(), &message.address.routing_key),
        ResourceKind::Activity { .. } => return None,
    };
    match service {
        "lambda" => {
            let arn = format!("arn:aws:lambda:{}:{}:function:{queue}:$LATEST", realm.region, realm.account);
            let text = format!("Function not found: {arn}");
            Some(Service::LAMBDA.failure(
                "ResourceNotFoundException",
                404,
                "ResourceNotFoundException",
                &text,
                request_id,
            ))
        }
        "sqs" => Some(Service::SQS.failure(
            "QueueDoesNotExistException",
            400,
            "AWS.SimpleQueueService.NonExistentQueue",
            "The specified queue does not exist.",
            request_id,
        )),
        "sns" if !message.address.exchange.is_empty() && message.on_unroutable == OnUnroutable::Accepted => {
            Some(Service::SNS.failure("NotFoundException", 404, "NotFound", "Topic does not exist", request_id))
        }
        "events" if message.on_unroutable == OnUnroutable::Accepted => {
            let text = format!("Event bus {} does not exist.", message.address.exchange);
            Some(Service::EVENTS.failure(
                "ResourceNotFoundException",
                400,
                "ResourceNotFoundException",
                &text,
                request_id,
            ))
        }
        _ => None,
    }
}

/// A worker's failure as the history shows it: Lambda's shape for functions that were called, the worker's own words
/// for all others.
#[must_use]
pub fn failure(resource: &Resource, said: Failure) -> Failure {
    let said = Failure {
        error: said.error.filter(|e| !e.is_empty()),
        cause: said.cause.filter(|c| !c.is_empty()),
        heartbeat: false,
    };
    let called = match &resource.kind {
        ResourceKind::LambdaFunction { .. } => true,
        ResourceKind::Service { service, pattern, .. } => service == "lambda" && *pattern == Pattern::RequestResponse,
        ResourceKind::Activity { .. } => false,
    };
    if !called {
        return said;
    }
    let error = said.error.unwrap_or_else(|| "Lambda.Unknown".to_owned());
    let cause = said.cause.unwrap_or_default();
    if matches!(serde_json::from_str(&cause), Ok(Value::Object(fields)) if fields.contains_key("errorMessage")
        || fields.contains_key("errorType"))
    {
        return Failure::new(error, cause);
    }
    let cause = json!({"errorMessage": cause, "errorType": error}).to_string();
    Failure::new(error, cause)
}

/// The failure of a task whose reply cannot be read. A function call fails with Lambda's own error.
#[must_use]
pub fn unreadable(resource: Option<&Resource>, why: String) -> Failure {
    let said = Failure { error: None, cause: Some(why), heartbeat: false };
    let of_service = resource.map_or_else(|| said.clone(), |resource| failure(resource, said.clone()));
    if of_service.error.is_some() {
        of_service
    } else {
        Failure { error: Some("Amqp.InvalidReply".to_owned()), ..said }
    }
}

/// The failure of a task whose message the broker gave up. `reason` is the first of `x-death`.
#[must_use]
pub fn dead_lettered(reason: &str, queue: &str) -> Failure {
    let (error, why) = match reason {
        "expired" => ("Amqp.Expired", "no consumer took it in time"),
        "maxlen" => ("Amqp.MaxLength", "the queue is full"),
        "delivery_limit" => ("Amqp.DeliveryLimit", "it was delivered too often without being acknowledged"),
        _ => ("Amqp.Rejected", "a consumer rejected it"),
    };
    Failure::new(error, format!("The task message left queue '{queue}' without an answer: {why}"))
}
