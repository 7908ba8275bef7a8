//! `DescribeStateMachine`: a machine, one of its versions, the main version of an alias, or the processor of a labelled
//! Distributed Map.

use serde::{Deserialize, Serialize};

use crate::api::configuration::{Configuration, Encryption, Logging, Tracing};
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::references::References;
use crate::api::wire::{EpochSeconds, IncludedData};
use crate::api::{arn, definition, machines, references};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    state_machine_arn: String,
    #[serde(default)]
    included_data: IncludedData,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    state_machine_arn: String,
    name: String,
    status: &'static str,
    definition: String,
    role_arn: String,
    #[serde(rename = "type")]
    kind: &'static str,
    creation_date: EpochSeconds,
    logging_configuration: Logging,
    tracing_configuration: Tracing,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    encryption_configuration: Encryption,
    #[serde(skip_serializing_if = "Option::is_none")]
    variable_references: Option<References>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let given = arn::any_machine(&input.state_machine_arn)?;
    let found = machines::resolve(ctx, &given).await?;
    let configuration = Configuration::kept(&found.revision.configuration);
    let whole = found.revision.definition;
    let definition = match &given.label {
        None => whole,
        Some(label) => definition::labelled(&whole, label)
            .ok_or_else(|| ApiError::machine_does_not_exist(&input.state_machine_arn))?,
    };
    let all = input.included_data.all();
    Ok(Output {
        state_machine_arn: input.state_machine_arn,
        name: found.row.name,
        status: if found.row.deleting { "DELETING" } else { "ACTIVE" },
        variable_references: all.then(|| references::of(&definition)),
        // AWS: with METADATA_ONLY "the definition is an empty string"; the member is required.
        definition: if all { definition } else { String::new() },
        role_arn: found.revision.role_arn,
        kind: found.row.kind.as_str(),
        creation_date: found.created.into(),
        logging_configuration: configuration.logging_configuration,
        tracing_configuration: configuration.tracing_configuration,
        label: given.label,
        revision_id: (!found.revision.initial).then(|| found.revision.id.to_string()),
        description: found.description,
        encryption_configuration: configuration.encryption_configuration,
    })
}
