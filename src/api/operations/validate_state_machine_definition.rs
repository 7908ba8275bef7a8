//! `ValidateStateMachineDefinition`.

use serde::{Deserialize, Serialize};

use crate::api::context::Context;
use crate::api::definition;
use crate::api::error::ApiError;
use crate::asl::{Diagnostic, Severity};
use crate::store::MachineType;

const DIAGNOSTICS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    definition: String,
    #[serde(rename = "type")]
    kind: Option<MachineType>,
    severity: Option<String>,
    max_results: Option<usize>,
}

#[derive(Serialize)]
pub struct Output {
    result: &'static str,
    diagnostics: Vec<Item>,
    truncated: bool,
}

#[derive(Serialize)]
struct Item {
    severity: &'static str,
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    // AWS: "minimum level of diagnostics to return"; ERROR where none is given.
    let least = if input.severity.as_deref() == Some("WARNING") { Severity::Warning } else { Severity::Error };
    let kind = input.kind.unwrap_or(MachineType::Standard);
    let mut found = definition::diagnose(ctx, &input.definition, kind, least);
    let failed = found.iter().any(|d| d.severity == Severity::Error);
    let max = input.max_results.filter(|max| *max > 0).unwrap_or(DIAGNOSTICS_MAX);
    let truncated = found.len() > max;
    found.truncate(max);
    let item = |d: Diagnostic| Item { severity: d.severity.name(), code: d.code, message: d.message,
        location: d.location };
    Ok(Output { result: if failed { "FAIL" } else { "OK" }, diagnostics: found.into_iter().map(item).collect(),
        truncated })
}
