//! The words between nodes, as the body of a message: JSON with its version. A version or a word that the hearer
//! does not know is answered so, and does nothing.
//!
//! An input goes as it is. The row of a child that has ended does not: its hearer reads it in the store.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::delivery::{Applied, Delivered, Input};
use super::error::DeliverError;
use super::request::{Completion, MapRunChange};
use crate::clock::Timestamp;
use crate::ids::{Arn, EventId, ExecutionId, TaskKey};
use crate::interpreter::event::{By, Failure, Payload};
use crate::interpreter::stimulus::{Rejection, StimulusKind};
#[cfg(doc)]
use crate::store::ownership::FORMS_APART_MAX;
use crate::store::{ExecutionStatus, StoreError};
use crate::telemetry::task_log::Face;
use crate::trace::SpanContext;

/// The newest form of bodies, and of records in the store, that this version reads. It writes the newest that all nodes
/// read: its own, or the one before ([`FORMS_APART_MAX`]). 2: batches of journals may be packed in PostgreSQL; its
/// bodies are those of 1.
pub(in crate::engine) const NEWEST: u32 = 2;
/// The oldest form of bodies that it reads.
const OLDEST: u32 = 1;

/// A body with its version. The words of an unknown version are not read.
#[derive(Serialize, Deserialize)]
struct Body<T> {
    v: u32,
    tell: T,
}

#[derive(Deserialize)]
struct Head {
    v: u32,
}

fn encode<T: Serialize>(form: u32, tell: &T) -> Vec<u8> {
    serde_json::to_vec(&Body { v: form, tell }).expect("words and payloads are JSON")
}

fn decode<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Option<T> {
    let Head { v } = serde_json::from_slice(body).ok()?;
    if !(OLDEST..=NEWEST).contains(&v) {
        return None;
    }
    serde_json::from_slice(body).ok().map(|Body { tell, .. }| tell)
}

/// A word for a partition.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::engine) enum Word {
    /// For one execution.
    Input { execution: ExecutionId, input: Told },
    /// `UpdateMapRun`.
    ChangeMapRun { run: Arn, change: MapRunChange },
    /// A child of a run has closed. No answer: the run reads the rows of its children too.
    ChildClosed { run: Arn, child: ExecutionId, status: ExecutionStatus, attempt: u32 },
}

impl Word {
    /// In a form that all nodes read.
    pub fn encode(&self, form: u32) -> Vec<u8> {
        encode(form, self)
    }

    /// `None`: of another version, or unknown.
    pub fn decode(body: &[u8]) -> Option<Self> {
        decode(body)
    }
}

/// A word for a node, in its own queue. It wants no answer, and may be lost.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::engine) enum Aside {
    /// A person looks at the node with this slot, and wants the news of all nodes for a while.
    Looks { slot: u16 },
    /// The changes at its sender a moment ago; `all`: more than is named.
    News { all: bool, news: Vec<Change> },
}

/// The change of one execution.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Change {
    pub execution: ExecutionId,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub status: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
}

impl Aside {
    pub fn encode(&self, form: u32) -> Vec<u8> {
        encode(form, self)
    }

    pub fn decode(body: &[u8]) -> Option<Self> {
        decode(body)
    }
}

/// An input on its way to another node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::engine) enum Told {
    Reply { scheduled: EventId, said: Said, api: bool, by: Option<Box<By>>, link: Option<Box<SpanContext>> },
    Overflowed { scheduled: EventId },
    ChildEnded { scheduled: EventId, child: ExecutionId },
    ChildStopped { scheduled: EventId },
    Follow { task: TaskKey },
    Stop { failure: Failure },
    Redrive { token: Option<Arc<str>> },
    RedriveByRun { attempt: u32 },
    MapRunEnded { started: EventId, result: Result<Payload, Failure> },
    MapRunStopped { started: EventId },
    DispatchFailed { scheduled: EventId, failure: Failure },
    TaskStarted { scheduled: EventId, worker_name: Option<String> },
}

/// A [`Completion`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::engine) enum Said {
    Success(Payload),
    Failure(Failure),
    Heartbeat,
    Unreadable(String),
}

impl Told {
    /// `None`: no node says that to another.
    pub fn of(input: Input) -> Option<Self> {
        Some(match input {
            Input::Reply { scheduled, completion, face, by, link } => {
                let said = match completion {
                    Completion::Success(output) => Said::Success(output),
                    Completion::Failure(failure) => Said::Failure(failure),
                    Completion::Heartbeat => Said::Heartbeat,
                    Completion::Unreadable { why } => Said::Unreadable(why),
                };
                Self::Reply { scheduled, said, api: face == Face::Api, by, link }
            }
            Input::ChildEnded { scheduled, child } => Self::ChildEnded { scheduled, child: child.header.id },
            Input::WriteConfirms => return None,
            Input::Stimulus(kind) => match kind {
                StimulusKind::TaskOverflowed { scheduled } => Self::Overflowed { scheduled },
                StimulusKind::ChildStopped { scheduled } => Self::ChildStopped { scheduled },
                StimulusKind::Follow { task } => Self::Follow { task },
                StimulusKind::Stop(failure) => Self::Stop { failure },
                StimulusKind::Redrive { token } => Self::Redrive { token },
                StimulusKind::RedriveByRun { attempt } => Self::RedriveByRun { attempt },
                StimulusKind::MapRunEnded { started, result } => Self::MapRunEnded { started, result },
                StimulusKind::MapRunStopped { started } => Self::MapRunStopped { started },
                StimulusKind::DispatchFailed { scheduled, failure } => Self::DispatchFailed { scheduled, failure },
                StimulusKind::TaskStarted { scheduled, worker_name } => Self::TaskStarted { scheduled, worker_name },
                StimulusKind::Start(_)
                | StimulusKind::Continue
                | StimulusKind::Clock
                | StimulusKind::Dispatched { .. }
                | StimulusKind::TaskSucceeded { .. }
                | StimulusKind::TaskFailed { .. }
                | StimulusKind::TaskUnreadable { .. }
                | StimulusKind::TaskHeartbeat { .. } => return None,
            },
        })
    }

    /// The input, or the ended child whose row makes it one.
    pub fn into_input(self) -> Heard {
        let stimulus = match self {
            Self::Reply { scheduled, said, api, by, link } => {
                let completion = match said {
                    Said::Success(output) => Completion::Success(output),
                    Said::Failure(failure) => Completion::Failure(failure),
                    Said::Heartbeat => Completion::Heartbeat,
                    Said::Unreadable(why) => Completion::Unreadable { why },
                };
                let face = if api { Face::Api } else { Face::Amqp };
                return Heard::Input(Input::Reply { scheduled, completion, face, by, link });
            }
            Self::ChildEnded { scheduled, child } => return Heard::ChildEnded { scheduled, child },
            Self::Overflowed { scheduled } => StimulusKind::TaskOverflowed { scheduled },
            Self::ChildStopped { scheduled } => StimulusKind::ChildStopped { scheduled },
            Self::Follow { task } => StimulusKind::Follow { task },
            Self::Stop { failure } => StimulusKind::Stop(failure),
            Self::Redrive { token } => StimulusKind::Redrive { token },
            Self::RedriveByRun { attempt } => StimulusKind::RedriveByRun { attempt },
            Self::MapRunEnded { started, result } => StimulusKind::MapRunEnded { started, result },
            Self::MapRunStopped { started } => StimulusKind::MapRunStopped { started },
            Self::DispatchFailed { scheduled, failure } => StimulusKind::DispatchFailed { scheduled, failure },
            Self::TaskStarted { scheduled, worker_name } => StimulusKind::TaskStarted { scheduled, worker_name },
        };
        Heard::Input(Input::Stimulus(stimulus))
    }
}

/// A word for an execution, as its hearer has it.
#[derive(Debug)]
pub(in crate::engine) enum Heard {
    Input(Input),
    /// The row of `child` makes it an input.
    ChildEnded {
        scheduled: EventId,
        child: ExecutionId,
    },
}

/// The answer to a word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::engine) enum Answer {
    Applied {
        at: Timestamp,
    },
    Refused(Why),
    Gone,
    Unreadable {
        why: String,
    },
    Later {
        why: String,
    },
    /// The words of the request cannot be fulfilled: the run has ended, or there is none.
    MapRunEnded,
    NoMapRun,
    /// The hearer does not know this word, or its version.
    NotUnderstood,
}

/// A [`Rejection`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::engine) enum Why {
    Duplicate,
    Late,
    TooLarge,
    Unreadable,
    Unknown,
    NotApplicable(String),
}

/// The core's words for executions to which a stimulus does not apply; another one is of a newer version.
const NOT_APPLICABLE: [&str; 8] = [
    "already started",
    "not started",
    "still running",
    "closed",
    "awaited by as many tasks as may be",
    "succeeded",
    "at the limit of its history",
    "at the limit of its journal",
];

impl From<Rejection> for Why {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Duplicate => Self::Duplicate,
            Rejection::Late => Self::Late,
            Rejection::TooLarge => Self::TooLarge,
            Rejection::Unreadable => Self::Unreadable,
            Rejection::Unknown => Self::Unknown,
            Rejection::NotApplicable(why) => Self::NotApplicable(why.to_owned()),
        }
    }
}

impl From<Why> for Rejection {
    fn from(why: Why) -> Self {
        match why {
            Why::Duplicate => Self::Duplicate,
            Why::Late => Self::Late,
            Why::TooLarge => Self::TooLarge,
            Why::Unreadable => Self::Unreadable,
            Why::Unknown => Self::Unknown,
            Why::NotApplicable(why) => {
                let known = NOT_APPLICABLE.into_iter().find(|known| *known == why);
                Self::NotApplicable(known.unwrap_or("not in a state for this"))
            }
        }
    }
}

impl From<&Delivered> for Answer {
    fn from(delivered: &Delivered) -> Self {
        match delivered {
            Delivered::Applied(Applied { at }) => Self::Applied { at: *at },
            Delivered::Refused(rejection) => Self::Refused((*rejection).into()),
            Delivered::Gone(_) => Self::Gone,
            Delivered::Unreadable(error) => Self::Unreadable { why: error.to_string() },
            Delivered::Later(error) => Self::Later { why: error.to_string() },
        }
    }
}

impl Answer {
    pub fn encode(&self, form: u32) -> Vec<u8> {
        encode(form, self)
    }

    /// An answer of a newer version says nothing to this one.
    pub fn decode(body: &[u8]) -> Self {
        decode(body).unwrap_or(Self::NotUnderstood)
    }

    /// The outcome of an input of `execution`.
    pub fn into_delivered(self, execution: ExecutionId) -> Delivered {
        match self {
            Self::Applied { at } => Delivered::Applied(Applied { at }),
            Self::Refused(why) => Delivered::Refused(why.into()),
            Self::Gone => Delivered::Gone(DeliverError::NoExecution(execution)),
            Self::Unreadable { why } => Delivered::Unreadable(DeliverError::Store(StoreError::Corrupt {
                what: "execution",
                key: execution.to_string(),
                why,
            })),
            Self::Later { why } => Delivered::Later(DeliverError::Busy(why)),
            Self::MapRunEnded | Self::NoMapRun | Self::NotUnderstood => Delivered::Later(DeliverError::Busy(
                "the node that owns this execution runs another version, which does not know this request".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const TASK: EventId = EventId(4);

    fn roundtrip(input: Input) -> Input {
        let word = Word::Input { execution: ExecutionId(uuid::Uuid::from_u128(1)), input: Told::of(input).unwrap() };
        let Some(Word::Input { input, .. }) = Word::decode(&word.encode(NEWEST)) else { panic!("an input") };
        let Heard::Input(input) = input.into_input() else { panic!("not a child's end") };
        input
    }

    #[test]
    fn every_word_comes_in_as_it_went_out() {
        let failure = Failure { error: Some("E".into()), cause: Some("c\u{0}".into()), heartbeat: false };
        let payload = || Payload::parse(r#"{"n":12345678901234567890.10,"t":"ä"}"#).unwrap();
        let stimuli = [
            StimulusKind::TaskOverflowed { scheduled: TASK },
            StimulusKind::ChildStopped { scheduled: TASK },
            StimulusKind::Follow {
                task: TaskKey { execution: ExecutionId(uuid::Uuid::from_u128(9)), scheduled: TASK },
            },
            StimulusKind::Stop(failure.clone()),
            StimulusKind::Redrive { token: Some("t".into()) },
            StimulusKind::Redrive { token: None },
            StimulusKind::RedriveByRun { attempt: 3 },
            StimulusKind::MapRunEnded { started: TASK, result: Ok(payload()) },
            StimulusKind::MapRunEnded { started: TASK, result: Err(failure.clone()) },
            StimulusKind::MapRunStopped { started: TASK },
            StimulusKind::DispatchFailed { scheduled: TASK, failure: failure.clone() },
            StimulusKind::TaskStarted { scheduled: TASK, worker_name: Some("w".into()) },
        ];
        for kind in stimuli {
            let Input::Stimulus(back) = roundtrip(Input::Stimulus(kind.clone())) else { panic!("{kind:?}") };
            assert_eq!(back, kind);
        }
        let completions = [
            Completion::Success(payload()),
            Completion::Failure(failure),
            Completion::Heartbeat,
            Completion::Unreadable { why: "w".into() },
        ];
        for given in completions {
            for from in [Face::Api, Face::Amqp] {
                let by = Some(Box::new(By::Key(Arc::from("k"))));
                let span = SpanContext { trace: 7, span: 8, sampled: true };
                let link = Some(Box::new(span));
                let input =
                    Input::Reply { scheduled: TASK, completion: given.clone(), face: from, by: by.clone(), link };
                let Input::Reply { scheduled, completion, face, by: back, link } = roundtrip(input) else {
                    panic!("a reply")
                };
                assert_eq!((scheduled, &completion, face, back), (TASK, &given, from, by));
                assert_eq!(link.as_deref(), Some(&span));
                if let Completion::Success(output) = completion {
                    assert_eq!(output.text(), payload().text(), "the digits stay");
                }
            }
        }
        assert!(Told::of(Input::WriteConfirms).is_none() && Told::of(Input::Stimulus(StimulusKind::Clock)).is_none());
    }

    #[test]
    fn what_is_not_known_is_not_read() {
        for body in [
            r#"{"v":3,"tell":{"input":{}}}"#,
            r#"{"v":1,"tell":{"dance":{}}}"#,
            r#"{"v":1,"tell":{"input":{"execution":"00000000-0000-0000-0000-000000000001","input":{"jump":{}}}}}"#,
            "{}",
            "no json",
        ] {
            assert!(Word::decode(body.as_bytes()).is_none(), "{body}");
            assert_eq!(Answer::decode(body.as_bytes()), Answer::NotUnderstood, "{body}");
        }
    }

    #[test]
    fn an_answer_says_what_became_of_it() {
        let id = ExecutionId(uuid::Uuid::from_u128(1));
        let back = |delivered: Delivered| Answer::decode(&Answer::from(&delivered).encode(NEWEST)).into_delivered(id);
        let at = Timestamp::from_millis(5);
        assert!(matches!(back(Delivered::Applied(Applied { at })), Delivered::Applied(a) if a.at == at));
        let rejections = NOT_APPLICABLE.map(Rejection::NotApplicable).into_iter().chain([
            Rejection::Duplicate,
            Rejection::Late,
            Rejection::TooLarge,
            Rejection::Unreadable,
            Rejection::Unknown,
        ]);
        for rejection in rejections {
            assert!(matches!(back(Delivered::Refused(rejection)), Delivered::Refused(r) if r == rejection));
        }
        assert!(matches!(back(Delivered::Gone(DeliverError::Closed)), Delivered::Gone(DeliverError::NoExecution(_))));
        assert!(
            matches!(back(Delivered::Unreadable(DeliverError::Closed)), Delivered::Unreadable(e) if e.is_corrupt())
        );
        let later = back(Delivered::Later(DeliverError::Busy("b".into())));
        assert!(matches!(later, Delivered::Later(DeliverError::Busy(why)) if why == "b"));
        assert!(matches!(Answer::NotUnderstood.into_delivered(id), Delivered::Later(_)));
    }
}
