//! `PublishStateMachineVersion`: idempotent for one revision; a description given then is ignored, as AWS does.

use serde::{Deserialize, Serialize};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::EpochSeconds;
use crate::api::{arn, machines};

/// AWS's name of the revision that a machine is made with.
const INITIAL: &str = "INITIAL";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    state_machine_arn: String,
    revision_id: Option<String>,
    description: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    creation_date: EpochSeconds,
    state_machine_version_arn: String,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let given = arn::machine_or_qualified(&input.state_machine_arn)?;
    if given.qualifier.is_some() {
        return Err(ApiError::machine_does_not_exist(&input.state_machine_arn));
    }
    let row = machines::live(ctx, &given).await?;
    let current = if row.revision.initial { INITIAL.to_owned() } else { row.revision.id.to_string() };
    if let Some(wanted) = input.revision_id.filter(|wanted| *wanted != current) {
        // Recorded.
        let message =
            format!("Failed to publish the State Machine version for revision {wanted}. The current State Machine \
                revision is {current}.");
        return Err(ApiError::new("ConflictException", message));
    }
    let version = machines::publish(ctx, &row.arn, row.revision.id, input.description).await?;
    Ok(Output { creation_date: version.created.into(), state_machine_version_arn: version.arn.to_string() })
}
