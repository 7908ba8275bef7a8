//! Receipts: AWS's answers to a request, shown in `TaskSubmitted` or used as the result where the task waits for
//! nothing else.

use md5::{Digest, Md5};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::parameters::is_fifo;
use super::{CompletesOn, Outgoing, Plan, Publishing, events, lambda, states};
use crate::asl::resource::{Resource, ResourceKind};
use crate::bus::Address;
use crate::clock::Timestamp;
use crate::ids::Arn;
use crate::interpreter::event::Payload;

/// The receipt of a plan that the broker has confirmed. `child` is the ARN and the start date of a started execution.
#[must_use]
pub fn receipt(
    resource: &Resource,
    plan: &Plan,
    child: Option<(&Arn, Timestamp)>,
    now: Timestamp,
    request_id: Uuid,
) -> Payload {
    match plan {
        Plan::StartExecution(_) => {
            child.map(|(arn, at)| states::started(arn, at, now, request_id)).unwrap_or_default().into()
        }
        // AWS shows no receipt for an activity or a function ARN; a call has an answer instead.
        Plan::Activity { .. } | Plan::Call(_) => Payload::default(),
        Plan::Publish(publishing) => of_messages(resource, publishing, now, request_id),
    }
}

fn of_messages(resource: &Resource, publishing: &Publishing, now: Timestamp, request_id: Uuid) -> Payload {
    let ResourceKind::Service { service, action, .. } = &resource.kind else { return Payload::default() };
    let Some(message) = publishing.messages.first() else { return Payload::default() };
    let of_service = match (service.as_str(), action.as_str()) {
        ("sqs", "sendMessage") => {
            let md5 = hex::encode(Md5::digest(&message.body));
            let mut body = json!({"MD5OfMessageBody": md5, "MessageId": message.message_id});
            for (name, value) in &message.answer {
                body[name.as_str()] = value.clone();
            }
            if is_fifo(&message.address.routing_key) {
                body["SequenceNumber"] = json!(sequence_number(now, message.message_id));
            }
            let bytes = body.to_string().len();
            let headers = [("connection", "keep-alive"), ("Content-Type", "application/x-amz-json-1.0")];
            with_metadata(body, &headers, bytes, now, request_id)
        }
        ("sns", "publish") => {
            let mut body = json!({"MessageId": message.message_id});
            let mut bytes = 294;
            if is_fifo(&message.address.exchange) {
                body["SequenceNumber"] = json!(sequence_number(now, message.message_id));
                bytes = 352;
            }
            with_metadata(body, &[("connection", "keep-alive"), ("Content-Type", "text/xml")], bytes, now, request_id)
        }
        ("events", "putEvents") => events::accepted(&publishing.messages),
        ("lambda", "invoke") => match publishing.completes_on {
            CompletesOn::Confirm => lambda::queued(now, request_id),
            CompletesOn::Reply => lambda::invoked(&Value::Null, &Payload::default(), now, request_id),
        },
        _ => return confirmed(message, now),
    };
    of_service.into()
}

/// The receipt of a message that the broker confirmed, in our own form. It is written as text at once, because only the
/// history shows it.
fn confirmed(message: &Outgoing, now: Timestamp) -> Payload {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Receipt<'a> {
        message_id: Uuid,
        exchange: &'a str,
        routing_key: &'a str,
        confirmed: String,
    }
    let Address { exchange, routing_key } = &message.address;
    Payload::of(&Receipt { message_id: message.message_id, exchange, routing_key, confirmed: now.iso() })
        .unwrap_or_default()
}

/// AWS's SDK fields around an answer, with all keys of the result in AWS's order (alphabetical).
pub(super) fn with_metadata(
    body: Value,
    headers: &[(&str, &str)],
    bytes: usize,
    now: Timestamp,
    request_id: Uuid,
) -> Value {
    let request_id = request_id.to_string();
    let bytes = bytes.to_string();
    let date = now.to_jiff().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut single: Vec<(&str, &str)> = headers.to_vec();
    single.extend([
        ("x-amzn-RequestId", request_id.as_str()),
        ("Content-Length", bytes.as_str()),
        ("Date", date.as_str()),
    ]);
    let all: Map<String, Value> = single.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect();
    single.sort_by_key(|(name, _)| name.to_lowercase());
    let single: Map<String, Value> = single.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let mut fields = match body {
        Value::Object(fields) => fields,
        other => Map::from_iter([("Body".to_owned(), other)]),
    };
    fields.insert(
        "SdkHttpMetadata".to_owned(),
        json!({"AllHttpHeaders": all, "HttpHeaders": single,
            "HttpStatusCode": fields.get("StatusCode").cloned().unwrap_or(json!(200))}),
    );
    fields.insert("SdkResponseMetadata".to_owned(), json!({"RequestId": request_id}));
    fields.sort_keys();
    Value::Object(fields)
}

/// The sequence number of a message to a FIFO topic: 20 digits that grow, as SNS gives them.
fn sequence_number(now: Timestamp, message_id: Uuid) -> String {
    format!("1{:014}{:05}", now.millis().max(0), message_id.as_u128() % 100_000)
}
