//! `DescribeStateMachineForExecution`: the definition that an execution runs, also when its machine has changed since.

use serde::{Deserialize, Serialize};

use crate::api::configuration::{Configuration, Encryption, Logging, Tracing};
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::references::References;
use crate::api::wire::{EpochSeconds, IncludedData};
use crate::api::{arn, definition, references};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    execution_arn: String,
    #[serde(default)]
    included_data: IncludedData,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    state_machine_arn: String,
    name: String,
    definition: String,
    role_arn: String,
    update_date: EpochSeconds,
    logging_configuration: Logging,
    tracing_configuration: Tracing,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_run_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision_id: Option<String>,
    encryption_configuration: Encryption,
    #[serde(skip_serializing_if = "Option::is_none")]
    variable_references: Option<References>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let execution = arn::execution(&input.execution_arn)?;
    let row = ctx.engine().execution(&execution).await?;
    let Some(revision) = ctx.catalog.revision(row.header.revision).await? else {
        return Err(ApiError::machine_does_not_exist(row.header.state_machine.as_str()));
    };
    let configuration = Configuration::kept(&revision.configuration);
    let machine = arn::any_machine(row.header.state_machine.as_str())?;
    let definition = match &machine.label {
        Some(label) => definition::labelled(&revision.definition, label).unwrap_or(revision.definition),
        None => revision.definition,
    };
    let all = input.included_data.all();
    Ok(Output {
        name: machine.machine.last().to_owned(),
        state_machine_arn: row.header.state_machine.to_string(),
        variable_references: all.then(|| references::of(&definition)),
        definition: if all { definition } else { String::new() },
        role_arn: revision.role_arn,
        update_date: revision.made.into(),
        logging_configuration: configuration.logging_configuration,
        tracing_configuration: configuration.tracing_configuration,
        map_run_arn: row.header.map_run.map(|arn| arn.to_string()),
        label: machine.label,
        revision_id: (!revision.initial).then(|| revision.id.to_string()),
        encryption_configuration: configuration.encryption_configuration,
    })
}
