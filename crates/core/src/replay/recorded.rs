//! A recorded execution: its history as the API shows it, and which of its events came from outside.

use serde_json::Value;

use super::{machine_of, realm_of};
use crate::clock::{Timestamp, parse_rfc3339};
use crate::ids::{Arn, EventId, Realm};
use crate::interpreter::event::Failure;
use crate::interpreter::stimulus::StimulusKind;
use crate::payload::Payload;

/// An execution as its record tells of it.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub arn: Arn,
    pub(super) realm: Realm,
    pub(super) name: String,
    pub(super) machine: Arn,
    pub(super) machine_name: String,
    pub(super) version_arn: Option<Arn>,
    pub(super) alias_arn: Option<Arn>,
    pub(super) role_arn: String,
    pub(super) input: Payload,
    pub(super) started_at: Timestamp,
    pub(super) is_open: bool,
    pub(super) events: Vec<RecordedEvent>,
}

/// Why a record cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the history has no events")]
    Empty,
    #[error("the history begins with {0}, not with ExecutionStarted: it is not whole, or in the reverse order")]
    NoStart(String),
    #[error("event {0} has no data; a history is needed with includeExecutionData")]
    NoData(u64),
    #[error("it is a child of a Distributed Map, whose place in the definition its history does not tell")]
    Child,
    #[error("event {0} has no time that can be read")]
    NoTime(u64),
}

#[derive(Debug, Clone)]
pub(super) struct RecordedEvent {
    pub shown: Value,
    pub at: Timestamp,
}

/// The stimuli from outside.
pub(super) enum Outside {
    Stimulus(StimulusKind),
    /// Why the history does not tell it.
    Unknown(&'static str),
}

impl Recorded {
    /// Reads a history, in its order, with its data. `arn` is the execution's, where it is known.
    ///
    /// # Errors
    /// The parts that the record lacks.
    pub fn read(arn: Option<&str>, history: &[Value]) -> Result<Self, Unreadable> {
        let first = history.first().ok_or(Unreadable::Empty)?;
        if first["type"] != "ExecutionStarted" {
            return Err(Unreadable::NoStart(first["type"].as_str().unwrap_or("nothing").to_owned()));
        }
        let details = &first["executionStartedEventDetails"];
        let text = |name: &str| details[name].as_str();
        let input = text("input").and_then(|input| Payload::parse(input).ok()).ok_or(Unreadable::NoData(1))?;
        let events = history.iter().map(RecordedEvent::of).collect::<Result<Vec<_>, _>>()?;
        let arn = Arn::new(arn.unwrap_or("arn:aws:states:us-east-1:123456789012:execution:replay:replay"));
        let (machine, machine_name) = machine_of(&arn).unwrap_or_else(|| (Arn::new(""), String::new()));
        if machine_name.contains('/') {
            return Err(Unreadable::Child);
        }
        let ends = ["ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"];
        let is_open = !history.last().is_some_and(|last| ends.iter().any(|end| last["type"] == *end));
        Ok(Self {
            realm: realm_of(arn.as_str()),
            name: arn.last().to_owned(),
            machine,
            machine_name,
            version_arn: text("stateMachineVersionArn").map(Arn::new),
            alias_arn: text("stateMachineAliasArn").map(Arn::new),
            role_arn: text("roleArn").unwrap_or_default().to_owned(),
            input,
            started_at: events[0].at,
            is_open,
            arn,
            events,
        })
    }
}

impl RecordedEvent {
    fn of(shown: &Value) -> Result<Self, Unreadable> {
        let id = shown["id"].as_u64().unwrap_or_default();
        let at = match &shown["timestamp"] {
            // Millis are whole numbers below 2^53.
            #[expect(clippy::cast_possible_truncation, reason = "a time in this era")]
            Value::Number(seconds) => seconds.as_f64().map(|s| Timestamp::from_millis((s * 1_000.0).round() as i64)),
            Value::String(text) => parse_rfc3339(text).ok().map(|at| Timestamp::from_millis(at.as_millisecond())),
            _ => None,
        };
        Ok(Self { shown: shown.clone(), at: at.ok_or(Unreadable::NoTime(id))? })
    }

    pub fn is_timeout(&self) -> bool {
        self.kind().ends_with("TimedOut")
    }

    fn kind(&self) -> &str {
        self.shown["type"].as_str().unwrap_or_default()
    }

    fn details(&self) -> &Value {
        let is_details = |(name, _): &(&String, &Value)| name.ends_with("EventDetails");
        self.shown
            .as_object()
            .and_then(|event| event.iter().find(is_details))
            .map_or(&Value::Null, |(_, details)| details)
    }

    /// The event as something that came from outside; `None`: it follows from the events before it, or from time.
    pub fn outside(&self, all: &[Self]) -> Option<Outside> {
        let details = self.details();
        let failure = || Failure {
            error: details["error"].as_str().map(str::to_owned),
            cause: details["cause"].as_str().map(str::to_owned),
            heartbeat: false,
        };
        let kind = self.kind();
        let stimulus = match kind {
            "ExecutionAborted" => StimulusKind::Stop(failure()),
            "ExecutionRedriven" => StimulusKind::Redrive { token: None },
            "MapRunSucceeded" | "MapRunFailed" | "MapRunRedriven" => {
                return Some(Outside::Unknown("the history does not tell the results of a Distributed Map"));
            }
            _ => {
                let how = ["Task", "LambdaFunction", "Activity"].iter().find_map(|family| kind.strip_prefix(family))?;
                let scheduled = self.scheduled(all)?;
                let output = || details["output"].as_str().and_then(|text| Payload::parse(text).ok());
                let with_output = |make: &dyn Fn(Payload) -> StimulusKind| match output() {
                    Some(output) => Outside::Stimulus(make(output)),
                    None => Outside::Unknown("the history does not tell the result of a task"),
                };
                match how {
                    "Started" => StimulusKind::TaskStarted {
                        scheduled,
                        worker_name: details["workerName"].as_str().map(str::to_owned),
                    },
                    "Submitted" => {
                        return Some(with_output(&|receipt| StimulusKind::Dispatched {
                            scheduled,
                            receipt,
                            completes: false,
                        }));
                    }
                    "Succeeded" => {
                        return Some(with_output(&|output| StimulusKind::TaskSucceeded {
                            scheduled,
                            output,
                            by: None,
                            link: None,
                        }));
                    }
                    "Failed" => StimulusKind::TaskFailed { scheduled, failure: failure(), by: None, link: None },
                    "SubmitFailed" | "StartFailed" | "ScheduleFailed" => {
                        StimulusKind::DispatchFailed { scheduled, failure: failure() }
                    }
                    _ => return None,
                }
            }
        };
        Some(Outside::Stimulus(stimulus))
    }

    /// The event that scheduled this one's task.
    fn scheduled(&self, all: &[Self]) -> Option<EventId> {
        let mut at = self;
        // Each is earlier than the one before it, so this ends.
        loop {
            let previous = at.shown["previousEventId"].as_u64().filter(|id| Some(*id) < at.shown["id"].as_u64())?;
            at = all.get(usize::try_from(previous).ok()?.checked_sub(1)?)?;
            if at.kind().ends_with("Scheduled") {
                return Some(EventId(previous));
            }
            if at.kind().ends_with("StateEntered") {
                return None;
            }
        }
    }
}
