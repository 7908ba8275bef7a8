//! A task as its message says it.

use std::fmt;
use std::time::Duration;

use super::reply_to;
use crate::bus::{Address, HeaderValue, Message};

/// Headers of the engine that programs and web services get too.
const TOLD: [&str; 10] = [
    "task-kind",
    "resource",
    "execution-arn",
    "state-machine-arn",
    "state-name",
    "attempt",
    "deadline",
    "traceparent",
    "tracestate",
    "task-token",
];

pub(super) struct Task {
    pub body: Vec<u8>,
    pub content_type: String,
    pub message_id: String,
    pub time: Option<String>,
    headers: Vec<(&'static str, String)>,
    reply_to: Option<String>,
    token: Option<String>,
    heartbeat: Option<Duration>,
}

impl fmt::Debug for Task {
    /// Neither token nor payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

impl Task {
    pub fn of(message: Message) -> Self {
        let Message { body, properties } = message;
        let text = |name: &str| match properties.headers.get(name)? {
            HeaderValue::Text(text) => Some(text.clone()),
            HeaderValue::Integer(number) => Some(number.to_string()),
            _ => None,
        };
        let headers: Vec<_> = TOLD.iter().filter_map(|name| Some((*name, text(name)?))).collect();
        let token = text("task-token").filter(|token| !token.is_empty()).or(properties.correlation_id);
        let seconds = text("heartbeat-seconds").and_then(|seconds| seconds.parse().ok()).filter(|s| *s > 0);
        Self {
            body,
            content_type: properties.content_type.map_or_else(|| "application/json".to_owned(), Into::into),
            message_id: properties.message_id.unwrap_or_default(),
            time: properties.timestamp.map(crate::clock::Timestamp::iso),
            headers,
            reply_to: properties.reply_to.filter(|queue| !queue.is_empty()),
            token,
            heartbeat: seconds.map(Duration::from_secs),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.headers.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The time that its state allows between two heartbeats.
    pub fn heartbeat(&self) -> Option<Duration> {
        self.heartbeat
    }

    /// A reply; `None` for a message that wants none.
    pub fn reply(&self, status: &'static str, body: String) -> Option<(Address, Message)> {
        Some(reply_to(self.reply_to.as_ref()?, self.token.as_ref()?, status, body))
    }
}
