//! Definitions in the API: their diagnostics, and the parts that answers show.

use serde_json::Value;

use crate::asl::{self, Diagnostic, MachineKind, Severity};
use crate::store::MachineType;

use super::error::ApiError;

fn kind_of(kind: MachineType) -> MachineKind {
    match kind {
        MachineType::Standard => MachineKind::Standard,
        MachineType::Express => MachineKind::Express,
    }
}

/// All errors of a definition and, where `least` is a warning, its warnings.
pub fn diagnose(text: &str, kind: MachineType, least: Severity) -> Vec<Diagnostic> {
    asl::diagnose(text, kind_of(kind), least)
}

/// Checks a definition. The error lists all its faults. Recorded: `Invalid State Machine Definition:
/// 'SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /'`.
pub fn accept(text: &str, kind: MachineType) -> Result<(), ApiError> {
    match asl::parse(text, kind_of(kind)) {
        Ok(_) => Ok(()),
        Err(diagnostics) => Err(ApiError::new("InvalidDefinition", diagnostics.invalid_definition_message())),
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
    use super::*;

    #[test]
    fn a_definition_without_states_is_refused_in_the_words_of_aws() {
        let refused =
            accept(r#"{"Comment": "BASE_INVALID_DER", "StartAt": "State_1"}"#, MachineType::Standard).unwrap_err();
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
}
