//! `lambda:invoke` and function ARNs: a call to the queue named by the function, with Lambda's shapes around it.

use serde_json::{Value, json};
use uuid::Uuid;

use super::parameters::{Fields, header};
use super::receipt::with_metadata;
use super::{CompletesOn, Outgoing, Plan, PlanContext};
use crate::asl::resource::Pattern;
use crate::bus::HeaderValue;
use crate::clock::Timestamp;
use crate::interpreter::event::{Failure, Payload};

/// A function ARN as `Resource`: the parameters are the payload.
pub(super) fn call_function(name: &str, payload: &Payload, context: &PlanContext<'_>) -> Plan {
    Outgoing::to("", function_queue(name), payload.text().as_bytes().to_vec(), context).alone(CompletesOn::Reply)
}

pub(super) fn invoke(fields: &Fields<'_>, pattern: Pattern, context: &PlanContext<'_>) -> Result<Plan, Failure> {
    let function = fields.required("FunctionName")?;
    let queue = function_queue(function);
    if queue.is_empty() || queue.len() > 170 {
        return Err(fields.invalid(&format!(
            "1 validation error detected: Value '{function}' at 'functionName' failed to satisfy constraint: Member must satisfy regular \
             expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{{2}}((-gov)|(-iso(b?)))?-[a-z]+-\\d{{1}}:)?(\\d{{12}}:)?(function:)?\
             ([a-zA-Z0-9-_\\.]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?"
        )));
    }
    // A text that is JSON already goes as it is, as on AWS; without a payload a function gets `{}`.
    let payload = fields.json("Payload").unwrap_or_else(|| b"{}".to_vec());
    let payload = match serde_json::from_slice::<String>(&payload) {
        Ok(text) if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() => text.into_bytes(),
        Ok(_) | Err(_) => payload,
    };
    let mut message = Outgoing::to("", queue, payload, context);
    if let Some(qualifier) = fields.text("Qualifier")?.or_else(|| qualifier_of(function)) {
        message.headers.insert("lambda-qualifier".into(), HeaderValue::Text(qualifier.to_owned()));
    }
    if let Some(client_context) = fields.get("ClientContext").and_then(header) {
        message.headers.insert("lambda-client-context".into(), client_context);
    }
    let completes_on = match (fields.text("InvocationType")?, pattern) {
        (Some("Event"), Pattern::RequestResponse) => CompletesOn::Confirm,
        (None | Some("RequestResponse" | "Event"), _) => CompletesOn::Reply,
        (Some(other), _) => {
            return Err(fields
                .invalid(&format!("The InvocationType {other} is not supported; there are: RequestResponse, Event")));
        }
    };
    Ok(message.alone(completes_on))
}

/// The queue of a function: its name without account, region and qualifier.
pub(super) fn function_queue(function: &str) -> &str {
    let name = function.rsplit_once("function:").map_or(function, |(_, rest)| rest);
    match name.split_once(':') {
        // Without `function:` it may be `123456789012:name`.
        Some((account, rest)) if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) => {
            function_queue(rest)
        }
        Some((name, _qualifier)) => name,
        None => name,
    }
}

fn qualifier_of(function: &str) -> Option<&str> {
    let name = function.rsplit_once("function:").map_or(function, |(_, rest)| rest);
    let (before, qualifier) = name.rsplit_once(':')?;
    (!qualifier.is_empty() && !before.bytes().all(|b| b.is_ascii_digit())).then_some(qualifier)
}

/// What Lambda answers to an invocation.
pub(super) fn invoked(payload: &Value, now: Timestamp, request_id: Uuid) -> Value {
    let bytes = payload.to_string().len();
    let headers = [
        ("X-Amz-Executed-Version", "$LATEST"),
        ("x-amzn-Remapped-Content-Length", "0"),
        ("Connection", "keep-alive"),
        ("Content-Type", "application/json"),
    ];
    let body = json!({"ExecutedVersion": "$LATEST", "Payload": payload, "StatusCode": 200});
    with_metadata(body, &headers, bytes, now, request_id)
}

/// What Lambda answers to an invocation that it only queues.
pub(super) fn queued(now: Timestamp, request_id: Uuid) -> Value {
    let body = json!({"ExecutedVersion": "$LATEST", "Payload": null, "StatusCode": 202});
    with_metadata(body, &[("Connection", "keep-alive"), ("Content-Type", "application/json")], 0, now, request_id)
}
