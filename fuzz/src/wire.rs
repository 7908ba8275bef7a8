//! Fuzzer of what reads a stranger's bytes before anything is known of him: the broker's frames, a message in a reply
//! queue, the head of a signed request. The files are the server's own, compiled here without the rest of it: that
//! takes a minute.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the rest of those files is for the server")]

// lapin's types are those of this library.
extern crate amq_protocol as lapin;

mod drive;
#[path = "../../tests/hostile/reply.rs"]
mod judged;
mod replies;
#[path = "../../src/api/sigv4.rs"]
mod sigv4;

use std::sync::Arc;

use bus::amqp::mend::{frames, marks};
use drive::{Drive, Target};
use reveille_core::clock::Timestamp;
use reveille_core::{clock, ids, limits, payload};

#[path = "../../src/bus"]
mod bus {
    pub mod envelope;
    mod mended;
    mod message;
    mod names;
    pub mod parked;

    pub use mended::Mended;
    pub use message::{Address, HeaderValue, Headers, Message, Properties, TaskHeaders, Text};
    pub use names::Names;

    pub mod amqp {
        mod codec;
        pub mod mend {
            pub mod frames;
            pub mod marks;
            mod walk;
        }

        use amq_protocol::protocol::BasicProperties;

        use super::{Address, Message, Properties};

        pub fn decode(body: Vec<u8>, properties: &BasicProperties) -> Message {
            codec::message(body, properties)
        }

        pub fn encode(properties: &Properties) -> BasicProperties {
            codec::properties(properties)
        }

        pub fn refusal(to: &Address, message: &Message, user: &str) -> Option<String> {
            codec::refusal(to, message, user)
        }
    }
}

/// The answer to a refused signature.
mod error {
    #[derive(Debug)]
    pub struct ApiError(pub String);

    impl ApiError {
        pub fn new(name: &str, message: impl Into<String>) -> Self {
            Self(format!("{name}: {}", message.into()))
        }
    }
}

const TARGETS: &[Target] = &[("frame", frame), ("reply", replies::reply), ("sigv4", signed)];

/// Bytes of the broker; the first says how many come at once. The library's parser reads the output of the filter,
/// which is as long as the input, and the same for every way of cutting the input.
fn frame(data: &[u8]) {
    let Some((piece, data)) = data.split_first() else { return };
    let filter = |piece: usize| frames::Frames::new(Arc::new(marks::Marks::new(Arc::default()))).run(data, piece);
    let (some, whole) = (filter(usize::from(*piece)), filter(data.len()));
    let Ok(whole) = whole else {
        assert!(some.is_err(), "taken by pieces of {piece}, refused as a whole");
        return;
    };
    assert_eq!(some.ok().as_ref(), Some(&whole), "by pieces of {piece} it comes out otherwise");
    assert!(data.len() >= whole.len(), "something was added");
    let mut rest = &whole[..];
    while rest.len() >= 8 && rest[0] != b'A' {
        let size = u32::from_be_bytes([rest[3], rest[4], rest[5], rest[6]]) as usize;
        if rest.len() < size + 8 {
            break;
        }
        let read = amq_protocol::frame::parse_frame(rest).map(|(_, frame)| format!("{:?}", frame.clone()));
        // No broker sends a method that there is not: the connection may end over it, and nothing else.
        let content = rest[0] == 2 && rest[7..].starts_with(&[0, 60]);
        assert!(read.is_ok() || !content, "the library cannot read content that was let through: {read:?}");
        rest = &rest[size + 8..];
    }
}

/// Lines `name: value` of a head; a signature without an owner is not taken.
fn signed(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(String, &str)> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value)).collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let request = sigv4::Signed { method, path, query, headers: &headers };
    let Ok(authorization) = request.authorization() else { return };
    let now = Timestamp::parse_iso("2026-11-29T12:00:00Z").expect("a time");
    let _ = request.check(&authorization, Some("us-east-1"), now);
    assert!(request.verify(&authorization, "a secret that signed nothing", b"{}").is_err(), "a forged signature is taken");
}

drive!(TARGETS);
