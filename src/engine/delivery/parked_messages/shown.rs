//! Parked messages as JSON. Tokens are shown only on request.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use crate::bus::envelope::TASK_TOKEN;
use crate::bus::parked::Parked;
use crate::bus::{HeaderValue, Message};
use crate::clock::Timestamp;
use crate::token::fingerprint;

/// An item of a listing.
#[must_use]
pub fn line(parked: &Parked, message: &Message) -> Value {
    let p = &message.properties;
    json!({
        "id": parked.id,
        "parkedAt": parked.at.map(Timestamp::iso),
        "verdict": parked.verdict,
        "reason": parked.reason,
        "from": parked.from,
        "messageId": p.message_id,
        "tokenId": token(message).map(fingerprint),
        "bytes": parked.cut.as_ref().map_or(json!(message.body.len()), |(_, bytes)| json!(bytes)),
        "cut": parked.cut.as_ref().map(|(why, _)| why),
    })
}

fn token(message: &Message) -> Option<&str> {
    let p = &message.properties;
    p.headers
        .get(TASK_TOKEN)
        .and_then(HeaderValue::as_text)
        .or(p.correlation_id.as_deref())
        .filter(|token| !token.is_empty())
}

/// A whole message. Without `reveal` its token is replaced by the fingerprint, in headers, properties and the body;
/// `hint` is added to the mark.
#[must_use]
pub fn whole(parked: &Parked, message: &Message, reveal: bool, hint: &str) -> Value {
    let p = &message.properties;
    let headers: Map<String, Value> =
        p.headers.iter().map(|(name, value)| (name.to_string(), header_json(value))).collect();
    let body =
        serde_json::from_slice(&message.body).ok().or_else(|| std::str::from_utf8(&message.body).ok().map(Value::from));
    let mut shown = line(parked, message);
    shown["properties"] = json!({
        "contentType": p.content_type,
        "correlationId": p.correlation_id,
        "replyTo": p.reply_to,
        "messageId": p.message_id,
        "appId": p.app_id,
        "type": p.kind,
        "timestamp": p.timestamp.map(Timestamp::iso),
        "priority": p.priority,
    });
    shown["headers"] = Value::Object(headers);
    match body {
        Some(body) => shown["body"] = body,
        // Base64 would hide a token from the search below.
        None if !reveal && secrets(message).any(|secret| holds(&message.body, secret)) => {
            shown["body"] = json!(format!("({} bytes with the token{hint})", message.body.len()));
        }
        None => shown["bodyBase64"] = json!(base64::engine::general_purpose::STANDARD.encode(&message.body)),
    }
    if !reveal {
        for secret in secrets(message) {
            mask(&mut shown, secret, &format!("(token {}{hint})", fingerprint(secret)));
        }
    }
    shown
}

/// Texts of a message that may be task tokens.
fn secrets(message: &Message) -> impl Iterator<Item = &str> {
    let p = &message.properties;
    let texts = [p.headers.get(TASK_TOKEN).and_then(HeaderValue::as_text), p.correlation_id.as_deref()];
    texts.into_iter().flatten().filter(|text| !text.is_empty())
}

fn holds(body: &[u8], secret: &str) -> bool {
    body.windows(secret.len()).any(|part| part == secret.as_bytes())
}

fn mask(value: &mut Value, secret: &str, mark: &str) {
    match value {
        Value::String(text) if text.contains(secret) => *text = text.replace(secret, mark),
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, secret, mark)),
        Value::Object(members) => {
            if members.keys().any(|name| name.contains(secret)) {
                *members = std::mem::take(members).into_iter().map(|(k, v)| (k.replace(secret, mark), v)).collect();
            }
            members.values_mut().for_each(|member| mask(member, secret, mark));
        }
        _ => {}
    }
}

fn header_json(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Text(text) => json!(text),
        HeaderValue::Integer(n) => json!(n),
        HeaderValue::Double(n) => json!(n),
        HeaderValue::Boolean(b) => json!(b),
        HeaderValue::Json(json) => json.clone(),
    }
}
