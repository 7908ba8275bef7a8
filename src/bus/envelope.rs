//! The wire form of a task, a reply and a verdict (DESIGN section 4). Pure functions over [`Message`]; no I/O, no
//! clock.
//!
//! ```text
//! TaskMessage ── into_message ──▶ queue ──▶ worker ──▶ reply queue ──▶ Reply::decode ──▶ engine
//!                                             ▲                                            │
//!                                             └─── the worker's own reply_to ◀── verdict ──┘
//! ```
//!
//! A token is a secret: [`Reply`], [`ReplyDefect`] and [`TaskMessage`] show that there is one, never which.

pub mod form;
mod reply;
mod tell;

use std::fmt;
use std::time::Duration;

use serde_json::json;

use super::{Address, HeaderValue, Headers, Message, Names, Properties, TaskHeaders, Text};
use crate::clock::Timestamp;
use crate::ids::Arn;

pub use reply::{DefectKind, Reply, ReplyDefect, ReplyOutcome, token, traceparent, tracestate};
pub use tell::{Signs, Tell, TellAnswer, TellDefect};

/// Header with the token, in tasks and in replies.
pub const TASK_TOKEN: &str = "task-token";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
pub const TRACESTATE: &str = "tracestate";
/// Header of a reply: `success` (default), `failure`, `heartbeat`.
pub const TASK_STATUS: &str = "task-status";
/// Header of a task that wants an answer: which one ends it.
pub const TASK_KIND: &str = "task-kind";
/// A verdict is news for a worker that waits for it now. It must not pile up in a queue without a consumer.
const VERDICT_EXPIRATION: Duration = Duration::from_mins(10);

/// The answer that ends a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// The first reply.
    Request,
    /// A reply with the token, later, from anywhere.
    Callback,
}

impl TaskKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Callback => "callback",
        }
    }
}

/// The message of one task.
#[derive(Clone, PartialEq)]
pub struct TaskMessage {
    /// The payload: JSON text unless `content_type` says otherwise.
    pub body: Vec<u8>,
    /// `None`: `application/json`.
    pub content_type: Option<Text>,
    /// `None` for a message that expects no answer (a plain publish).
    pub token: Option<String>,
    /// Told with the token.
    pub task_kind: TaskKind,
    /// As the definition has it.
    pub resource: String,
    /// The time in which the task wants its next heartbeat.
    pub heartbeat_seconds: Option<u64>,
    pub reply_to: Option<String>,
    /// The same in every copy of one task, so that a consumer can tell a second copy from a second task.
    pub message_id: String,
    pub at: Timestamp,
    pub execution: Arn,
    pub state_machine: Arn,
    pub state_name: String,
    pub attempt: u32,
    /// When the engine stops waiting.
    pub deadline: Option<Timestamp>,
    /// The rest of the timeout: the broker drops (or dead-letters) the task after it.
    pub expiration: Option<Duration>,
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
    pub priority: Option<u8>,
    pub user_id: Option<String>,
    /// AMQP `type`; `None`: `task`.
    pub kind: Option<Text>,
    /// The user's own headers. Where a name is one of the engine's, the engine's value wins: a worker can rely on it.
    pub headers: Headers,
}

impl fmt::Debug for TaskMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskMessage")
            .field("execution", &self.execution)
            .field("state_name", &self.state_name)
            .field("attempt", &self.attempt)
            .field("message_id", &self.message_id)
            .field("has_token", &self.token.is_some())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl TaskMessage {
    /// The message as AMQP carries it.
    #[must_use]
    pub fn into_message(self, fields: TaskHeaders) -> Message {
        let full = fields == TaskHeaders::Full;
        let mut headers = self.headers;
        let mut put = |name: &'static str, value: HeaderValue| {
            headers.insert(name.into(), value);
        };
        if full {
            put("execution-arn", HeaderValue::Text(self.execution.as_str().to_owned()));
            put("state-machine-arn", HeaderValue::Text(self.state_machine.as_str().to_owned()));
            put("state-name", HeaderValue::Text(self.state_name));
            put("resource", HeaderValue::Text(self.resource));
            put("attempt", HeaderValue::Integer(i64::from(self.attempt)));
        }
        if let Some(deadline) = self.deadline {
            put("deadline", HeaderValue::Text(deadline.iso()));
        }
        if let Some(traceparent) = self.traceparent {
            put(TRACEPARENT, HeaderValue::Text(traceparent));
        }
        if let Some(tracestate) = self.tracestate {
            put(TRACESTATE, HeaderValue::Text(tracestate));
        }
        if let Some(token) = &self.token {
            put(TASK_TOKEN, HeaderValue::Text(token.clone()));
            put(TASK_KIND, HeaderValue::Text(self.task_kind.as_str().to_owned()));
            if let Some(seconds) = self.heartbeat_seconds.and_then(|seconds| i64::try_from(seconds).ok()) {
                put("heartbeat-seconds", HeaderValue::Integer(seconds));
            }
        }
        Message {
            body: self.body,
            properties: Properties {
                content_type: Some(self.content_type.unwrap_or("application/json".into())),
                content_encoding: None,
                reply_to: self.reply_to,
                correlation_id: self.token,
                message_id: Some(self.message_id),
                app_id: full.then(|| "reveille".into()),
                kind: self.kind.or_else(|| full.then(|| "task".into())),
                user_id: self.user_id,
                timestamp: full.then_some(self.at),
                expiration: self.expiration,
                priority: self.priority,
                persistent: true,
                headers,
            },
        }
    }
}

/// The outcome of a reply, for the worker that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    Accepted,
    Duplicate,
    Late,
    Unknown,
    Forged,
    InvalidOutput,
    TooLarge,
}

impl Verdict {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Unknown => "unknown",
            Self::Forged => "forged",
            Self::InvalidOutput => "invalid-output",
            Self::TooLarge => "too-large",
        }
    }
}

impl From<DefectKind> for Verdict {
    fn from(kind: DefectKind) -> Self {
        match kind {
            DefectKind::MissingToken => Self::Unknown,
            DefectKind::InvalidOutput => Self::InvalidOutput,
            DefectKind::TooLarge => Self::TooLarge,
        }
    }
}

/// The verdict on a reply, for the reply's own `reply_to`; `None` where the reply names no receiver. A reply queue is
/// no receiver: the verdict would come in as a reply, be refused, and its verdict come in again, for ever.
#[must_use]
pub fn verdict(
    names: &Names,
    reply_to: Option<&str>,
    correlation_id: Option<&str>,
    verdict: Verdict,
    detail: &str,
) -> Option<(Address, Message)> {
    let to = reply_to.filter(|to| !to.is_empty() && !names.is_reply_queue(to))?;
    let body = json!({"verdict": verdict.as_str(), "detail": detail}).to_string().into_bytes();
    let properties = Properties {
        content_type: Some("application/json".into()),
        correlation_id: correlation_id.map(str::to_owned),
        app_id: Some("reveille".into()),
        kind: Some("task.verdict".into()),
        expiration: Some(VERDICT_EXPIRATION),
        ..Properties::default()
    };
    Some((Address { exchange: String::new(), routing_key: to.to_owned() }, Message { body, properties }))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::limits;

    fn reply(body: &str, headers: &[(&str, &str)]) -> Message {
        Message {
            body: body.as_bytes().to_vec(),
            properties: Properties {
                correlation_id: Some("secret-token".to_owned()),
                headers: headers
                    .iter()
                    .map(|(k, v)| ((*k).to_owned().into(), HeaderValue::Text((*v).to_owned())))
                    .collect(),
                ..Properties::default()
            },
        }
    }

    fn task() -> TaskMessage {
        TaskMessage {
            body: b"{}".to_vec(),
            content_type: None,
            token: Some("secret-token".to_owned()),
            task_kind: TaskKind::Callback,
            resource: "arn:r".to_owned(),
            heartbeat_seconds: Some(30),
            reply_to: Some(Names::shipped().replies(crate::ids::PartitionId(3))),
            message_id: "m-1".to_owned(),
            at: Timestamp::from_millis(1_700_000_000_000),
            execution: Arn::new("arn:e"),
            state_machine: Arn::new("arn:m"),
            state_name: "Hire".to_owned(),
            attempt: 2,
            deadline: Some(Timestamp::from_millis(1_700_000_060_000)),
            expiration: Some(Duration::from_mins(1)),
            traceparent: None,
            tracestate: None,
            priority: None,
            user_id: None,
            kind: None,
            headers: Headers::new(),
        }
    }

    fn success_of(value: Value) -> ReplyOutcome {
        ReplyOutcome::Success { output: value.into() }
    }

    fn failure_of(error: &str, cause: &str) -> ReplyOutcome {
        ReplyOutcome::Failure { error: error.to_owned(), cause: cause.to_owned() }
    }

    #[test]
    fn a_task_carries_the_token_twice_and_the_contracts_headers() {
        let message = task().into_message(TaskHeaders::Full);
        let p = &message.properties;
        assert_eq!(p.correlation_id.as_deref(), Some("secret-token"));
        assert_eq!(p.headers[TASK_TOKEN], HeaderValue::Text("secret-token".to_owned()));
        assert_eq!(p.reply_to.as_deref(), Some("reveille.replies.3"));
        assert_eq!(p.content_type.as_deref(), Some("application/json"));
        assert_eq!((p.app_id.as_deref(), p.kind.as_deref(), p.persistent), (Some("reveille"), Some("task"), true));
        assert_eq!(p.headers["attempt"], HeaderValue::Integer(2));
        assert_eq!(p.headers["task-kind"], HeaderValue::Text("callback".to_owned()));
        assert_eq!(p.headers["resource"], HeaderValue::Text("arn:r".to_owned()));
        assert_eq!(p.headers["heartbeat-seconds"], HeaderValue::Integer(30));
        let plain = TaskMessage { token: None, ..task() }.into_message(TaskHeaders::Full);
        assert!(!plain.properties.headers.contains_key("task-kind"), "no answer ends it");
        assert_eq!(p.headers["deadline"], HeaderValue::Text("2023-11-14T22:14:20.000Z".to_owned()));
        assert_eq!(p.headers["execution-arn"], HeaderValue::Text("arn:e".to_owned()));
    }

    #[test]
    fn a_lean_task_has_what_an_answer_needs_and_what_its_machine_gave() {
        let lean = |task: TaskMessage| task.into_message(TaskHeaders::Lean).properties;
        let p = lean(TaskMessage { traceparent: Some("00-t".to_owned()), heartbeat_seconds: None, ..task() });
        assert_eq!(
            p.headers.keys().map(|k| &**k).collect::<Vec<_>>(),
            ["deadline", TASK_KIND, TASK_TOKEN, TRACEPARENT]
        );
        assert_eq!((p.app_id, p.kind, p.timestamp), (None, None, None));
        assert_eq!((p.correlation_id.as_deref(), p.message_id.as_deref()), (Some("secret-token"), Some("m-1")));
        assert!(p.reply_to.is_some() && p.persistent && p.expiration.is_some() && p.content_type.is_some());
        assert!(lean(task()).headers.contains_key("heartbeat-seconds"), "a worker could not know when to beat");
        let mut own = TaskMessage { kind: Some("order".into()), ..task() };
        own.headers.insert("tenant".into(), HeaderValue::Text("a".to_owned()));
        let p = lean(own);
        assert_eq!((p.kind.as_deref(), &p.headers["tenant"]), (Some("order"), &HeaderValue::Text("a".to_owned())));
    }

    #[test]
    fn a_users_header_cannot_replace_the_engines() {
        let mut t = task();
        t.headers.insert(TASK_TOKEN.into(), HeaderValue::Text("mine".to_owned()));
        t.headers.insert("tenant".into(), HeaderValue::Text("a".to_owned()));
        let message = t.into_message(TaskHeaders::Full);
        assert_eq!(message.properties.headers[TASK_TOKEN], HeaderValue::Text("secret-token".to_owned()));
        assert_eq!(message.properties.headers["tenant"], HeaderValue::Text("a".to_owned()));
    }

    #[test]
    fn what_a_reply_says() {
        let cases: Vec<(&str, Message, ReplyOutcome)> = vec![
            ("no status is a success", reply(r#"{"a":1}"#, &[]), success_of(json!({"a": 1}))),
            ("an empty body is null", reply("", &[]), success_of(Value::Null)),
            ("a scalar", reply("7", &[(TASK_STATUS, "success")]), success_of(json!(7))),
            ("a heartbeat has no body to read", reply("what?", &[(TASK_STATUS, "heartbeat")]), ReplyOutcome::Heartbeat),
            (
                "step functions' shape",
                reply(r#"{"error":"E","cause":"C"}"#, &[(TASK_STATUS, "failure")]),
                failure_of("E", "C"),
            ),
            (
                "lambda's shape",
                reply(r#"{"errorType":"T","errorMessage":"M"}"#, &[(TASK_STATUS, "failure")]),
                failure_of("T", "M"),
            ),
            (
                "lambda's stack trace is not lost",
                reply(r#"{"errorType":"T","errorMessage":"M","stackTrace":["a"]}"#, &[(TASK_STATUS, "failure")]),
                failure_of("T", r#"{"errorType":"T","errorMessage":"M","stackTrace":["a"]}"#),
            ),
            ("headers", reply("", &[(TASK_STATUS, "failure"), ("error", "E"), ("cause", "C")]), failure_of("E", "C")),
            (
                "headers win over the body",
                reply(r#"{"error":"x"}"#, &[(TASK_STATUS, "failure"), ("error", "E")]),
                failure_of("E", ""),
            ),
            ("text is a cause", reply("it broke", &[(TASK_STATUS, "failure")]), failure_of("", "it broke")),
            (
                "an unknown object is a cause",
                reply(r#"{"x":1}"#, &[(TASK_STATUS, "failure")]),
                failure_of("", r#"{"x":1}"#),
            ),
            (
                "a cause that is an object",
                reply(r#"{"error":"E","cause":{"x":1}}"#, &[(TASK_STATUS, "failure")]),
                failure_of("E", r#"{"x":1}"#),
            ),
            ("nothing at all", reply("", &[(TASK_STATUS, "failure")]), failure_of("", "")),
            ("an empty status is none", reply("1", &[(TASK_STATUS, "")]), success_of(json!(1))),
            ("a byte order mark", reply("\u{feff}[1]", &[]), success_of(json!([1]))),
            (
                "a failure with a byte order mark",
                reply("\u{feff}{\"error\":\"E\"}", &[(TASK_STATUS, "failure")]),
                failure_of("E", ""),
            ),
        ];
        for (what, message, expected) in cases {
            assert_eq!(Reply::decode(&message).expect(what).outcome, expected, "{what}");
        }
    }

    #[test]
    fn the_header_is_the_token_where_both_are_there() {
        assert_eq!(Reply::decode(&reply("1", &[(TASK_TOKEN, "from-header")])).expect("reply").token, "from-header");
        assert_eq!(Reply::decode(&reply("1", &[])).expect("reply").token, "secret-token");
    }

    #[test]
    fn what_cannot_be_used() {
        let long = "x".repeat(limits::PAYLOAD_BYTES_MAX);
        let error = "e".repeat(limits::ERROR_CHARS_MAX + 1);
        let cause = "c".repeat(limits::CAUSE_CHARS_MAX + 1);
        let deep = "[".repeat(200) + &"]".repeat(200);
        let cases: Vec<(&str, Message, DefectKind)> = vec![
            ("not JSON", reply("{", &[]), DefectKind::InvalidOutput),
            ("two documents", reply("1 2", &[]), DefectKind::InvalidOutput),
            ("nested too deep", reply(&deep, &[]), DefectKind::InvalidOutput),
            ("another status", reply("1", &[(TASK_STATUS, "done")]), DefectKind::InvalidOutput),
            ("output too large", reply(&format!("\"{long}\""), &[]), DefectKind::TooLarge),
            ("error too long", reply("", &[(TASK_STATUS, "failure"), ("error", &error)]), DefectKind::TooLarge),
            ("cause too long", reply(&cause, &[(TASK_STATUS, "failure")]), DefectKind::TooLarge),
        ];
        for (what, message, kind) in cases {
            let defect = Reply::decode(&message).expect_err(what);
            assert_eq!((defect.kind, defect.token.as_deref()), (kind, Some("secret-token")), "{what}");
        }
        let mut none = reply("1", &[]);
        none.properties.correlation_id = None;
        let defect = Reply::decode(&none).expect_err("no token");
        assert_eq!((defect.kind, defect.token), (DefectKind::MissingToken, None));
    }

    #[test]
    fn headers_of_other_types_say_what_they_say() {
        let mut message = reply("1", &[]);
        let mut with = |name: &'static str, value: HeaderValue| {
            message.properties.headers.insert(name.into(), value);
            message.clone()
        };
        let void = HeaderValue::Json(Value::Null);
        let outcome = |message: Message| Reply::decode(&message).expect("a reply").outcome;
        assert_eq!(outcome(with(TASK_STATUS, void.clone())), success_of(json!(1)));
        with(TASK_STATUS, HeaderValue::Text("failure".to_owned()));
        with("error", HeaderValue::Integer(503));
        assert_eq!(outcome(with("cause", HeaderValue::Json(json!({"a": 1})))), failure_of("503", r#"{"a":1}"#));
        with("cause", void.clone());
        assert_eq!(outcome(with("error", HeaderValue::Boolean(false))), failure_of("false", "1"));
        for empty in [HeaderValue::Text(String::new()), HeaderValue::Text(" ".to_owned()), void] {
            let message = with(TASK_TOKEN, empty);
            assert_eq!(Reply::decode(&message).expect("a reply").token, "secret-token", "it hides none");
        }
    }

    #[test]
    fn invalid_utf8_is_an_invalid_output_and_a_readable_cause() {
        let mut message = reply("", &[]);
        message.body = vec![b'"', 0xff, b'"'];
        assert_eq!(Reply::decode(&message).expect_err("not UTF-8").kind, DefectKind::InvalidOutput);
        message.properties.headers.insert(TASK_STATUS.into(), HeaderValue::Text("failure".to_owned()));
        assert_eq!(Reply::decode(&message).expect("failure").outcome, failure_of("", "\"\u{fffd}\""));
    }

    #[test]
    fn a_cause_of_the_full_length_in_the_widest_escapes_is_accepted() {
        let cause = "\\ud83d\\ude00".repeat(limits::CAUSE_CHARS_MAX);
        let message = reply(&format!(r#"{{"cause":"{cause}"}}"#), &[(TASK_STATUS, "failure")]);
        let ReplyOutcome::Failure { cause, .. } = Reply::decode(&message).expect("reply").outcome else {
            panic!("a failure")
        };
        assert_eq!(cause.chars().count(), limits::CAUSE_CHARS_MAX);
    }

    #[test]
    fn a_verdict_goes_to_the_workers_queue_and_never_into_ours() {
        let names = Names::shipped();
        let (to, message) =
            verdict(names, Some("worker.inbox"), Some("secret-token"), Verdict::Late, "the task has ended")
                .expect("verdict");
        assert_eq!((to.exchange.as_str(), to.routing_key.as_str()), ("", "worker.inbox"));
        assert_eq!(message.properties.kind.as_deref(), Some("task.verdict"));
        assert_eq!(message.properties.correlation_id.as_deref(), Some("secret-token"));
        assert_eq!(
            serde_json::from_slice::<Value>(&message.body).expect("JSON"),
            json!({"verdict": "late", "detail": "the task has ended"})
        );
        assert_eq!(verdict(names, Some("reveille.replies.0"), None, Verdict::Late, ""), None);
        assert_eq!(verdict(names, None, None, Verdict::Late, ""), None);
    }

    #[test]
    fn no_debug_output_and_no_error_shows_a_token() {
        let ok = Reply::decode(&reply("{}", &[(TASK_TOKEN, "secret-header")])).expect("reply");
        let defect = Reply::decode(&reply("secret-token", &[(TASK_TOKEN, "secret-header")])).expect_err("not JSON");
        let shown = format!("{ok:?} {defect:?} {defect} {:?} {:?}", task(), task().into_message(TaskHeaders::Full));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
