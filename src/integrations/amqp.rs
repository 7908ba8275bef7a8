//! `amqp:publish`, `amqp:publish.waitForTaskToken`, `amqp:call`: the broker's own words.

use std::time::Duration;

use serde_json::Value;

use super::parameters::{Fields, header};
use super::{CompletesOn, JSON, Outgoing, Plan, PlanContext};
use crate::interpreter::event::Failure;

const PARAMETERS: [&str; 14] = [
    "Exchange",
    "RoutingKey",
    "Queue",
    "Body",
    "Headers",
    "ContentType",
    "Persistent",
    "Priority",
    "Expiration",
    "Type",
    "UserId",
    "CorrelationId",
    "ReplyTo",
    "Form",
];

/// `{Exchange, RoutingKey, Body, Headers, ...}`; `Queue` is short for the default exchange and that routing key. `Form`
/// is for people that answer in the worker's place; it is not sent.
pub(super) fn publish(
    fields: &Fields<'_>,
    completes_on: CompletesOn,
    context: &PlanContext<'_>,
) -> Result<Plan, Failure> {
    fields.only(&PARAMETERS)?;
    if fields.object("Form")?.is_some() && completes_on == CompletesOn::Confirm {
        return Err(fields.invalid("Form is for tasks that wait for an answer: amqp:publish.waitForTaskToken"));
    }
    let (exchange, routing_key) = match (fields.text("Queue")?, fields.text("Exchange")?, fields.text("RoutingKey")?) {
        (Some(queue), None, None) => ("", queue),
        (Some(_), _, _) => return Err(fields.invalid("Give either Queue, or Exchange and RoutingKey")),
        (None, exchange, routing_key) => (exchange.unwrap_or_default(), routing_key.unwrap_or_default()),
    };
    if exchange.is_empty() && routing_key.is_empty() {
        return Err(fields.invalid("The message has no destination: give Queue, or RoutingKey, or Exchange"));
    }
    for (name, text) in [("Exchange", exchange), ("RoutingKey", routing_key)] {
        if text.len() > 255 {
            return Err(fields.invalid(&format!("The parameter {name} has {} bytes; AMQP allows 255", text.len())));
        }
    }
    let content_type = fields.text("ContentType")?.unwrap_or(JSON);
    let mut message = Outgoing::to(exchange, routing_key, body(fields, content_type), context);
    if content_type != JSON {
        message.content_type = content_type.to_owned().into();
    }
    for (name, value) in fields.object("Headers")?.into_iter().flatten() {
        if let Some(value) = header(value) {
            message.headers.insert(name.clone().into(), value);
        }
    }
    // Every task message is persistent. The parameter may be true; the engine could not keep the promise of false.
    if fields.get("Persistent").is_some_and(|flag| *flag != Value::Bool(true)) {
        return Err(fields.invalid("The parameter Persistent can only be true: messages are always persistent"));
    }
    message.priority = fields.integer("Priority", 0, 255)?.and_then(|p| u8::try_from(p).ok());
    message.expiration = fields.integer("Expiration", 0, u64::from(u32::MAX))?.map(Duration::from_millis);
    message.kind = fields.text("Type")?.map(|kind| kind.to_owned().into());
    message.user_id = fields.text("UserId")?.map(str::to_owned);
    let (correlation_id, reply_to) = (fields.text("CorrelationId")?, fields.text("ReplyTo")?);
    if completes_on == CompletesOn::Reply && (correlation_id.is_some() || reply_to.is_some()) {
        return Err(fields
            .invalid("CorrelationId and ReplyTo carry the task token here; they can be set with amqp:publish only"));
    }
    message.correlation_id = correlation_id.map(str::to_owned);
    message.reply_to = reply_to.map(str::to_owned);
    Ok(message.alone(completes_on))
}

/// JSON, unless the content type is another one and the body a text.
fn body(fields: &Fields<'_>, content_type: &str) -> Vec<u8> {
    let json = content_type == JSON || content_type.starts_with("application/json;") || content_type.ends_with("+json");
    if !json && let Some(Value::String(text)) = fields.get("Body") {
        return text.clone().into_bytes();
    }
    fields.json("Body").unwrap_or_else(|| b"{}".to_vec())
}
