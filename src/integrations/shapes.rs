//! The shapes of the answers of AWS services, to check the mocks of a state under test.
//!
//! Source: `TestState` of the Step Functions API reference (`fieldValidationMode`), texts as recorded on AWS; the
//! shapes are those of the services' own models (`shapes.json`, written by `scripts/service-shapes.py`). A service that
//! is not in the table is not checked.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use crate::asl::resource::{Pattern, Resource, ResourceKind};

/// How strictly a mocked result is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Validation {
    /// Every field that the service always gives is present, and every field fits.
    #[default]
    Strict,
    /// Every present field fits.
    Present,
    /// Nothing is checked.
    None,
}

#[derive(Debug, Deserialize)]
struct Service {
    /// Operation → shape of its output.
    operations: HashMap<String, String>,
    shapes: HashMap<String, Shape>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Shape {
    Structure {
        members: HashMap<String, String>,
        #[serde(default)]
        required: Vec<String>,
    },
    List {
        items: String,
    },
    Map {
        values: String,
    },
    Simple(Simple),
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Simple {
    kind: Kind,
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Kind {
    #[serde(rename = "s")]
    Text,
    #[serde(rename = "n")]
    Number,
    #[serde(rename = "b")]
    Boolean,
}

/// The table. A test reads it, because a broken table would check nothing.
static SERVICES: LazyLock<HashMap<String, Service>> =
    LazyLock::new(|| serde_json::from_str(include_str!("shapes.json")).unwrap_or_default());

/// Checks that a mocked result fits the service's answer.
///
/// # Errors
/// The first field that does not fit, in AWS's words.
pub fn check(resource: &Resource, result: &Value, validation: Validation) -> Result<(), String> {
    let Some((service, operation)) = operation(resource).filter(|_| validation != Validation::None) else {
        return Ok(());
    };
    let Some(service) = SERVICES.get(service) else { return Ok(()) };
    let Some(output) = service.operations.get(&operation) else { return Ok(()) };
    let checker = Checker { service, strict: validation == Validation::Strict, free: free_fields(resource) };
    checker.at(output, None, result).map_err(|why| format!("Mock result schema validation error: {why}"))
}

/// The service and operation whose answer is the task's result. A callback's result comes from the worker, and a job's
/// result is its description: these have no shape.
fn operation(resource: &Resource) -> Option<(&str, String)> {
    let ResourceKind::Service { service, action, pattern: Pattern::RequestResponse } = &resource.kind else {
        return None;
    };
    let service = match service.strip_prefix("aws-sdk:").unwrap_or(service) {
        "states" | "sfn" => "stepfunctions",
        "eventbridge" => "events",
        other => other,
    };
    let mut letters = action.chars();
    let first = letters.next()?.to_ascii_uppercase();
    Some((service, format!("{first}{}", letters.as_str())))
}

/// Fields that the optimized integration shows in another form than the service: a function's answer is JSON, not
/// bytes.
fn free_fields(resource: &Resource) -> &'static [&'static str] {
    if resource.resource_type() == "lambda" { &["Payload"] } else { &[] }
}

struct Checker<'a> {
    service: &'a Service,
    strict: bool,
    free: &'a [&'a str],
}

impl Checker<'_> {
    /// `field`: the name of the member that holds the value; `None` for the whole result.
    fn at(&self, shape: &str, field: Option<&str>, value: &Value) -> Result<(), String> {
        let named = |what: &str| match field {
            Some(field) => format!("Field '{field}' {what}"),
            None => format!("The result {what}"),
        };
        let plain = |kind| Simple { kind, min: None, max: None };
        let simple = match shape {
            "$s" => plain(Kind::Text),
            "$n" => plain(Kind::Number),
            "$b" => plain(Kind::Boolean),
            name => match self.service.shapes.get(name) {
                None => return Ok(()),
                Some(Shape::Simple(simple)) => *simple,
                Some(Shape::Structure { members, required }) => {
                    let Value::Object(fields) = value else { return Err(named("must be an object")) };
                    for (name, value) in fields {
                        // An unknown field is no mistake (recorded, in all modes).
                        if let Some(shape) = members.get(name).filter(|_| !self.free.contains(&name.as_str())) {
                            self.at(shape, Some(name), value)?;
                        }
                    }
                    let missing = required.iter().find(|name| self.strict && !fields.contains_key(*name));
                    return missing.map_or(Ok(()), |name| Err(format!("Field '{name}' is required")));
                }
                Some(Shape::List { items }) => {
                    let Value::Array(values) = value else { return Err(named("must be an array")) };
                    return values.iter().try_for_each(|value| self.at(items, field, value));
                }
                Some(Shape::Map { values }) => {
                    let Value::Object(fields) = value else { return Err(named("must be an object")) };
                    return fields.iter().try_for_each(|(name, value)| self.at(values, Some(name), value));
                }
            },
        };
        simple.check(value).map_or(Ok(()), |what| Err(named(what)))
    }
}

impl Simple {
    /// The fault of a value, if it has one.
    fn check(self, value: &Value) -> Option<&'static str> {
        match (self.kind, value) {
            (Kind::Text, Value::String(text)) => {
                #[expect(clippy::cast_precision_loss, reason = "lengths of mocks are below 2^53")]
                let length = text.chars().count() as f64;
                if self.min.is_some_and(|min| length < min) {
                    return Some("is smaller than the minimum length");
                }
                self.max.is_some_and(|max| length > max).then_some("exceeds the maximum length")
            }
            (Kind::Number, Value::Number(number)) => {
                let number = number.as_f64().unwrap_or_default();
                if self.min.is_some_and(|min| number < min) {
                    return Some("is less than the minimum value");
                }
                self.max.is_some_and(|max| number > max).then_some("exceeds the maximum value")
            }
            (Kind::Boolean, Value::Bool(_)) => None,
            (Kind::Text, _) => Some("must be a string"),
            (Kind::Number, _) => Some("must be a number"),
            (Kind::Boolean, _) => Some("must be a boolean"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judge(arn: &str, result: &Value, validation: Validation) -> Result<(), String> {
        check(&Resource::parse(arn).unwrap(), result, validation)
    }

    #[test]
    fn the_table_can_be_read() {
        assert!(SERVICES.len() >= 10);
        let known = |name: &String, of: &Service| name.starts_with('$') || of.shapes.contains_key(name);
        for service in SERVICES.values() {
            assert!(service.operations.values().all(|shape| service.shapes.contains_key(shape)));
            for shape in service.shapes.values() {
                match shape {
                    Shape::Structure { members, .. } => assert!(members.values().all(|m| known(m, service))),
                    Shape::List { items: inner } | Shape::Map { values: inner } => assert!(known(inner, service)),
                    Shape::Simple(_) => {}
                }
            }
        }
    }

    #[test]
    fn wrong_fields_are_named_in_the_words_of_aws() {
        for (arn, result, wrong) in [
            (
                "arn:aws:states:::aws-sdk:kms:encrypt",
                json!({"CiphertextBlob": ""}),
                "'CiphertextBlob' is smaller than the minimum length",
            ),
            ("arn:aws:states:::aws-sdk:kms:encrypt", json!({"CiphertextBlob": 1}), "'CiphertextBlob' must be a string"),
            ("arn:aws:states:::lambda:invoke", json!({"StatusCode": "200"}), "'StatusCode' must be a number"),
            ("arn:aws:states:::events:putEvents", json!({"Entries": "x"}), "'Entries' must be an array"),
            (
                "arn:aws:states:::events:putEvents",
                json!({"Entries": [{}, {"EventId": []}]}),
                "'EventId' must be a string",
            ),
            (
                "arn:aws:states:::states:startExecution",
                json!({"ExecutionArn": "a", "StartDate": true}),
                "'StartDate' must be a string",
            ),
            (
                "arn:aws:states:::aws-sdk:lambda:getFunction",
                json!({"Configuration": {"MemorySize": 127}}),
                "'MemorySize' is less than the minimum value",
            ),
        ] {
            assert_eq!(
                judge(arn, &result, Validation::Present),
                Err(format!("Mock result schema validation error: Field {wrong}"))
            );
            assert_eq!(judge(arn, &result, Validation::None), Ok(()));
        }
    }

    #[test]
    fn strict_wants_what_the_service_always_gives() {
        let arn = "arn:aws:states:::states:startExecution";
        assert!(
            judge(arn, &json!({"ExecutionArn": "a"}), Validation::Strict)
                .unwrap_err()
                .ends_with("Field 'StartDate' is required")
        );
        assert_eq!(judge(arn, &json!({"ExecutionArn": "a"}), Validation::Present), Ok(()));
    }

    #[test]
    fn what_no_table_knows_is_let_through() {
        assert_eq!(
            judge("arn:aws:states:::lambda:invoke", &json!({"Payload": {"any": 1}, "x": 1}), Validation::Strict),
            Ok(())
        );
        assert_eq!(judge("arn:aws:states:::amqp:call", &json!(1), Validation::Strict), Ok(()));
        assert_eq!(judge("arn:aws:states:::sqs:sendMessage.waitForTaskToken", &json!([1]), Validation::Strict), Ok(()));
    }
}
