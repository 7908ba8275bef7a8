//! `events:putEvents`: a topic exchange named by the event bus, routing key `<source>.<detail-type>`, EventBridge's
//! event as body.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::parameters::{Fields, kind_of};
use super::{CompletesOn, OnUnroutable, Outgoing, Plan, PlanContext, Publishing};
use crate::clock::Timestamp;
use crate::interpreter::event::Failure;

pub(super) const DEFAULT_BUS: &str = "default";
/// EventBridge takes ten entries per call.
const ENTRIES_MAX: usize = 10;

/// The error code and message of a refused entry.
type EntryDefect = (&'static str, String);

pub(super) fn put_events(
    fields: &Fields<'_>,
    completes_on: CompletesOn,
    context: &PlanContext<'_>,
) -> Result<Plan, Failure> {
    let entries = match fields.get("Entries") {
        Some(Value::Array(entries)) => entries,
        Some(other) => {
            return Err(fields.invalid(&format!("The parameter Entries must be an array, not {}", kind_of(other))));
        }
        None => &Vec::new(),
    };
    if entries.is_empty() || entries.len() > ENTRIES_MAX {
        let bound = if entries.is_empty() { "greater than or equal to 1" } else { "less than or equal to 10" };
        return Err(fields.invalid(&format!(
            "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length \
             {bound}"
        )));
    }
    let mut messages = Vec::with_capacity(entries.len());
    let mut answers = Vec::with_capacity(entries.len());
    let mut failed = 0_usize;
    for (at, entry) in entries.iter().enumerate() {
        let id = entry_id(context.message_id, at);
        match message(entry, id, context) {
            Ok(mut message) => {
                if completes_on == CompletesOn::Confirm {
                    message.on_unroutable = OnUnroutable::Accepted;
                }
                messages.push(message);
                answers.push(json!({"EventId": id}));
            }
            Err((code, text)) => {
                failed += 1;
                answers.push(json!({"ErrorCode": code, "ErrorMessage": text}));
            }
        }
    }
    let failure = (failed > 0).then(|| {
        Failure::new("EventBridge.FailedEntry", json!({"Entries": answers, "FailedEntryCount": failed}).to_string())
    });
    match failure {
        Some(failure) if messages.is_empty() => Err(failure),
        failure => Ok(Plan::Publish(Publishing { messages, completes_on, failure })),
    }
}

/// The answer when all entries were taken.
pub(super) fn accepted(messages: &[Outgoing]) -> Value {
    let entries: Vec<Value> = messages.iter().map(|message| json!({"EventId": message.message_id})).collect();
    json!({"Entries": entries, "FailedEntryCount": 0})
}

fn message(entry: &Value, id: Uuid, context: &PlanContext<'_>) -> Result<Outgoing, EntryDefect> {
    let required = |name: &str| {
        entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or_else(|| {
            ("InvalidArgument", format!("Parameter {name} is not valid. Reason: {name} is a required argument."))
        })
    };
    let source = required("Source")?;
    let detail_type = required("DetailType")?;
    let detail = match entry.get("Detail") {
        Some(Value::Object(detail)) => Value::Object(detail.clone()),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Object(detail)) => Value::Object(detail),
            _ => return Err(malformed()),
        },
        None | Some(Value::Null) => {
            return Err((
                "InvalidArgument",
                "Parameter Detail is not valid. Reason: Detail is a required argument.".to_owned(),
            ));
        }
        Some(_) => return Err(malformed()),
    };
    let bus = entry.get("EventBusName").and_then(Value::as_str).filter(|bus| !bus.is_empty()).unwrap_or(DEFAULT_BUS);
    let exchange = bus.rsplit(['/', ':']).next().unwrap_or(bus);
    // As on AWS, the execution and its machine are added to the resources.
    let mut resources = entry.get("Resources").and_then(Value::as_array).cloned().unwrap_or_default();
    resources.extend([json!(context.execution), json!(context.machine)]);
    let time = entry.get("Time").and_then(time).unwrap_or(context.at);
    let event = json!({
        "version": "0",
        "id": id,
        "detail-type": detail_type,
        "source": source,
        "account": &*context.realm.account,
        "time": format!("{:.0}", time.to_jiff()),
        "region": &*context.realm.region,
        "resources": resources,
        "detail": detail,
    });
    let routing_key = format!("{source}.{detail_type}");
    if routing_key.len() > 255 {
        let text =
            "Parameter DetailType is not valid. Reason: Source and DetailType together have more than 254 bytes.";
        return Err(("InvalidArgument", text.to_owned()));
    }
    let mut message = Outgoing::to(exchange, &routing_key, event.to_string().into_bytes(), context);
    message.message_id = id;
    Ok(message)
}

fn malformed() -> EntryDefect {
    ("MalformedDetail", "Detail is malformed.".to_owned())
}

fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => Timestamp::parse_iso(text).ok(),
        Value::Number(seconds) => seconds.as_f64().map(|s| Timestamp::default().plus_seconds(s)),
        _ => None,
    }
}

/// The id of an entry. The first entry has the task's own message id, every other entry an id derived from it.
fn entry_id(task: Uuid, at: usize) -> Uuid {
    if at == 0 {
        return task;
    }
    let digest = Sha256::new().chain_update(task.as_bytes()).chain_update(at.to_be_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
