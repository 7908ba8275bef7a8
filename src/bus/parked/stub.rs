//! The stub of a refused message that is too large for the parking queue, or for the broker. It has the size of the
//! message and the digest of its body, so that the sender's own copy can be found by it.

use sha2::{Digest, Sha256};

use super::{Refusal, mark, part_with_routes};
use crate::bus::envelope::{TASK_STATUS, TASK_TOKEN};
use crate::bus::{HeaderValue, Headers, Message, Properties, Text};
use crate::limits;

/// Why the message was cut, in the words of the bus.
pub(super) const CUT: &str = "x-parked-cut";
pub(super) const BYTES: &str = "x-parked-bytes";
const SHA256: &str = "x-parked-sha256";
const LEFT_OUT: &str = "x-parked-headers-left-out";

/// Headers that say most of a message: they come before the others.
const FIRST: [&str; 5] = [TASK_TOKEN, TASK_STATUS, "error", "x-first-death-queue", "x-first-death-reason"];
/// Of a header's value.
const VALUE_BYTES_MAX: usize = 1_024;
const WORDS_BYTES_MAX: usize = 512;

/// How much of a message is parked, where all of it is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The first part of its body, and headers as far as they fit.
    Stub,
    /// No body, and its token as the only header: what every broker takes.
    Bare,
}

impl Cut {
    /// The next try after a refusal of this.
    #[must_use]
    pub const fn after(tried: Option<Self>) -> Option<Self> {
        match tried {
            None => Some(Self::Stub),
            Some(Self::Stub) => Some(Self::Bare),
            Some(Self::Bare) => None,
        }
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stub => "stub",
            Self::Bare => "bare",
        }
    }

    const fn body_bytes(self) -> usize {
        match self {
            Self::Stub => limits::PARKED_BODY_BYTES_MAX,
            Self::Bare => 0,
        }
    }

    const fn headers_bytes(self) -> usize {
        match self {
            Self::Stub => limits::PARKED_HEADERS_BYTES_MAX,
            Self::Bare => limits::AMQP_SHORT_STRING_MAX,
        }
    }
}

/// The digest of a body, for its stub. The largest that brokers pass on take a part of a second.
#[must_use]
pub fn digest_of(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// The message as far as it can be parked. `refused`: why it could not be parked whole; `digest`: of its body.
#[must_use]
pub fn stub(message: &Message, refusal: &Refusal<'_>, cut: Cut, refused: &str, digest: &str) -> Message {
    let from = &message.properties;
    let mut headers = from.headers.clone();
    part_with_routes(&mut headers);
    let all = headers.len();
    let mut headers = fitting(headers, cut);
    let left_out = all - headers.len();
    let (verdict, reason) = (start_of(refusal.verdict, WORDS_BYTES_MAX), start_of(refusal.reason, WORDS_BYTES_MAX));
    mark(&mut headers, &Refusal { verdict, reason, ..*refusal });
    let mut put = |name: &'static str, value| drop(headers.insert(name.into(), value));
    put(CUT, HeaderValue::Text(start_of(refused, WORDS_BYTES_MAX).to_owned()));
    put(BYTES, HeaderValue::Integer(i64::try_from(message.body.len()).unwrap_or(i64::MAX)));
    put(SHA256, HeaderValue::Text(digest.to_owned()));
    if left_out > 0 {
        put(LEFT_OUT, HeaderValue::Integer(i64::try_from(left_out).unwrap_or(i64::MAX)));
    }
    let short = |text: &Option<String>| text.clone().filter(|text| fits(text));
    let word = |text: &Option<Text>| text.clone().filter(|text| fits(text));
    Message {
        body: message.body[..message.body.len().min(cut.body_bytes())].to_vec(),
        properties: Properties {
            content_type: word(&from.content_type),
            content_encoding: word(&from.content_encoding),
            reply_to: short(&from.reply_to),
            correlation_id: short(&from.correlation_id),
            message_id: short(&from.message_id),
            app_id: word(&from.app_id),
            kind: word(&from.kind),
            user_id: None,
            timestamp: from.timestamp,
            expiration: None,
            priority: from.priority,
            persistent: true,
            headers,
        },
    }
}

fn fits(text: &str) -> bool {
    text.len() <= limits::AMQP_SHORT_STRING_MAX
}

/// Those that say most, then the shortest. Tables and arrays are left out.
fn fitting(mut headers: Headers, cut: Cut) -> Headers {
    let mut kept = Headers::new();
    let mut room = cut.headers_bytes();
    let mut keep = |name: Text, value: HeaderValue| {
        let bytes = match &value {
            HeaderValue::Text(text) if text.len() <= VALUE_BYTES_MAX => text.len(),
            HeaderValue::Text(_) | HeaderValue::Json(_) => return,
            HeaderValue::Integer(_) | HeaderValue::Double(_) | HeaderValue::Boolean(_) => 8,
        };
        if fits(&name)
            && let Some(left) = room.checked_sub(name.len() + bytes + 6)
        {
            room = left;
            kept.insert(name, value);
        }
    };
    for name in FIRST {
        if let Some((name, value)) = headers.remove_entry(name) {
            keep(name, value);
        }
    }
    if cut == Cut::Stub {
        let mut others: Vec<(Text, HeaderValue)> = headers.into_iter().collect();
        others.sort_by_key(|(name, value)| name.len() + value.as_text().map_or(8, str::len));
        for (name, value) in others {
            keep(name, value);
        }
    }
    kept
}

/// So much of a text as fits, whole characters.
fn start_of(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
