//! A worker's reply: its message read, or the defect of the message.

use std::fmt;

use serde_json::Value;

use super::{TASK_STATUS, TASK_TOKEN, form};
use crate::bus::{HeaderValue, Message};
use crate::limits;
use crate::payload::Payload;

/// A worker's report on its task.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyOutcome {
    Success { output: Payload },
    Failure { error: String, cause: String },
    Heartbeat,
}

/// A reply that can be used.
#[derive(Clone, PartialEq)]
pub struct Reply {
    /// Not verified yet.
    pub token: String,
    pub outcome: ReplyOutcome,
    /// Where a verdict goes, if the worker wants one.
    pub reply_to: Option<String>,
    pub correlation_id: Option<String>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match &self.outcome {
            ReplyOutcome::Success { .. } => "success",
            ReplyOutcome::Failure { .. } => "failure",
            ReplyOutcome::Heartbeat => "heartbeat",
        };
        f.debug_struct("Reply").field("outcome", &outcome).field("reply_to", &self.reply_to).finish_non_exhaustive()
    }
}

/// Why a reply cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DefectKind {
    /// Neither header `task-token` nor `correlation_id`, or one too long to be a token.
    MissingToken,
    /// The output is not JSON, or `task-status` is none of ours.
    InvalidOutput,
    /// Over the limit of a payload, an error name or a cause.
    TooLarge,
}

/// A reply that cannot be used. Where it has a token, the task it belongs to can be told (a forged one must not: verify
/// first).
#[derive(Clone, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub struct ReplyDefect {
    pub kind: DefectKind,
    pub token: Option<String>,
    /// For people; holds neither token nor payload.
    pub detail: String,
    pub reply_to: Option<String>,
    pub correlation_id: Option<String>,
}

impl fmt::Debug for ReplyDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyDefect")
            .field("kind", &self.kind)
            .field("has_token", &self.token.is_some())
            .field("detail", &self.detail)
            .field("reply_to", &self.reply_to)
            .finish_non_exhaustive()
    }
}

impl ReplyDefect {
    /// Of a message that could not be read as it came.
    #[must_use]
    pub fn unreadable(message: &Message, why: String) -> Self {
        Self {
            kind: DefectKind::InvalidOutput,
            token: token(message).filter(|t| t.len() <= limits::TOKEN_CHARS_MAX).map(str::to_owned),
            detail: why,
            reply_to: message.properties.reply_to.clone(),
            correlation_id: message.properties.correlation_id.clone(),
        }
    }
}

impl Reply {
    /// Reads a message from a reply queue. An empty body of a success is `null`: a worker that has nothing to say need
    /// not say it.
    ///
    /// # Errors
    /// The defect, with the token where there is one.
    pub fn decode(message: &Message) -> Result<Self, ReplyDefect> {
        let properties = &message.properties;
        let token = token(message);
        let defect = |kind, detail: String| ReplyDefect {
            kind,
            token: token.filter(|t| t.len() <= limits::TOKEN_CHARS_MAX).map(str::to_owned),
            detail,
            reply_to: properties.reply_to.clone(),
            correlation_id: properties.correlation_id.clone(),
        };
        let Some(token_text) = token else {
            return Err(defect(
                DefectKind::MissingToken,
                "neither header task-token nor correlation_id holds a token".to_owned(),
            ));
        };
        if token_text.len() > limits::TOKEN_CHARS_MAX {
            let detail = format!("the token is longer than {} characters (TOKEN_CHARS_MAX)", limits::TOKEN_CHARS_MAX);
            return Err(defect(DefectKind::MissingToken, detail));
        }
        let outcome = outcome_of(message).map_err(|(kind, detail)| defect(kind, detail))?;
        Ok(Self {
            token: token_text.to_owned(),
            outcome,
            reply_to: properties.reply_to.clone(),
            correlation_id: properties.correlation_id.clone(),
        })
    }
}

/// The span in which a message was sent, as its sender says.
#[must_use]
pub fn traceparent(message: &Message) -> Option<&str> {
    message.properties.headers.get(super::TRACEPARENT).and_then(HeaderValue::as_text)
}

/// The `tracestate` beside it.
#[must_use]
pub fn tracestate(message: &Message) -> Option<&str> {
    message.properties.headers.get(super::TRACESTATE).and_then(HeaderValue::as_text)
}

/// The token that a message carries, in its header or in `correlation_id`; not verified. An empty header hides no good
/// `correlation_id`.
#[must_use]
pub fn token(message: &Message) -> Option<&str> {
    let properties = &message.properties;
    let header = properties.headers.get(TASK_TOKEN).and_then(HeaderValue::as_text);
    let is_there = |text: &&str| !text.trim().is_empty();
    header.filter(is_there).or(properties.correlation_id.as_deref().filter(is_there))
}

fn outcome_of(message: &Message) -> Result<ReplyOutcome, (DefectKind, String)> {
    let status = match message.properties.headers.get(TASK_STATUS) {
        // Some clients send void or an empty text for "none".
        None | Some(HeaderValue::Json(Value::Null)) => "",
        Some(HeaderValue::Text(status)) => status.as_str(),
        Some(_) => return Err((DefectKind::InvalidOutput, "task-status is not a text".to_owned())),
    };
    match status {
        "heartbeat" => Ok(ReplyOutcome::Heartbeat),
        "success" | "" => success(message),
        "failure" => failure(message),
        _ => Err((DefectKind::InvalidOutput, "task-status is none of success, failure, heartbeat".to_owned())),
    }
}

fn success(message: &Message) -> Result<ReplyOutcome, (DefectKind, String)> {
    if message.body.is_empty() {
        return Ok(ReplyOutcome::Success { output: Payload::default() });
    }
    let body = form::without_mark(&message.body);
    if body.len() > limits::PAYLOAD_BYTES_MAX {
        let detail =
            format!("the output has {} bytes, more than {} (PAYLOAD_BYTES_MAX)", body.len(), limits::PAYLOAD_BYTES_MAX);
        return Err((DefectKind::TooLarge, detail));
    }
    // Bytes that are not UTF-8 are not JSON: serde_json says where.
    let output = match std::str::from_utf8(body) {
        Ok(text) => Payload::parse(text),
        Err(_) => serde_json::from_slice(body).map(Payload::new),
    };
    match output {
        Ok(output) => Ok(ReplyOutcome::Success { output }),
        Err(e) => Err((DefectKind::InvalidOutput, form::why_no_json("the output", message, &e))),
    }
}

/// `{"error","cause"}`, Lambda's `{"errorType","errorMessage"}`, headers `error` and `cause` (which win), or a body
/// that is the cause as text.
fn failure(message: &Message) -> Result<ReplyOutcome, (DefectKind, String)> {
    // UTF-8 has at most four bytes a character; JSON may write one in twelve (a surrogate pair, escaped)
    if message.body.len() > 12 * (limits::CAUSE_CHARS_MAX + limits::ERROR_CHARS_MAX) + 1_024 {
        return Err((
            DefectKind::TooLarge,
            format!("the cause has more than {} characters (CAUSE_CHARS_MAX)", limits::CAUSE_CHARS_MAX),
        ));
    }
    let bytes = form::without_mark(&message.body);
    let body: Option<Value> = serde_json::from_slice(bytes).ok();
    let field = |names: [&str; 2]| match &body {
        Some(Value::Object(fields)) => names.iter().find_map(|n| fields.get(*n)).map(text_of),
        _ => None,
    };
    let header = |name: &str| message.properties.headers.get(name).and_then(words);
    let whole = || match &body {
        None => String::from_utf8_lossy(bytes).into_owned(),
        // an object of another shape is kept whole: it is all that the worker said
        Some(Value::Object(fields))
            if ["error", "cause", "errorType", "errorMessage"].iter().any(|n| fields.contains_key(*n)) =>
        {
            String::new()
        }
        Some(value) => text_of(value),
    };
    // Lambda's `stackTrace`, and whatever else a runtime says of its error, is kept: the cause is then the whole, as
    // AWS's history has it.
    let lambdas = match &body {
        Some(Value::Object(fields)) if fields.contains_key("errorMessage") || fields.contains_key("errorType") => {
            fields.keys().any(|name| !["error", "cause", "errorType", "errorMessage"].contains(&name.as_str()))
        }
        _ => false,
    };
    let error = header("error").or_else(|| field(["error", "errorType"])).unwrap_or_default();
    let cause = header("cause")
        .or_else(|| if lambdas { body.as_ref().map(text_of) } else { field(["cause", "errorMessage"]) })
        .unwrap_or_else(whole);
    for (name, text, max) in [("error", &error, limits::ERROR_CHARS_MAX), ("cause", &cause, limits::CAUSE_CHARS_MAX)] {
        if text.chars().nth(max).is_some() {
            let limit = if name == "error" { "ERROR_CHARS_MAX" } else { "CAUSE_CHARS_MAX" };
            return Err((DefectKind::TooLarge, format!("the {name} has more than {max} characters ({limit})")));
        }
    }
    Ok(ReplyOutcome::Failure { error, cause })
}

/// A header's value as text, whatever its type; void says nothing.
fn words(value: &HeaderValue) -> Option<String> {
    match value {
        HeaderValue::Text(text) => Some(text.clone()),
        HeaderValue::Integer(n) => Some(n.to_string()),
        HeaderValue::Double(n) => Some(n.to_string()),
        HeaderValue::Boolean(b) => Some(b.to_string()),
        HeaderValue::Json(Value::Null) => None,
        HeaderValue::Json(json) => Some(text_of(json)),
    }
}

/// A text as it is, anything else as its JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
