//! `--mock FILE`: answers for tasks by the name of their state, in the shape of `TestState`'s mocks.
//!
//! The engine asks before it sends a task out, so every kind of task has its mock: what goes to a queue or a topic,
//! child executions, calls of this service itself, and the tasks of a Distributed Map's children.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use super::CliError;
use crate::asl::resource::Resource;
use crate::engine::Completion;
use crate::engine::stand_in::{Asked, StandIn, Word};
use crate::ids::ExecutionId;
use crate::integrations::shapes::{self, Validation};
use crate::interpreter::event::{Failure, FrameId, Payload};

/// The mocks of all states that have none of their own.
const DEFAULT: &str = "*";
const SHAPE: &str = "a mock is {\"STATE\": {\"result\": …}} or {\"STATE\": {\"errorOutput\": {\"error\": …, \"cause\": \
    …}}}, \
                     or a list of them, one for each call; the state \"*\" stands for all others";

/// One file of mocks, and how far its lists have been used.
#[derive(Debug, Default)]
pub(super) struct Mocks {
    /// The answers of each state, one for each call; the last one stays.
    answers: HashMap<String, Vec<Mock>>,
    /// A task without a mock goes out: something outside may work on it.
    others_go_out: bool,
    /// How often each state with a list was called: each iteration and branch counts for itself.
    calls: Mutex<HashMap<(ExecutionId, FrameId, String), usize>>,
    missing: Mutex<Option<Missing>>,
}

/// A task that no mock answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    pub state: String,
    pub resource: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Mock {
    Result(Value),
    Error(ErrorOutput),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorOutput {
    error: Option<String>,
    cause: Option<String>,
}

impl Mocks {
    /// Reads the file; a state that the definition does not have is a typing error.
    pub(super) fn parse(text: &str, definition: &str, others_go_out: bool) -> Result<Self, CliError> {
        let wrong = |why: String| CliError::usage(format!("the mocks cannot be used: {why}")).hint(SHAPE);
        let read: HashMap<String, Value> = serde_json::from_str(text).map_err(|why| wrong(why.to_string()))?;
        let mut states = BTreeMap::new();
        collect(&serde_json::from_str(definition).unwrap_or_default(), &mut states);
        let mut answers = HashMap::new();
        for (name, mocks) in read {
            let state = states.get(&name);
            match state {
                None if name != DEFAULT => {
                    let known = states.keys().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
                    return Err(wrong(format!("there is no state '{name}'; there are: {known}")));
                }
                Some(state) if state.kind != "Task" => {
                    let kind = &state.kind;
                    return Err(wrong(format!("'{name}' is a {kind} state, which runs as it is; mocks are for tasks")));
                }
                _ => {}
            }
            let mocks = match mocks {
                Value::Array(mocks) => mocks,
                one => vec![one],
            };
            if mocks.is_empty() {
                return Err(wrong(format!("'{name}' has an empty list")));
            }
            let resource = state.and_then(|state| state.resource.as_ref());
            let mocks: Result<Vec<Mock>, String> = mocks.into_iter().map(|mock| Mock::read(mock, resource)).collect();
            answers.insert(name.clone(), mocks.map_err(|why| wrong(format!("'{name}': {why}")))?);
        }
        Ok(Self { answers, others_go_out, ..Self::default() })
    }

    /// The first task that had no mock.
    pub(super) fn missing(&self) -> Option<Missing> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pick<'a>(&self, mocks: &'a [Mock], task: Asked<'_>) -> Option<&'a Mock> {
        if mocks.len() < 2 {
            return mocks.first();
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let call = calls.entry((task.execution, task.frame, task.state.to_owned())).or_default();
        *call += 1;
        mocks.get(*call - 1).or(mocks.last())
    }
}

impl StandIn for Mocks {
    fn word(&self, task: Asked<'_>) -> Word {
        let mocks = self.answers.get(task.state).or_else(|| self.answers.get(DEFAULT));
        if let Some(mock) = mocks.and_then(|mocks| self.pick(mocks, task)) {
            return Word::Answer(mock.completion(task.resource));
        }
        if self.others_go_out {
            return Word::Send;
        }
        let missing = Missing { state: task.state.to_owned(), resource: task.resource.to_owned() };
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(missing);
        Word::Withhold
    }
}

impl From<Missing> for CliError {
    fn from(missing: Missing) -> Self {
        let Missing { state, resource } = missing;
        Self::failed(format!("the task of state '{state}' has no mock ({resource})"))
            .hint(format!("give one: {{\"{state}\": {{\"result\": …}}}}, or one for all others under \"{DEFAULT}\""))
    }
}

impl Mock {
    /// `{"result"}` or `{"errorOutput"}`; `fieldValidationMode` holds a result against the service's own shape.
    fn read(mock: Value, resource: Option<&Resource>) -> Result<Self, String> {
        let Value::Object(mut fields) = mock else { return Err("a mock is an object".to_owned()) };
        let mode = fields.remove("fieldValidationMode");
        let mode =
            mode.map(Validation::deserialize).transpose().map_err(|why| format!("fieldValidationMode: {why}"))?;
        let (result, failure) = (fields.remove("result"), fields.remove("errorOutput"));
        if let Some(unknown) = fields.keys().next() {
            return Err(format!(
                "unknown field `{unknown}`, expected `result`, `errorOutput` or `fieldValidationMode`"
            ));
        }
        match (result, failure) {
            (Some(result), None) => {
                // The API takes results as JSON texts; a file may write them plainly.
                let result = match result {
                    Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
                    plain => plain,
                };
                if let (Some(mode), Some(resource)) = (mode, resource) {
                    shapes::check(resource, &result, mode)?;
                }
                Ok(Self::Result(result))
            }
            (None, Some(failure)) => {
                ErrorOutput::deserialize(failure).map(Self::Error).map_err(|why| format!("errorOutput: {why}"))
            }
            _ => Err("a mock has one of `result` and `errorOutput`".to_owned()),
        }
    }

    /// A mock is the whole result of a call; a worker behind `lambda:invoke` says only its `Payload`.
    fn completion(&self, resource: &str) -> Completion {
        match self {
            Self::Error(failure) => Completion::Failure(Failure {
                error: failure.error.clone(),
                cause: failure.cause.clone(),
                heartbeat: false,
            }),
            Self::Result(result) => {
                let payload = result.get("Payload").filter(|_| resource.ends_with(":lambda:invoke"));
                Completion::Success(Payload::new(payload.unwrap_or(result).clone()))
            }
        }
    }
}

/// The facts of a state that a mock needs.
struct Known {
    kind: String,
    resource: Option<Resource>,
}

/// All states by name, nested ones too.
fn collect(value: &Value, found: &mut BTreeMap<String, Known>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Object(states)) = fields.get("States") {
                found.extend(states.iter().map(|(name, state)| (name.clone(), known(state))));
            }
            fields.values().for_each(|inner| collect(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, found)),
        _ => {}
    }
}

fn known(state: &Value) -> Known {
    let text = |name| state.get(name).and_then(Value::as_str).unwrap_or_default();
    Known { kind: text("Type").to_owned(), resource: Resource::parse(text("Resource")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    const DEFINITION: &str = r#"{"StartAt": "A", "States": {"A": {"Type": "Task"}, "P": {"Type": "Pass"},
        "S": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage"}}}"#;

    fn completion(mock: &Value, resource: &str) -> Completion {
        let mocks = Mocks::parse(&json!({"A": mock}).to_string(), DEFINITION, false).unwrap();
        mocks.answers["A"][0].completion(resource)
    }

    #[test]
    fn a_mock_is_a_result_or_an_error() {
        let success = |value: Value| Completion::Success(Payload::new(value));
        for (mock, resource, expected) in [
            (json!({"result": {"a": 1}}), "arn:aws:states:::amqp:call", success(json!({"a": 1}))),
            (json!({"result": "{\"a\": 1}"}), "arn:aws:states:::amqp:call", success(json!({"a": 1}))),
            (json!({"result": "plain"}), "arn:aws:states:::amqp:call", success(json!("plain"))),
            (json!({"result": null}), "arn:aws:states:::amqp:call", success(json!(null))),
            (json!({"result": {"Payload": 7, "StatusCode": 200}}), "arn:aws:states:::lambda:invoke", success(json!(7))),
            (
                json!({"errorOutput": {"error": "E", "cause": "c"}}),
                "arn:aws:states:::amqp:call",
                Completion::Failure(Failure {
                    error: Some("E".to_owned()),
                    cause: Some("c".to_owned()),
                    heartbeat: false,
                }),
            ),
        ] {
            assert_eq!(completion(&mock, resource), expected, "{mock}");
        }
    }

    #[test]
    fn what_cannot_be_a_mock_is_told() {
        for (text, told) in [
            ("[]", "cannot be used"),
            (r#"{"B": {"result": 1}}"#, "there is no state 'B'; there are: A, P, S"),
            (r#"{"P": {"result": 1}}"#, "'P' is a Pass state"),
            (r#"{"A": {"outcome": 1}}"#, "'A': unknown field `outcome`"),
            (r#"{"A": {"result": 1, "errorOutput": {}}}"#, "one of `result` and `errorOutput`"),
            (r#"{"A": {"errorOutput": {"name": 1}}}"#, "unknown field `name`"),
            (r#"{"A": []}"#, "empty list"),
            (r#"{"A": [1]}"#, "a mock is an object"),
            (
                r#"{"S": {"result": {"MessageId": 1}, "fieldValidationMode": "PRESENT"}}"#,
                "Field 'MessageId' must be a string",
            ),
            (r#"{"S": {"result": 1, "fieldValidationMode": "ALL"}}"#, "fieldValidationMode: unknown variant `ALL`"),
        ] {
            let CliError::Usage { message, hint } = Mocks::parse(text, DEFINITION, false).unwrap_err() else {
                panic!("{text}")
            };
            assert!(message.contains(told) && hint.is_some(), "{text}: {message}");
        }
    }

    fn asked(state: &str, frame: u32) -> Asked<'_> {
        let execution = ExecutionId(Uuid::nil());
        Asked { execution, frame: FrameId(frame), state, resource: "arn:aws:states:::amqp:call" }
    }

    #[test]
    fn a_list_answers_call_after_call_in_each_iteration() {
        let text = r#"{"A": [{"result": 1}, {"errorOutput": {"error": "E"}}, {"result": 3}], "*": {"result": 0}}"#;
        let mocks = Mocks::parse(text, DEFINITION, false).unwrap();
        let says = |state, frame| match mocks.word(asked(state, frame)) {
            Word::Answer(Completion::Success(value)) => value.to_string(),
            Word::Answer(Completion::Failure(failure)) => failure.error.unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!([1, 1, 2, 1, 1].map(|frame| says("A", frame)), ["1", "E", "1", "3", "3"]);
        assert_eq!(says("S", 1), "0");
        assert_eq!(mocks.missing(), None);
    }

    #[test]
    fn the_first_task_without_a_mock_is_remembered_or_goes_out() {
        let mocks = Mocks::parse(r#"{"A": {"result": 1}}"#, DEFINITION, false).unwrap();
        assert_eq!(mocks.word(asked("S", 1)), Word::Withhold);
        assert_eq!(mocks.word(asked("T", 1)), Word::Withhold);
        assert_eq!(mocks.missing().unwrap().state, "S");
        let mocks = Mocks::parse(r#"{"A": {"result": 1}}"#, DEFINITION, true).unwrap();
        assert_eq!((mocks.word(asked("S", 1)), mocks.missing()), (Word::Send, None));
    }
}
