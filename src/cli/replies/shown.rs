//! Parked messages as JSON and as text for people. Tokens are shown only on request.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use crate::bus::envelope::TASK_TOKEN;
use crate::bus::parked::Parked;
use crate::bus::{HeaderValue, Message};
use crate::cli::output::{Table, Tone, fields, maybe, short, text, visible};
use crate::cli::time;
use crate::clock::Timestamp;
use crate::token::fingerprint;

pub(super) fn line_of(parked: &Parked, message: &Message) -> Value {
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

/// A whole message. Without `reveal` its token is replaced by the fingerprint, in headers, properties and the body.
pub(super) fn whole(parked: &Parked, message: &Message, reveal: bool) -> Value {
    let p = &message.properties;
    let headers: Map<String, Value> =
        p.headers.iter().map(|(name, value)| (name.to_string(), header_json(value))).collect();
    let body =
        serde_json::from_slice(&message.body).ok().or_else(|| std::str::from_utf8(&message.body).ok().map(Value::from));
    let mut shown = line_of(parked, message);
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
            shown["body"] = json!(format!("({} bytes with the token; --reveal shows them)", message.body.len()));
        }
        None => shown["bodyBase64"] = json!(base64::engine::general_purpose::STANDARD.encode(&message.body)),
    }
    if !reveal {
        for secret in secrets(message) {
            mask(&mut shown, secret, &format!("(token {}; --reveal shows it)", fingerprint(secret)));
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

pub(super) fn table(answer: &Value, now: Timestamp) -> String {
    let mut table = Table::new(&["ID", "PARKED", "VERDICT", "FROM", "TOKEN", "REASON"]);
    for reply in answer["replies"].as_array().into_iter().flatten() {
        let parked = maybe(reply, "parkedAt").and_then(|at| Timestamp::parse_iso(&at).ok());
        let since = parked.map_or_else(|| "?".to_owned(), |at| format!("{} ago", time::duration(now.since(at))));
        table.row(vec![
            (text(reply, "id"), Tone::Plain),
            (since, Tone::Faint),
            (text(reply, "verdict"), Tone::Bad),
            (text(reply, "from"), Tone::Plain),
            (text(reply, "tokenId"), Tone::Faint),
            (short(&text(reply, "reason"), 80), Tone::Plain),
        ]);
    }
    let mut said = if table.is_empty() { "nothing is parked".to_owned() } else { table.render() };
    if answer["more"] == true {
        said.push_str("there are more: --limit");
    }
    said
}

pub(super) fn shown(answer: &Value) -> String {
    let mut said = fields(&[
        ("id", maybe(answer, "id")),
        ("parked", maybe(answer, "parkedAt")),
        ("verdict", maybe(answer, "verdict")),
        ("reason", maybe(answer, "reason")),
        ("from", maybe(answer, "from")),
        ("cut", maybe(answer, "cut")),
    ]);
    for part in ["properties", "headers"] {
        for (name, value) in answer[part].as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            said.push_str(&fields(&[(
                &format!("{part}.{name}"),
                Some(value.as_str().map_or_else(|| value.to_string(), |text| visible(text).into_owned())),
            )]));
        }
    }
    let body = answer
        .get("body")
        .or_else(|| answer.get("bodyBase64"))
        .map(|body| serde_json::to_string_pretty(body).unwrap_or_default());
    said + "\n" + &body.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked() -> Message {
        let mut message = Message { body: br#"{"echo":"secret-token","n":1}"#.to_vec(), ..Message::default() };
        message.properties.correlation_id = Some("secret-token".to_owned());
        message.properties.headers.insert(TASK_TOKEN.into(), HeaderValue::Text("secret-token".to_owned()));
        message
    }

    #[test]
    fn a_token_is_shown_only_when_asked_for() {
        let message = parked();
        let said = Parked::of(&message);
        let masked = whole(&said, &message, false);
        assert!(!masked.to_string().contains("secret-token"), "{masked}");
        assert_eq!(masked["tokenId"], fingerprint("secret-token"));
        assert_eq!(masked["body"]["n"], 1);
        assert!(
            !shown(&masked).contains("secret-token")
                && !table(&json!({"replies": [line_of(&said, &message)]}), Timestamp::default()).contains("secret")
        );
        assert_eq!(whole(&said, &message, true)["properties"]["correlationId"], "secret-token");
        // As the name of a member, and in a body that is no text.
        for body in [&br#"{"secret-token":{"secret-token":1}}"#[..], b"\xff secret-token \xfe"] {
            let message = Message { body: body.to_vec(), ..message.clone() };
            let masked = whole(&Parked::of(&message), &message, false).to_string();
            let encoded = base64::engine::general_purpose::STANDARD.encode(body);
            assert!(!masked.contains("secret-token") && !masked.contains(&encoded), "{masked}");
            assert_ne!(whole(&Parked::of(&message), &message, true).to_string(), masked);
        }
    }

    #[test]
    fn a_body_is_shown_in_the_form_that_it_has() {
        let message = |body: &[u8]| Message { body: body.to_vec(), ..Message::default() };
        let shown = |body: &[u8]| whole(&Parked::of(&message(body)), &message(body), false);
        assert_eq!(shown(b"{")["body"], "{");
        assert_eq!(shown(b"[1]")["body"], json!([1]));
        assert_eq!(shown(&[0xff, 0xfe])["bodyBase64"], "//4=");
    }
}
