//! A message, and where it goes, as values: what all adapters and the wire form share.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;

/// The fields of a task's message. Each field costs the broker processor time, however short it is
/// (docs/BENCHMARKS.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskHeaders {
    /// All that a worker, a log or a person may want to know.
    #[default]
    Full,
    /// The needs of an answer: the token, which answer ends the task, how long it waits, and the trace.
    Lean,
}

/// A message as AMQP 0-9-1 has it; names are those of the protocol.
#[derive(Clone, Default, PartialEq)]
pub struct Message {
    pub body: Vec<u8>,
    pub properties: Properties,
}

impl fmt::Debug for Message {
    /// The body is a payload, which no log shows: its length only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("body_bytes", &self.body.len()).field("properties", &self.properties).finish()
    }
}

/// A name or property of a message: mostly one of our own words, which needs no copy.
pub type Text = Cow<'static, str>;
pub type Headers = BTreeMap<Text, HeaderValue>;

#[derive(Clone, Default, PartialEq)]
pub struct Properties {
    pub content_type: Option<Text>,
    /// Mostly absent; `gzip` and such where a client compresses.
    pub content_encoding: Option<Text>,
    pub reply_to: Option<String>,
    pub correlation_id: Option<String>,
    pub message_id: Option<String>,
    pub app_id: Option<Text>,
    /// AMQP `type`.
    pub kind: Option<Text>,
    pub user_id: Option<String>,
    pub timestamp: Option<Timestamp>,
    /// Per-message time to live.
    pub expiration: Option<Duration>,
    pub priority: Option<u8>,
    /// `delivery_mode` 2.
    pub persistent: bool,
    pub headers: Headers,
}

impl fmt::Debug for Properties {
    /// `correlation_id` and the header `task-token` may hold a token, and header values are a user's: only that they
    /// are there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Properties")
            .field("kind", &self.kind)
            .field("reply_to", &self.reply_to)
            .field("message_id", &self.message_id)
            .field("expiration", &self.expiration)
            .field("has_correlation_id", &self.correlation_id.is_some())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The header types that we read and write; others come in as their text.
#[derive(Debug, Clone, PartialEq)]
pub enum HeaderValue {
    Text(String),
    Integer(i64),
    Double(f64),
    Boolean(bool),
    /// A table or an array, as JSON.
    Json(serde_json::Value),
}

impl HeaderValue {
    /// The value where it is a text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(t) => Some(t),
            _ => None,
        }
    }
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Empty: the default exchange.
    pub exchange: String,
    pub routing_key: String,
}
