//! `lambda:invoke` and function ARNs: a call to the queue named by the function, with Lambda's shapes around it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
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
            "1 validation error detected: Value '{function}' at 'functionName' failed to satisfy constraint: Member \
             must satisfy regular \
             expression pattern: \
             (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{{2}}((-gov)|(-iso(b?)))?-[a-z]+-\\d{{1}}:)?(\\d{{12}}:)?(function:)?\
             ([a-zA-Z0-9-_\\.]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?"
        )));
    }
    // A text that is JSON is sent as it is, as on AWS. Without a payload a function gets `{}`.
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

/// Lambda's answer to an invocation with these parameters.
pub(super) fn invoked(payload: &Value, parameters: &Payload, now: Timestamp, request_id: Uuid) -> Value {
    let bytes = payload.to_string().len();
    let fields = Fields::of(parameters, "lambda", request_id).ok();
    let asked = |name: &str| fields.as_ref().and_then(|fields| fields.text(name).ok().flatten().map(str::to_owned));
    let function = asked("FunctionName").unwrap_or_default();
    let version = asked("Qualifier").or_else(|| qualifier_of(&function).map(str::to_owned));
    // There are no versions here, so an alias is not resolved. A number is shown as it is.
    let version = version.filter(|v| v.bytes().all(|b| b.is_ascii_digit())).unwrap_or_else(|| "$LATEST".to_owned());
    let trace = trace_id(now, request_id);
    let mut headers = vec![
        ("X-Amz-Executed-Version", version.as_str()),
        ("x-amzn-Remapped-Content-Length", "0"),
        ("Connection", "keep-alive"),
        ("X-Amzn-Trace-Id", trace.as_str()),
        ("Content-Type", "application/json"),
    ];
    let mut body = json!({"ExecutedVersion": version, "Payload": payload, "StatusCode": 200});
    let log = asked("LogType").filter(|kind| kind == "Tail").map(|_| log_tail(&version, request_id));
    if let Some(log) = &log {
        body["LogResult"] = json!(log);
        headers.push(("X-Amz-Log-Result", log));
    }
    with_metadata(body, &headers, bytes, now, request_id)
}

/// `LogType: Tail`: the last lines of the function's log. The worker's own lines are not known here, so it holds only
/// Lambda's.
fn log_tail(version: &str, request_id: Uuid) -> String {
    BASE64.encode(format!("START RequestId: {request_id} Version: {version}\nEND RequestId: {request_id}\n"))
}

/// X-Ray's form: the root with the time in hexadecimal seconds.
fn trace_id(now: Timestamp, request_id: Uuid) -> String {
    let id = request_id.simple().to_string();
    format!("root=1-{:08x}-{};sampled=0", now.millis() / 1_000, &id[..24])
}

/// Lambda's answer to an invocation that it only queues.
pub(super) fn queued(now: Timestamp, request_id: Uuid) -> Value {
    let body = json!({"ExecutedVersion": "$LATEST", "Payload": null, "StatusCode": 202});
    with_metadata(body, &[("Connection", "keep-alive"), ("Content-Type", "application/json")], 0, now, request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[test]
    fn an_invocation_has_what_its_parameters_ask_for() {
        let given = |parameters: Value| invoked(&json!(1), &parameters.into(), AT, Uuid::nil());
        let plain = given(json!({"FunctionName": "f", "LogType": "None"}));
        assert_eq!((plain.get("LogResult"), &plain["ExecutedVersion"]), (None, &json!("$LATEST")));
        let tail = given(json!({"FunctionName": "f:7", "LogType": "Tail"}));
        let log = BASE64.decode(tail["LogResult"].as_str().unwrap()).unwrap();
        let begin = format!("START RequestId: {} Version: 7\n", Uuid::nil());
        assert!(String::from_utf8(log).unwrap().starts_with(&begin));
        assert_eq!(tail["ExecutedVersion"], json!("7"));
        assert_eq!(tail["SdkHttpMetadata"]["HttpHeaders"]["X-Amz-Log-Result"], tail["LogResult"]);
        // An alias is no version.
        assert_eq!(given(json!({"FunctionName": "f", "Qualifier": "live"}))["ExecutedVersion"], json!("$LATEST"));
        // Its form as recorded.
        let trace = plain["SdkHttpMetadata"]["AllHttpHeaders"]["X-Amzn-Trace-Id"][0].as_str().unwrap();
        assert!(trace.starts_with("root=1-6553f100-"), "{trace}");
    }
}
