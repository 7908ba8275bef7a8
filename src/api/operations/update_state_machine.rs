//! `UpdateStateMachine`: a change makes a new revision; running executions keep theirs.
//!
//! Recorded: an update that changes nothing keeps the revision, except the first update, which gives the machine its
//! first `revisionId`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::configuration::{Configuration, Given};
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::EpochSeconds;
use crate::api::{arn, definition, machines};
use crate::store::{Revision, RevisionId};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    state_machine_arn: String,
    definition: Option<String>,
    role_arn: Option<String>,
    #[serde(default)]
    publish: bool,
    version_description: Option<String>,
    #[serde(flatten)]
    given: Given,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    update_date: EpochSeconds,
    revision_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_machine_version_arn: Option<String>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let given = arn::machine_or_qualified(&input.state_machine_arn)?;
    if input.definition.is_none() && input.role_arn.is_none() && input.given.is_empty() {
        // Recorded.
        let message = "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must \
            be specified";
        return Err(ApiError::new("MissingRequiredParameter", message));
    }
    machines::check_version_description(input.publish, input.version_description.as_deref())?;
    // Recorded: a version ARN is answered as if there were no such machine.
    if given.qualifier.is_some() {
        return Err(ApiError::machine_does_not_exist(&input.state_machine_arn));
    }
    let row = machines::live(ctx, &given).await?;
    if let Some(role) = &input.role_arn {
        arn::role(role)?;
    }
    if let Some(text) = &input.definition {
        definition::accept(ctx, text, row.kind)?;
    }

    let before = row.revision;
    let configuration = input.given.over(Configuration::kept(&before.configuration), ctx.kms)?.to_value();
    let now = ctx.now();
    let wanted = Revision {
        id: RevisionId(Uuid::new_v4()),
        machine: row.arn.clone(),
        initial: false,
        definition: input.definition.unwrap_or_else(|| before.definition.clone()),
        role_arn: input.role_arn.unwrap_or_else(|| before.role_arn.clone()),
        configuration,
        made: now,
    };
    let unchanged = !before.initial
        && before.definition == wanted.definition
        && before.role_arn == wanted.role_arn
        && before.configuration == wanted.configuration;
    let revision = if unchanged {
        before.id
    } else {
        if input.publish {
            machines::check_room_for_version(ctx, &row.arn, None).await?;
        }
        let (id, definition) = (wanted.id, wanted.definition.clone());
        ctx.catalog.update_machine(&row.arn, wanted).await?;
        ctx.declare_task_queues(&definition);
        id
    };
    let version = if input.publish {
        Some(machines::publish(ctx, &row.arn, revision, input.version_description).await?.arn.to_string())
    } else {
        None
    };
    Ok(Output { update_date: now.into(), revision_id: revision.to_string(), state_machine_version_arn: version })
}
