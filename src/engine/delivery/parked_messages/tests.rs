//! Parked messages, shown.

use base64::Engine as _;
use serde_json::json;

use super::*;
use crate::bus::HeaderValue;
use crate::bus::envelope::TASK_TOKEN;
use crate::token::fingerprint;

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
    let masked = whole(&said, &message, false, "");
    assert!(!masked.to_string().contains("secret-token"), "{masked}");
    assert_eq!(masked["tokenId"], fingerprint("secret-token"));
    assert_eq!(masked["body"]["n"], 1);
    assert!(!line(&said, &message).to_string().contains("secret"));
    assert_eq!(whole(&said, &message, true, "")["properties"]["correlationId"], "secret-token");
    // As the name of a member, and in a body that is no text.
    for body in [&br#"{"secret-token":{"secret-token":1}}"#[..], b"\xff secret-token \xfe"] {
        let message = Message { body: body.to_vec(), ..message.clone() };
        let masked = whole(&Parked::of(&message), &message, false, "").to_string();
        let encoded = base64::engine::general_purpose::STANDARD.encode(body);
        assert!(!masked.contains("secret-token") && !masked.contains(&encoded), "{masked}");
        assert_ne!(whole(&Parked::of(&message), &message, true, "").to_string(), masked);
    }
}

#[test]
fn a_body_is_shown_in_the_form_that_it_has() {
    let message = |body: &[u8]| Message { body: body.to_vec(), ..Message::default() };
    let shown = |body: &[u8]| whole(&Parked::of(&message(body)), &message(body), false, "");
    assert_eq!(shown(b"{")["body"], "{");
    assert_eq!(shown(b"[1]")["body"], json!([1]));
    assert_eq!(shown(&[0xff, 0xfe])["bodyBase64"], "//4=");
}
