//! [`Message`] ↔ lapin's properties, and what the protocol cannot carry. Pure.
//!
//! Everything that lapin would answer with a panic (a short string over 255 bytes), a dead channel (a body over the
//! broker's maximum) or a dead connection (a header frame over `frame_max`) is found here, before it can disturb the
//! messages beside it.

use std::time::Duration;

use lapin::protocol::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable, LongString, ShortString};
use serde_json::{Number, Value};

use crate::bus::{Address, HeaderValue, Message, Properties};
use crate::clock::Timestamp;
use crate::limits;

/// RabbitMQ takes `expiration` up to 2^32-1 ms (49 days) and closes the channel above. A longer one is left out: the
/// engine's own timer ends the task all the same, the message only stays in its queue.
const EXPIRATION_MAX: Duration = Duration::from_millis(u32::MAX as u64);

/// A short string, or the reason why it is none.
pub(super) fn short(what: &str, text: &str) -> Result<ShortString, String> {
    ShortString::try_new(text).map_err(|_| {
        format!(
            "{what} has {} bytes, AMQP carries at most {} (AMQP_SHORT_STRING_MAX)",
            text.len(),
            limits::AMQP_SHORT_STRING_MAX
        )
    })
}

/// Why this message cannot be sent at all, if it cannot. `user` is the connection's: the broker closes the channel on
/// another `user_id`.
pub(super) fn refusal(to: &Address, message: &Message, user: &str) -> Option<String> {
    check(to, message, user).err()
}

fn check(to: &Address, message: &Message, user: &str) -> Result<(), String> {
    let p = &message.properties;
    let fits = |what: &str, text: Option<&str>| match text {
        Some(t) if t.len() > limits::AMQP_SHORT_STRING_MAX => short(what, t).map(|_| ()),
        _ => Ok(()),
    };
    fits("the exchange name", Some(&to.exchange))?;
    fits("the routing key", Some(&to.routing_key))?;
    fits("content_type", p.content_type.as_deref())?;
    fits("content_encoding", p.content_encoding.as_deref())?;
    fits("reply_to", p.reply_to.as_deref())?;
    fits("correlation_id", p.correlation_id.as_deref())?;
    fits("message_id", p.message_id.as_deref())?;
    fits("app_id", p.app_id.as_deref())?;
    fits("type", p.kind.as_deref())?;
    if let Some(id) = &p.user_id
        && id != user
    {
        return Err("user_id is not the user of this connection".to_owned());
    }
    for name in p.headers.keys() {
        fits("a header name", Some(name))?;
    }
    // before anything that recurses
    p.headers.values().try_for_each(|v| if let HeaderValue::Json(j) = v { keys_fit(j, 0) } else { Ok(()) })?;
    let headers: usize = p.headers.iter().map(|(k, v)| k.len() + 2 + header_bytes(v)).sum();
    if headers > limits::MESSAGE_HEADERS_BYTES_MAX {
        return Err(format!(
            "the headers have {headers} bytes, more than {} (MESSAGE_HEADERS_BYTES_MAX)",
            limits::MESSAGE_HEADERS_BYTES_MAX
        ));
    }
    if message.body.len() > limits::MESSAGE_BYTES_MAX {
        return Err(format!(
            "the body has {} bytes, more than {} (MESSAGE_BYTES_MAX)",
            message.body.len(),
            limits::MESSAGE_BYTES_MAX
        ));
    }
    Ok(())
}

/// Names that fit, and no more levels than we take in ourselves.
fn keys_fit(value: &Value, depth: usize) -> Result<(), String> {
    if depth > limits::AMQP_DEPTH_MAX {
        return Err(format!("a header is nested deeper than {} (AMQP_DEPTH_MAX)", limits::AMQP_DEPTH_MAX));
    }
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(k, v)| {
            if k.len() > limits::AMQP_SHORT_STRING_MAX {
                return short("a field name in a header", k).map(|_| ());
            }
            keys_fit(v, depth + 1)
        }),
        Value::Array(items) => items.iter().try_for_each(|item| keys_fit(item, depth + 1)),
        _ => Ok(()),
    }
}

/// Encoded length of a header's value with its type octet, never under it.
fn header_bytes(value: &HeaderValue) -> usize {
    match value {
        HeaderValue::Text(t) => 5 + t.len(),
        HeaderValue::Integer(_) | HeaderValue::Double(_) => 9,
        HeaderValue::Boolean(_) => 2,
        HeaderValue::Json(v) => json_bytes(v),
    }
}

fn json_bytes(value: &Value) -> usize {
    match value {
        Value::Null => 1,
        Value::Bool(_) => 2,
        Value::Number(_) => 9,
        Value::String(s) => 5 + s.len(),
        Value::Array(items) => 5 + items.iter().map(json_bytes).sum::<usize>(),
        Value::Object(fields) => 5 + fields.iter().map(|(k, v)| 1 + k.len() + json_bytes(v)).sum::<usize>(),
    }
}

/// The properties as lapin sends them. A text that [`refusal`] has let through fits; any other text is left out, not
/// sent broken.
pub(super) fn properties(p: &Properties) -> BasicProperties {
    let fit = |text: Option<&str>| text.and_then(|t| ShortString::try_new(t).ok());
    let mut out = BasicProperties::default().with_delivery_mode(if p.persistent { 2 } else { 1 });
    if let Some(v) = fit(p.content_type.as_deref()) {
        out = out.with_content_type(v);
    }
    if let Some(v) = fit(p.content_encoding.as_deref()) {
        out = out.with_content_encoding(v);
    }
    if let Some(v) = fit(p.reply_to.as_deref()) {
        out = out.with_reply_to(v);
    }
    if let Some(v) = fit(p.correlation_id.as_deref()) {
        out = out.with_correlation_id(v);
    }
    if let Some(v) = fit(p.message_id.as_deref()) {
        out = out.with_message_id(v);
    }
    if let Some(v) = fit(p.app_id.as_deref()) {
        out = out.with_app_id(v);
    }
    if let Some(v) = fit(p.kind.as_deref()) {
        out = out.with_type(v);
    }
    if let Some(v) = fit(p.user_id.as_deref()) {
        out = out.with_user_id(v);
    }
    if let Some(at) = p.timestamp {
        out = out.with_timestamp(u64::try_from(at.millis() / 1000).unwrap_or(0));
    }
    if let Some(e) = p.expiration.filter(|e| *e <= EXPIRATION_MAX)
        && let Ok(text) = ShortString::try_new(e.as_millis().to_string())
    {
        out = out.with_expiration(text);
    }
    if let Some(priority) = p.priority {
        out = out.with_priority(priority);
    }
    if !p.headers.is_empty() {
        let mut table = FieldTable::default();
        for (name, value) in &p.headers {
            if let Ok(name) = ShortString::try_new(&**name) {
                table.insert(name, encode(value));
            }
        }
        out = out.with_headers(table);
    }
    out
}

fn encode(value: &HeaderValue) -> AMQPValue {
    match value {
        HeaderValue::Text(t) => AMQPValue::LongString(LongString::from(t.as_str())),
        HeaderValue::Integer(i) => integer(*i),
        HeaderValue::Double(d) => AMQPValue::Double(*d),
        HeaderValue::Boolean(b) => AMQPValue::Boolean(*b),
        HeaderValue::Json(v) => encode_json(v),
    }
}

fn encode_json(value: &Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(b) => AMQPValue::Boolean(*b),
        Value::Number(n) => n.as_i64().map_or_else(|| AMQPValue::Double(n.as_f64().unwrap_or(f64::NAN)), integer),
        Value::String(s) => AMQPValue::LongString(LongString::from(s.as_str())),
        Value::Array(items) => {
            AMQPValue::FieldArray(FieldArray::from(items.iter().map(encode_json).collect::<Vec<_>>()))
        }
        Value::Object(fields) => {
            let mut table = FieldTable::default();
            for (name, value) in fields {
                if let Ok(name) = ShortString::try_new(name.as_str()) {
                    table.insert(name, encode_json(value));
                }
            }
            AMQPValue::FieldTable(table)
        }
    }
}

/// A message as it came in.
pub(super) fn message(body: Vec<u8>, p: &BasicProperties) -> Message {
    let text = |v: &Option<ShortString>| v.as_ref().map(|s| s.as_str().to_owned());
    let headers = p
        .headers()
        .as_ref()
        .map(|t| t.inner().iter().map(|(k, v)| (k.as_str().to_owned().into(), decode(v))).collect());
    Message {
        body,
        properties: Properties {
            content_type: text(p.content_type()).map(Into::into),
            content_encoding: text(p.content_encoding()).map(Into::into),
            reply_to: text(p.reply_to()),
            correlation_id: text(p.correlation_id()),
            message_id: text(p.message_id()),
            app_id: text(p.app_id()).map(Into::into),
            kind: text(p.kind()).map(Into::into),
            user_id: text(p.user_id()),
            timestamp: p
                .timestamp()
                .map(|s| Timestamp::from_millis(i64::try_from(s).unwrap_or(i64::MAX).saturating_mul(1000))),
            expiration: p.expiration().as_ref().and_then(|e| e.as_str().parse().ok()).map(Duration::from_millis),
            priority: *p.priority(),
            persistent: *p.delivery_mode() == Some(2),
            headers: headers.unwrap_or_default(),
        },
    }
}

/// Headers of an incoming message are bounded in depth before they are parsed (`mend`); this bound is the same, for
/// whatever comes another way.
fn decode(value: &AMQPValue) -> HeaderValue {
    match value {
        AMQPValue::LongString(s) => HeaderValue::Text(String::from_utf8_lossy(s.as_bytes()).into_owned()),
        AMQPValue::ShortString(s) => HeaderValue::Text(s.as_str().to_owned()),
        AMQPValue::ByteArray(b) => HeaderValue::Text(String::from_utf8_lossy(b.as_slice()).into_owned()),
        other => match decode_json(other, 0) {
            Value::Bool(b) => HeaderValue::Boolean(b),
            Value::Number(n) => match n.as_i64() {
                Some(i) => HeaderValue::Integer(i),
                None => HeaderValue::Double(n.as_f64().unwrap_or(f64::NAN)),
            },
            json => HeaderValue::Json(json),
        },
    }
}

/// Some client libraries (Perl's Net::AMQP) read integers of 32 bits only.
fn integer(i: i64) -> AMQPValue {
    i32::try_from(i).map_or(AMQPValue::LongLongInt(i), AMQPValue::LongInt)
}

fn decode_json(value: &AMQPValue, depth: usize) -> Value {
    match value {
        AMQPValue::Boolean(b) => Value::Bool(*b),
        AMQPValue::ShortShortInt(i) => Value::from(*i),
        AMQPValue::ShortShortUInt(i) => Value::from(*i),
        AMQPValue::ShortInt(i) => Value::from(*i),
        AMQPValue::ShortUInt(i) => Value::from(*i),
        AMQPValue::LongInt(i) => Value::from(*i),
        AMQPValue::LongUInt(i) => Value::from(*i),
        AMQPValue::LongLongInt(i) => Value::from(*i),
        AMQPValue::Timestamp(i) => Value::from(*i),
        AMQPValue::Float(f) => number(f64::from(*f)),
        AMQPValue::Double(f) => number(*f),
        AMQPValue::DecimalValue(d) => number(f64::from(d.value) / 10f64.powi(i32::from(d.scale))),
        AMQPValue::ShortString(s) => Value::from(s.as_str()),
        AMQPValue::LongString(s) => Value::from(String::from_utf8_lossy(s.as_bytes())),
        AMQPValue::ByteArray(b) => Value::from(String::from_utf8_lossy(b.as_slice())),
        AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) if depth > limits::AMQP_DEPTH_MAX => Value::Null,
        AMQPValue::FieldArray(items) => {
            Value::Array(items.as_slice().iter().map(|item| decode_json(item, depth + 1)).collect())
        }
        AMQPValue::FieldTable(t) => {
            Value::Object(t.inner().iter().map(|(k, v)| (k.as_str().to_owned(), decode_json(v, depth + 1))).collect())
        }
        AMQPValue::Void => Value::Null,
    }
}

/// JSON has no NaN and no infinity.
fn number(f: f64) -> Value {
    Number::from_f64(f).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn to(key: &str) -> Address {
        Address { exchange: String::new(), routing_key: key.to_owned() }
    }

    #[test]
    fn properties_and_headers_come_back_as_they_went() {
        let mut p = Properties {
            content_type: Some("application/json".into()),
            content_encoding: Some("gzip".into()),
            reply_to: Some("r".into()),
            correlation_id: Some("c".into()),
            message_id: Some("m".into()),
            app_id: Some("reveille".into()),
            kind: Some("task".into()),
            timestamp: Some(Timestamp::from_millis(1_700_000_000_000)),
            expiration: Some(Duration::from_millis(1500)),
            priority: Some(4),
            persistent: true,
            ..Properties::default()
        };
        for (name, value) in [
            ("text", HeaderValue::Text("ü".into())),
            ("integer", HeaderValue::Integer(-7)),
            ("long", HeaderValue::Integer(1 << 40)),
            ("double", HeaderValue::Double(0.5)),
            ("boolean", HeaderValue::Boolean(true)),
            ("table", HeaderValue::Json(json!({"a": [1, null, {"b": "c"}]}))),
        ] {
            p.headers.insert(name.into(), value);
        }
        let sent = Message { body: b"{}".to_vec(), properties: p };
        assert_eq!(message(sent.body.clone(), &properties(&sent.properties)), sent);
    }

    #[test]
    fn an_integer_takes_32_bits_where_it_fits() {
        for (number, kind) in [(1, 'I'), (-(1 << 31), 'I'), (1 << 31, 'l'), (i64::MIN, 'l')] {
            let value = integer(number);
            let is = if matches!(value, AMQPValue::LongInt(_)) { 'I' } else { 'l' };
            assert_eq!((is, decode(&value)), (kind, HeaderValue::Integer(number)));
        }
    }

    #[test]
    fn an_expiration_that_the_broker_would_refuse_is_left_out() {
        let p = Properties { expiration: Some(Duration::from_secs(99_999_999)), ..Properties::default() };
        assert_eq!(*properties(&p).expiration(), None);
    }

    #[test]
    fn what_the_protocol_cannot_carry_is_named() {
        let long = "x".repeat(256);
        let message = |f: fn(&mut Message, String)| {
            let mut m = Message::default();
            f(&mut m, "x".repeat(256));
            m
        };
        let cases = [
            (to(&long), Message::default(), "the routing key has 256 bytes"),
            (to("q"), message(|m, t| m.properties.correlation_id = Some(t)), "correlation_id has 256 bytes"),
            (
                to("q"),
                message(|m, t| drop(m.properties.headers.insert(t.into(), HeaderValue::Integer(1)))),
                "a header name has 256 bytes",
            ),
            (
                to("q"),
                message(|m, t| drop(m.properties.headers.insert("h".into(), HeaderValue::Json(json!({t: 1}))))),
                "a field name in a header",
            ),
            (
                to("q"),
                message(|m, t| drop(m.properties.headers.insert("h".into(), HeaderValue::Text(t.repeat(300))))),
                "the headers have",
            ),
            (to("q"), message(|m, _| m.body = vec![0; limits::MESSAGE_BYTES_MAX + 1]), "the body has"),
            (to("q"), message(|m, _| m.properties.user_id = Some("root".into())), "user_id is not"),
        ];
        for (address, message, expected) in cases {
            let text = refusal(&address, &message, "guest").expect(expected);
            assert!(text.starts_with(expected), "{text}");
        }
        assert_eq!(refusal(&to("q"), &Message::default(), "guest"), None);
    }
}
