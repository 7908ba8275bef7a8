//! Checks an input against AWS's model, with AWS's texts.
//!
//! Two kinds of faults, as on AWS. A value of the wrong JSON type ends the check with a `SerializationException`.
//! Values of the right type that break a constraint are gathered into one `ValidationException`.

use serde_json::{Map, Number, Value};

use crate::limits::VALIDATION_ERRORS_MAX;

use super::error::ApiError;
use super::model::{Kind, Model, Shape};

/// Checks the members of `input` against the shape `name`. Members that are `null` count as absent and are removed. A
/// whole number written as `10.0` becomes `10`. Members that the model does not know are left alone, as on AWS.
pub fn check(model: &Model, name: &str, input: &mut Map<String, Value>) -> Result<(), ApiError> {
    let mut check = Check { model, errors: Vec::new() };
    let Some(shape) = model.shape(name) else {
        return Ok(());
    };
    check.structure(shape, input, "")?;
    let errors = check.errors;
    match errors.len() {
        0 => Ok(()),
        1 => Err(ApiError::validation(format!("1 validation error detected: {}", errors[0]))),
        n => Err(ApiError::validation(format!("{n} validation errors detected: {}", errors.join("; ")))),
    }
}

struct Check<'a> {
    model: &'a Model,
    errors: Vec<String>,
}

impl Check<'_> {
    /// Gathers an error, up to the bound.
    fn broken(&mut self, error: impl FnOnce() -> String) {
        if self.errors.len() < VALIDATION_ERRORS_MAX {
            self.errors.push(error());
        }
    }

    fn structure(&mut self, shape: &Shape, value: &mut Map<String, Value>, path: &str) -> Result<(), ApiError> {
        for (member, shape_name) in shape.members() {
            let at = if path.is_empty() { member.to_owned() } else { format!("{path}.{member}") };
            if value.get(member).is_some_and(Value::is_null) {
                value.remove(member);
            }
            match value.get_mut(member) {
                Some(found) => {
                    if let Some(target) = self.model.shape(shape_name) {
                        self.value(target, found, &at)?;
                    }
                }
                None if shape.required.iter().any(|r| r == member) => {
                    self.broken(|| {
                        format!("Value null at '{at}' failed to satisfy constraint: Member must not be null")
                    });
                }
                None => {}
            }
        }
        Ok(())
    }

    fn value(&mut self, shape: &Shape, value: &mut Value, path: &str) -> Result<(), ApiError> {
        match (shape.kind, &mut *value) {
            (Kind::Structure, Value::Object(members)) => return self.structure(shape, members, path),
            (Kind::Map, Value::Object(members)) => {
                if let Some(target) = shape.value.as_deref().and_then(|name| self.model.shape(name)) {
                    for (key, found) in members.iter_mut() {
                        self.value(target, found, &format!("{path}.{key}.member"))?;
                    }
                }
            }
            (Kind::List, Value::Array(items)) => return self.list(shape, items, path),
            (Kind::Integer | Kind::Long, Value::Number(number)) => {
                let Some(whole) = whole(number) else {
                    return Err(ApiError::serialization(format!(
                        "The number at '{path}' is not a whole number in range"
                    )));
                };
                *number = whole.into();
            }
            (Kind::String, Value::String(_))
            | (Kind::Float | Kind::Timestamp, Value::Number(_))
            | (Kind::Boolean, Value::Bool(_)) => {}
            (kind, other) => return Err(wrong_type(kind, other, path)),
        }
        let constraints = constraints(shape, value);
        for constraint in constraints {
            self.broken(|| {
                let shown = if shape.sensitive { String::new() } else { format!(" '{}'", show(value)) };
                format!("Value{shown} at '{path}' failed to satisfy constraint: {constraint}")
            });
        }
        Ok(())
    }

    /// Checks a list: first its length, then its elements. Structures are checked member by member, plain elements give
    /// one error together, as on AWS.
    fn list(&mut self, shape: &Shape, items: &mut [Value], path: &str) -> Result<(), ApiError> {
        if let Some(constraint) = length(shape, items.len()) {
            let name = shape.member.as_deref().unwrap_or_default();
            let shown: Vec<String> = items.iter().map(|item| self.show_member(name, item)).collect();
            let shown = shown.join(", ");
            self.broken(|| format!("Value '[{shown}]' at '{path}' failed to satisfy constraint: {constraint}"));
        }
        let Some(target) = shape.member.as_deref().and_then(|name| self.model.shape(name)) else {
            return Ok(());
        };
        let mut broken = false;
        for (index, item) in items.iter_mut().enumerate() {
            if target.kind == Kind::Structure {
                self.value(target, item, &format!("{path}.{}.member", index + 1))?;
            } else {
                // The errors of plain elements become one, below.
                let before = std::mem::take(&mut self.errors);
                self.value(target, item, path)?;
                broken |= !std::mem::replace(&mut self.errors, before).is_empty();
            }
        }
        if broken {
            let shown: Vec<String> = items.iter().map(show).collect();
            let all = descriptions(target).join(", ");
            let shown = shown.join(", ");
            self.broken(|| {
                format!(
                    "Value '[{shown}]' at '{path}' failed to satisfy constraint: Member must satisfy constraint: \
                     [{all}]"
                )
            });
        }
        Ok(())
    }
}

impl Check<'_> {
    /// Shows an element of a list. A structure is shown like its Java class, its members in the order of the model.
    /// Recorded: `RoutingConfigurationListItem(stateMachineVersionArn=…, weight=50)`.
    fn show_member(&self, name: &str, value: &Value) -> String {
        match (self.model.shape(name), value) {
            (Some(shape), Value::Object(given)) if shape.kind == Kind::Structure => {
                let member = |(member, inner): (&str, &str)| {
                    let shown = match (self.model.shape(inner), given.get(member)) {
                        (Some(shape), Some(_)) if shape.sensitive => "***".to_owned(),
                        (_, Some(value)) => self.show_member(inner, value),
                        (_, None) => "null".to_owned(),
                    };
                    format!("{member}={shown}")
                };
                format!("{name}({})", shape.members().map(member).collect::<Vec<_>>().join(", "))
            }
            (_, value) => show(value),
        }
    }
}

/// The constraints of the shape that the value breaks.
fn constraints(shape: &Shape, value: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    match value {
        Value::String(text) => {
            broken.extend(length(shape, utf16_length(text)));
            if shape.pattern.as_deref().is_some_and(|pattern| !matches(pattern, text)) {
                broken.extend(shape.pattern.as_deref().map(must_match));
            }
            if !shape.values.is_empty() && !shape.values.contains(text) {
                broken.push(must_be_one_of(&shape.values));
            }
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            if let Some(min) = shape.min.filter(|min| number < *min) {
                broken.push(format!("Member must have value greater than or equal to {min}"));
            }
            if let Some(max) = shape.max.filter(|max| number > *max) {
                broken.push(format!("Member must have value less than or equal to {max}"));
            }
        }
        _ => {}
    }
    broken
}

/// All constraints of a shape in words.
fn descriptions(shape: &Shape) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(shape.max.map(|max| format!("Member must have length less than or equal to {max}")));
    all.extend(shape.min.map(|min| format!("Member must have length greater than or equal to {min}")));
    all.extend(shape.pattern.as_deref().map(must_match));
    if !shape.values.is_empty() {
        all.push(must_be_one_of(&shape.values));
    }
    all
}

fn length(shape: &Shape, length: usize) -> Option<String> {
    #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52: the body has a limit")]
    let length = length as f64;
    if let Some(min) = shape.min.filter(|min| length < *min) {
        return Some(format!("Member must have length greater than or equal to {min}"));
    }
    shape.max.filter(|max| length > *max).map(|max| format!("Member must have length less than or equal to {max}"))
}

/// The length in UTF-16 units, as AWS counts in Java. For ASCII, the common case, it is the number of bytes.
fn utf16_length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

fn must_match(pattern: &str) -> String {
    format!("Member must satisfy regular expression pattern: {pattern}")
}

fn must_be_one_of(values: &[String]) -> String {
    format!("Member must satisfy enum value set: [{}]", values.join(", "))
}

/// Matches the patterns of the model, each by hand: they need a look-ahead, which our regular expressions do not have.
/// A test finds a new pattern in the model.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern {
        r"^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$" => {
            text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
                && text.chars().any(|c| !c.is_ascii_digit())
        }
        "[!-~]+" => !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()),
        r"\p{ASCII}*" => text.is_ascii(),
        _ => true,
    }
}

fn whole(number: &Number) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and exact")]
    number.as_i64().or_else(|| number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64))
}

/// A value as AWS's texts show it (Java's `toString`).
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let members: Vec<String> = members.iter().map(|(k, v)| format!("{k}={}", show(v))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// AWS's text, with the place added.
fn wrong_type(expected: Kind, found: &Value, path: &str) -> ApiError {
    let wanted = match expected {
        Kind::Structure | Kind::Map => "structure or map",
        Kind::List => "list",
        Kind::String => "String",
        Kind::Integer => "Integer",
        Kind::Long => "Long",
        Kind::Float => "Float",
        Kind::Boolean => "Boolean",
        Kind::Timestamp => "Timestamp",
    };
    let message = match found {
        Value::Object(_) => format!("Start of structure or map found where not expected: '{path}' is a {wanted}"),
        Value::Array(_) => format!("Start of list found where not expected: '{path}' is a {wanted}"),
        Value::String(_) => format!("STRING_VALUE can not be converted to a {wanted} at '{path}'"),
        Value::Number(_) => format!("NUMBER_VALUE can not be converted to a {wanted} at '{path}'"),
        Value::Bool(true) => format!("TRUE_VALUE can not be converted to a {wanted} at '{path}'"),
        Value::Bool(false) => format!("FALSE_VALUE can not be converted to a {wanted} at '{path}'"),
        Value::Null => format!("NULL_VALUE can not be converted to a {wanted} at '{path}'"),
    };
    ApiError::serialization(message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(shape: &str, input: Value) -> String {
        let Value::Object(mut members) = input else { panic!("an input is an object") };
        check(Model::get(), shape, &mut members).map_or_else(|e| e.message, |()| "ok".into())
    }

    #[test]
    fn texts_are_those_recorded_on_aws() {
        let one = |rest: &str| format!("1 validation error detected: {rest}");
        let table = [
            (
                "ListExecutionsInput",
                json!({"maxResults": 1001}),
                one(
                    "Value '1001' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 1000",
                ),
            ),
            (
                "ListExecutionsInput",
                json!({"statusFilter": "succeeded"}),
                one(
                    "Value 'succeeded' at 'statusFilter' failed to satisfy constraint: Member must satisfy enum value set: [SUCCEEDED, TIMED_OUT, PENDING_REDRIVE, ABORTED, FAILED, RUNNING]",
                ),
            ),
            (
                "ListStateMachinesInput",
                json!({"nextToken": "x".repeat(1025)}),
                one(&format!(
                    "Value '{}' at 'nextToken' failed to satisfy constraint: Member must have length less than or equal to 1024",
                    "x".repeat(1025)
                )),
            ),
            (
                "CreateStateMachineAliasInput",
                json!({"name": "123", "routingConfiguration": [{"stateMachineVersionArn": "v", "weight": 100}]}),
                one(
                    r"Value '123' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$",
                ),
            ),
            (
                "CreateActivityInput",
                json!({"name": ""}),
                one(
                    "Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1",
                ),
            ),
        ];
        for (shape, input, expected) in table {
            assert_eq!(verdict(shape, input), expected);
        }
    }

    #[test]
    fn several_errors_are_joined_in_the_order_of_the_model() {
        assert_eq!(
            verdict("CreateStateMachineInput", json!({"name": "", "roleArn": null})),
            "3 validation errors detected: Value '' at 'name' failed to satisfy constraint: Member must have length \
             greater than or equal to 1; Value null at 'definition' failed to satisfy constraint: Member must not be \
             null; Value null at 'roleArn' failed to satisfy constraint: Member must not be null"
        );
    }

    #[test]
    fn a_sensitive_value_is_not_repeated() {
        let token = "s".repeat(2049);
        let text = verdict("SendTaskHeartbeatInput", json!({ "taskToken": token }));
        assert_eq!(
            text,
            "1 validation error detected: Value at 'taskToken' failed to satisfy constraint: Member must have length less than or equal to 2048"
        );
    }

    #[test]
    fn nested_members_say_where_they_are() {
        assert_eq!(
            verdict("TagResourceInput", json!({"resourceArn": "a", "tags": [{"key": "k"}, {"key": ""}]})),
            "1 validation error detected: Value '' at 'tags.2.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1"
        );
        assert_eq!(
            verdict("UntagResourceInput", json!({"resourceArn": "a", "tagKeys": [""]})),
            "1 validation error detected: Value '[]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: \
             [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]"
        );
        assert_eq!(
            verdict("CreateStateMachineAliasInput", json!({"name": "a", "routingConfiguration": []})),
            "1 validation error detected: Value '[]' at 'routingConfiguration' failed to satisfy constraint: Member must have length greater than or equal to 1"
        );
        let route = |arn: &str, weight: u8| json!({ "stateMachineVersionArn": arn, "weight": weight });
        assert_eq!(
            verdict(
                "CreateStateMachineAliasInput",
                json!({"name": "a", "routingConfiguration": [route("v1", 50), route("v2", 30), route("v3", 20)]})
            ),
            "1 validation error detected: Value '[RoutingConfigurationListItem(stateMachineVersionArn=v1, weight=50), \
             RoutingConfigurationListItem(stateMachineVersionArn=v2, weight=30), \
             RoutingConfigurationListItem(stateMachineVersionArn=v3, weight=20)]' at 'routingConfiguration' failed to satisfy \
             constraint: Member must have length less than or equal to 2"
        );
    }

    #[test]
    fn an_error_names_so_many_faults_at_most() {
        let tags: Vec<Value> = (0..100_000).map(|_| json!({ "key": "" })).collect();
        let text = verdict("TagResourceInput", json!({ "resourceArn": "a", "tags": tags }));
        assert!(
            text.starts_with("1000 validation errors detected: Value '' at 'tags.1.member.key'"),
            "{}",
            &text[..200]
        );
        assert!(text.len() < 200_000, "{} bytes", text.len());
        let keys: Vec<String> = (0..100_000).map(|_| String::new()).collect();
        let text = verdict("UntagResourceInput", json!({ "resourceArn": "", "tagKeys": keys }));
        assert!(text.starts_with("2 validation errors detected: "), "{}", &text[..200]);
    }

    #[test]
    fn a_value_of_another_type_cannot_be_read() {
        assert_eq!(
            verdict("CreateActivityInput", json!({"name": 1})),
            "NUMBER_VALUE can not be converted to a String at 'name'"
        );
        assert_eq!(
            verdict("ListExecutionsInput", json!({"maxResults": "ten"})),
            "STRING_VALUE can not be converted to a Integer at 'maxResults'"
        );
        assert_eq!(
            verdict("ListExecutionsInput", json!({"maxResults": 1.5})),
            "The number at 'maxResults' is not a whole number in range"
        );
        assert!(
            verdict("TagResourceInput", json!({"resourceArn": "a", "tags": {}}))
                .starts_with("Start of structure or map found")
        );
    }

    #[test]
    fn nulls_are_absent_and_whole_floats_are_integers() {
        let Value::Object(mut input) = json!({"maxResults": 10.0, "nextToken": null, "other": null}) else { panic!() };
        check(Model::get(), "ListExecutionsInput", &mut input).unwrap();
        assert_eq!(Value::Object(input), json!({"maxResults": 10, "other": null}));
    }

    #[test]
    fn every_pattern_of_the_model_has_its_matcher() {
        let text = include_str!("model.json");
        let model: Value = serde_json::from_str(text).unwrap();
        for shape in model["shapes"].as_object().unwrap().values() {
            if let Some(pattern) = shape["pattern"].as_str() {
                assert!(!matches(pattern, "\u{e9}\n"), "no matcher for the pattern {pattern}");
            }
        }
        assert!(matches(r"^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$", "1-a"));
        assert!(matches("[!-~]+", "token!") && !matches("[!-~]+", "a b"));
    }

    #[test]
    fn length_counts_as_java_does() {
        assert_eq!((utf16_length("abc"), utf16_length("é"), utf16_length("😀")), (3, 1, 2));
    }
}
