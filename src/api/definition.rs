//! The API's side of definitions: what the language says of one, and the parts of one that answers show.

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

/// Everything that is wrong with a definition, and, where `least` is a warning, what is probably not meant.
pub fn diagnose(text: &str, kind: MachineType, least: Severity) -> Vec<Diagnostic> {
    asl::diagnose(text, kind_of(kind), least)
}

/// Takes a definition, or says all that is wrong with it. Recorded:
/// `Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /'`.
pub fn accept(text: &str, kind: MachineType) -> Result<(), ApiError> {
    match asl::parse(text, kind_of(kind)) {
        Ok(_) => Ok(()),
        Err(diagnostics) => Err(ApiError::new("InvalidDefinition", diagnostics.invalid_definition_message())),
    }
}

/// The processor of the Distributed Map with this label, as a definition of its own: what the child executions of its
/// map runs run.
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
