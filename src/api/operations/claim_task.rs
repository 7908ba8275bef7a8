//! `Reveille.ClaimTask`, our own operation: tells others that a person works on a task, for a quarter of an hour. A
//! claim is no right: all others may still answer, and take the task over with `force`.

use serde::{Deserialize, Serialize};

use crate::api::claims::{self, Claim};
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::EpochSeconds;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    execution_arn: String,
    scheduled_event_id: u64,
    #[serde(default)]
    force: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    claimed_by: String,
    until: EpochSeconds,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let task = claims::task(ctx, &input.execution_arn, input.scheduled_event_id).await?;
    let Claim { by, until } = claims::claim(ctx, &task, input.force).await?;
    Ok(Output { claimed_by: by, until: until.into() })
}
