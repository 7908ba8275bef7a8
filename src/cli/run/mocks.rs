//! `--mock FILE`: answers for tasks by the name of their state, in the shape of `TestState`'s mocks.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;

use super::CliError;
use crate::engine::{Completion, WaitingTask};
use crate::interpreter::event::{Failure, Payload};

#[derive(Debug, Default)]
pub(super) struct Mocks {
    /// The answers of each state, one for each attempt; the last one stays.
    answers: HashMap<String, Vec<Mock>>,
    given: HashSet<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Mock {
    Result(Value),
    ErrorOutput(ErrorOutput),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorOutput {
    error: Option<String>,
    cause: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    More(Vec<Value>),
    One(Value),
}

impl Mocks {
    /// Reads the file; a state that the definition does not have is a typing error.
    pub(super) fn parse(text: &str, definition: &str) -> Result<Self, CliError> {
        let shape =
            "a mock is {\"STATE\": {\"result\": …}} or {\"STATE\": {\"errorOutput\": {\"error\": …, \"cause\": …}}}";
        let wrong = |why: String| CliError::usage(format!("the mocks cannot be used: {why}")).hint(shape);
        let read: HashMap<String, OneOrMore> = serde_json::from_str(text).map_err(|why| wrong(why.to_string()))?;
        let mut states = BTreeSet::new();
        names(&serde_json::from_str(definition).unwrap_or_default(), &mut states);
        let mut answers = HashMap::new();
        for (state, mocks) in read {
            if !states.contains(&state) {
                let known = states.iter().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(wrong(format!("there is no state '{state}'; there are: {known}")));
            }
            let mocks = match mocks {
                OneOrMore::More(mocks) => mocks,
                OneOrMore::One(mock) => vec![mock],
            };
            let mocks: Result<Vec<Mock>, _> = mocks.into_iter().map(serde_json::from_value).collect();
            let mocks = mocks.map_err(|why| wrong(format!("'{state}': {why}")))?;
            if mocks.is_empty() {
                return Err(wrong(format!("'{state}' has an empty list")));
            }
            answers.insert(state, mocks);
        }
        Ok(Self { answers, given: HashSet::new() })
    }

    /// Tokens and answers of the tasks that have a mock and were not answered yet.
    pub(super) fn due(&mut self, waiting: &[WaitingTask]) -> Vec<(String, Completion)> {
        let mut due = Vec::new();
        for task in waiting.iter().filter(|task| task.submitted) {
            let Some(mocks) = self.answers.get(&task.state) else { continue };
            let attempt = task.attempt.saturating_sub(1) as usize;
            if let Some(mock) = mocks.get(attempt).or(mocks.last())
                && self.given.insert(task.token.clone())
            {
                due.push((task.token.clone(), mock.completion(&task.resource)));
            }
        }
        due
    }
}

impl Mock {
    /// A mock is the whole result of a call; a worker behind `lambda:invoke` says only its `Payload`.
    fn completion(&self, resource: &str) -> Completion {
        match self {
            Self::ErrorOutput(failure) => Completion::Failure(Failure {
                error: failure.error.clone(),
                cause: failure.cause.clone(),
                heartbeat: false,
            }),
            Self::Result(result) => {
                // The API takes results as JSON texts; a file may write them plainly.
                let result = match result {
                    Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| result.clone()),
                    plain => plain.clone(),
                };
                let result = match result {
                    Value::Object(mut fields)
                        if resource.ends_with(":lambda:invoke") && fields.contains_key("Payload") =>
                    {
                        fields.remove("Payload").unwrap_or_default()
                    }
                    whole => whole,
                };
                Completion::Success(Payload::new(result))
            }
        }
    }
}

/// The names of all states, nested ones too.
fn names(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Object(states)) = fields.get("States") {
                found.extend(states.keys().cloned());
            }
            fields.values().for_each(|inner| names(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| names(inner, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DEFINITION: &str = r#"{"StartAt": "A", "States": {"A": {"Type": "Task"}}}"#;

    fn completion(mock: &Value, resource: &str) -> Completion {
        let mocks = Mocks::parse(&json!({"A": mock}).to_string(), DEFINITION).unwrap();
        mocks.answers["A"][0].completion(resource)
    }

    #[test]
    fn a_mock_is_a_result_or_an_error() {
        let success = |value: Value| Completion::Success(Payload::new(value));
        for (mock, resource, expected) in [
            (json!({"result": {"a": 1}}), "arn:aws:states:::amqp:call", success(json!({"a": 1}))),
            (json!({"result": "{\"a\": 1}"}), "arn:aws:states:::amqp:call", success(json!({"a": 1}))),
            (json!({"result": "plain"}), "arn:aws:states:::amqp:call", success(json!("plain"))),
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
            (r#"{"B": {"result": 1}}"#, "there is no state 'B'; there are: A"),
            (r#"{"A": {"outcome": 1}}"#, "'A': unknown variant `outcome`"),
            (r#"{"A": []}"#, "empty list"),
        ] {
            let CliError::Usage { message, hint } = Mocks::parse(text, DEFINITION).unwrap_err() else {
                panic!("{text}")
            };
            assert!(message.contains(told) && hint.is_some(), "{text}: {message}");
        }
    }
}
