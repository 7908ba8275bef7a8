//! `CreateStateMachine`. AWS: idempotent; "its idempotency check is based on the state machine name, definition, type,
//! LoggingConfiguration, TracingConfiguration, and EncryptionConfiguration. The check is also based on the publish and
//! versionDescription parameters. If a following request has a different roleArn or tags, Step Functions will ignore
//! these differences."

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::configuration::{Configuration, Given};
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::{EpochSeconds, Tag};
use crate::api::{arn, definition, machines, tags};
use crate::store::{MachineRow, MachineType, Revision, RevisionId, StoreError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    name: String,
    definition: String,
    role_arn: String,
    #[serde(rename = "type")]
    kind: Option<MachineType>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    publish: bool,
    version_description: Option<String>,
    #[serde(flatten)]
    given: Given,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    state_machine_arn: String,
    creation_date: EpochSeconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_machine_version_arn: Option<String>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    arn::name(&input.name)?;
    arn::role(&input.role_arn)?;
    machines::check_version_description(input.publish, input.version_description.as_deref())?;
    let kind = input.kind.unwrap_or(MachineType::Standard);
    let configuration = input.given.over(Configuration::default(), ctx.kms)?.to_value();
    definition::accept(ctx, &input.definition, kind)?;
    let machine = ctx.realm.state_machine(&input.name);
    let new_tags = tags::checked(machine.as_str(), input.tags)?;

    let now = ctx.now();
    let revision = Revision {
        id: RevisionId(Uuid::new_v4()),
        machine: machine.clone(),
        initial: true,
        definition: input.definition,
        role_arn: input.role_arn,
        configuration,
        made: now,
    };
    let row = MachineRow { arn: machine.clone(), name: input.name, kind, created: now, deleting: false, revision };
    let row = match ctx.catalog.put_machine(row.clone()).await {
        Ok(()) => {
            if !new_tags.is_empty() {
                ctx.catalog.tag(&machine, new_tags, Vec::new()).await?;
            }
            row
        }
        Err(StoreError::AlreadyExists { .. }) => same(ctx, &row).await?,
        Err(error) => return Err(error.into()),
    };
    ctx.declare_task_queues(&row.revision.definition);
    let version = if input.publish { Some(publish(ctx, &row, input.version_description).await?) } else { None };
    Ok(Output { state_machine_arn: machine.to_string(), creation_date: row.created.into(),
        state_machine_version_arn: version })
}

/// The machine that has the name, if this request would have made the same one.
async fn same(ctx: &Context, wanted: &MachineRow) -> Result<MachineRow, ApiError> {
    let Some(before) = ctx.catalog.machine(&wanted.arn).await? else {
        return Err(ApiError::machine_deleting(wanted.arn.as_str()));
    };
    if before.deleting {
        return Err(ApiError::machine_deleting(wanted.arn.as_str()));
    }
    let same = before.kind == wanted.kind
        && before.revision.definition == wanted.revision.definition
        && before.revision.configuration == wanted.revision.configuration;
    if same { Ok(before) } else { Err(ApiError::machine_already_exists(&wanted.arn)) }
}

/// Publishes the revision. A repeated request with the same description gets the existing version.
async fn publish(ctx: &Context, row: &MachineRow, description: Option<String>) -> Result<String, ApiError> {
    let version = machines::publish(ctx, &row.arn, row.revision.id, description.clone()).await?;
    if version.description != description {
        return Err(ApiError::machine_already_exists(&row.arn));
    }
    Ok(version.arn.to_string())
}
