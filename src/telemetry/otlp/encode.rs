//! The JSON form of OTLP (`ExportTraceServiceRequest`): ids as hexadecimal digits, times as texts of nanoseconds, enums
//! as numbers.

use serde::Serialize;
use serde_json::{Value, json};

use super::Parcel;
use crate::clock::Timestamp;
use crate::spans::{Attribute, End, Kind, Span};
use crate::trace::{SpanContext, Trace};

/// `SPAN_KIND_…`: an execution that was asked for within a trace serves it, a task asks a worker.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_state: Option<&'a str>,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    trace_id: String,
    span_id: String,
}

impl From<&SpanContext> for Link {
    fn from(link: &SpanContext) -> Self {
        Self { trace_id: trace_id(link.trace), span_id: span_id(link.span) }
    }
}

/// The body of a request.
pub(super) fn request(service: &str, batch: &[Parcel]) -> Vec<u8> {
    let spans: Vec<Written<'_>> =
        batch.iter().flat_map(|parcel| parcel.spans.iter().map(|span| written(&parcel.trace, span))).collect();
    let version = env!("CARGO_PKG_VERSION");
    let resource = [attribute("service.name", &service.into()), attribute("service.version", &version.into())];
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": {"name": "reveille", "version": version}, "spans": spans}],
    }]});
    body.to_string().into_bytes()
}

fn written<'a>(trace: &'a Trace, span: &'a Span) -> Written<'a> {
    let kind = match span.kind {
        Kind::Execution if span.parent.is_some() => SERVER,
        Kind::Task => CLIENT,
        Kind::Execution | Kind::State | Kind::Retry => INTERNAL,
    };
    let mut attributes: Vec<Value> = span.attributes.iter().map(|(name, value)| attribute(name, value)).collect();
    let status = match &span.end {
        End::Well => None,
        End::Failed(error) => {
            attributes.push(attribute("error.type", &error.as_str().into()));
            Some(json!({"code": ERROR, "message": error}))
        }
        End::Aborted => {
            attributes.push(attribute("reveille.aborted", &"true".into()));
            Some(json!({"code": ERROR, "message": "aborted"}))
        }
    };
    Written {
        trace_id: trace_id(trace.id),
        span_id: span_id(span.id),
        parent_span_id: span.parent.map(span_id),
        trace_state: trace.state.as_deref(),
        name: &span.name,
        kind,
        start_time_unix_nano: nanos(span.from),
        end_time_unix_nano: nanos(span.to),
        attributes,
        links: span.links.iter().map(Link::from).collect(),
        status,
    }
}

fn attribute(name: &str, value: &Attribute) -> Value {
    let value = match value {
        Attribute::Text(text) => json!({"stringValue": &**text}),
        // A number of 64 bits is a text in this form.
        Attribute::Number(number) => json!({"intValue": number.to_string()}),
    };
    json!({"key": name, "value": value})
}

pub(in crate::telemetry) fn trace_id(id: u128) -> String {
    format!("{id:032x}")
}

pub(in crate::telemetry) fn span_id(id: u64) -> String {
    format!("{id:016x}")
}

fn nanos(at: Timestamp) -> String {
    (i128::from(at.millis()) * 1_000_000).max(0).to_string()
}

/// The reason and number of the spans that an answer refuses.
pub(super) fn partly_refused(answer: &[u8]) -> Option<(String, usize)> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let partial = answer.get("partialSuccess")?;
    let count = match partial.get("rejectedSpans")? {
        Value::String(text) => text.parse().ok()?,
        Value::Number(number) => usize::try_from(number.as_u64()?).ok()?,
        _ => return None,
    };
    let why = partial.get("errorMessage").and_then(Value::as_str).unwrap_or("without a reason");
    (count > 0).then(|| (why.to_owned(), count))
}
