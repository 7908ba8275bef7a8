//! Definitions in the API: their diagnostics, and the parts that answers show.

use serde_json::Value;

use crate::asl::{self, Diagnostic, Diagnostics, MachineType, Severity};

use super::context::Context;
use super::error::ApiError;
use crate::asl::diagnostics::code;
use crate::asl::resource::Resource;

/// All errors of a definition and, where `least` is a warning, its warnings.
pub fn diagnose(ctx: &Context, text: &str, kind: MachineType, least: Severity) -> Vec<Diagnostic> {
    let mut found = asl::diagnose(text, kind, least);
    if !found.iter().any(|d| d.severity == Severity::Error) {
        found.splice(0..0, sent_to_the_engine(text, |resource, template| ctx.refused_by_text(resource, template)));
    }
    found
}

/// Checks a definition. The error lists all its faults. Recorded: `Invalid State Machine Definition:
/// 'SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /'`.
pub fn accept(ctx: &Context, text: &str, kind: MachineType) -> Result<(), ApiError> {
    checked(text, kind, |resource, template| ctx.refused_by_text(resource, template))
}

fn checked(
    text: &str,
    kind: MachineType,
    refused: impl Fn(&Resource, &Value) -> Option<String>,
) -> Result<(), ApiError> {
    let faults = match asl::parse(text, kind) {
        Ok(_) => Diagnostics(sent_to_the_engine(text, refused)),
        Err(faults) => faults,
    };
    if faults.is_empty() {
        return Ok(());
    }
    Err(ApiError::new("InvalidDefinition", faults.invalid_definition_message()))
}

/// Tasks whose text names a destination of the engine's own: each would fail when it is sent. Told when a machine is
/// made, not when one is read that is there already.
fn sent_to_the_engine(text: &str, refused: impl Fn(&Resource, &Value) -> Option<String>) -> Vec<Diagnostic> {
    let Ok(definition) = serde_json::from_str::<Value>(text) else { return Vec::new() };
    let mut found = Vec::new();
    each_task(&definition, "", &mut |state, at| {
        let resource = state.get("Resource").and_then(Value::as_str).and_then(Resource::parse);
        let template = ["Parameters", "Arguments"].iter().find_map(|name| Some((*name, state.get(*name)?)));
        let (field, template) = template.unwrap_or(("Resource", &Value::Null));
        if let Some(message) = resource.and_then(|resource| refused(&resource, template)) {
            found.push(Diagnostic {
                severity: Severity::Error,
                code: code::SCHEMA_VALIDATION_FAILED,
                message,
                location: Some(format!("{at}/{field}")),
                line: 1,
                column: 1,
                hint: None,
            });
        }
    });
    found
}

fn each_task(workflow: &Value, at: &str, task: &mut impl FnMut(&Value, &str)) {
    for (name, state) in workflow.get("States").and_then(Value::as_object).into_iter().flatten() {
        let at = format!("{at}/States/{name}");
        if state.get("Type").and_then(Value::as_str) == Some("Task") {
            task(state, &at);
        }
        for field in ["ItemProcessor", "Iterator"] {
            if let Some(processor) = state.get(field) {
                each_task(processor, &format!("{at}/{field}"), task);
            }
        }
        for (n, branch) in state.get("Branches").and_then(Value::as_array).into_iter().flatten().enumerate() {
            each_task(branch, &format!("{at}/Branches[{n}]"), task);
        }
    }
}

/// The processor of the Distributed Map with this label, as a definition of its own. The child executions of its map
/// runs run it.
pub fn labelled(text: &str, label: &str) -> Option<String> {
    let definition: Value = serde_json::from_str(text).ok()?;
    let mut processor = find_labelled(&definition, label)?.clone();
    processor.as_object_mut()?.shift_remove("ProcessorConfig");
    Some(processor.to_string())
}

fn find_labelled<'a>(workflow: &'a Value, label: &str) -> Option<&'a Value> {
    for state in workflow.get("States")?.as_object()?.values() {
        let processor = state.get("ItemProcessor").or_else(|| state.get("Iterator"));
        if state.get("Label").and_then(Value::as_str) == Some(label) {
            return processor;
        }
        let branches = state.get("Branches").and_then(Value::as_array).into_iter().flatten();
        if let Some(found) = branches.chain(processor).find_map(|inner| find_labelled(inner, label)) {
            return Some(found);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_without_states_is_refused_in_the_words_of_aws() {
        let text = r#"{"Comment": "BASE_INVALID_DER", "StartAt": "State_1"}"#;
        let refused = checked(text, MachineType::Standard, |_, _| None).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "InvalidDefinition: Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /'"
        );
    }

    #[test]
    fn the_processor_of_a_labelled_map_is_found_where_it_nests() {
        let text = r#"{"StartAt":"P","States":{"P":{"Type":"Parallel","Branches":[{"StartAt":"M","States":{"M":{"Type":"Map","Label":"L",
            "ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED"},"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}},"End":true}}}],"End":true}}}"#;
        assert_eq!(labelled(text, "L").unwrap(), r#"{"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}"#);
        assert_eq!(labelled(text, "K"), None);
    }
    #[test]
    fn each_task_that_would_send_to_the_engine_is_named_with_its_place() {
        let task = |to: &str| json!({"Type": "Task", "Resource": "arn:aws:states:::amqp:publish", "Parameters": {"Queue": to}, "End": true});
        let inner = json!({"StartAt": "B", "States": {"B": task("own")}});
        let definition = json!({"StartAt": "A", "States": {
            "A": task("own"),
            "P": {"Type": "Parallel", "Branches": [{"StartAt": "G", "States": {"G": task("good")}}, inner]},
            "M": {"Type": "Map", "ItemProcessor": inner},
            "Z": {"Type": "Pass", "Parameters": {"Queue": "own"}}
        }});
        let refused = |_: &Resource, template: &Value| (template["Queue"] == "own").then(|| "no".to_owned());
        let places: Vec<_> =
            sent_to_the_engine(&definition.to_string(), refused).into_iter().filter_map(|d| d.location).collect();
        assert_eq!(
            places,
            [
                "/States/A/Parameters",
                "/States/P/Branches[1]/States/B/Parameters",
                "/States/M/ItemProcessor/States/B/Parameters"
            ]
        );
    }
}
