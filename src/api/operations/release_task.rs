//! `Reveille.ReleaseTask`, our own operation: the caller's claim of a task ends.

use serde::Deserialize;

use crate::api::claims;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::Empty;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    execution_arn: String,
    scheduled_event_id: u64,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    let task = claims::task(ctx, &input.execution_arn, input.scheduled_event_id).await?;
    claims::release(ctx, &task).await?;
    Ok(Empty {})
}
