//! `RedriveExecution`: runs a failed execution on from where it failed. The same `clientToken` gets the same answer.

use serde::{Deserialize, Serialize};

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::EpochSeconds;
use crate::clock::Timestamp;
use crate::engine::EngineError;
use crate::ids::Arn;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    execution_arn: String,
    client_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    redrive_date: EpochSeconds,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let execution = arn::execution(&input.execution_arn)?;
    let redriven = redrive(ctx, &execution, input.client_token.as_deref()).await?;
    Ok(Output { redrive_date: redriven.into() })
}

/// Redrives an execution; returns when.
pub async fn redrive(ctx: &Context, execution: &Arn, token: Option<&str>) -> Result<Timestamp, ApiError> {
    if let Some(token) = token
        && let Some(before) = ctx.engine().redriven_with(execution, token).await?
    {
        return Ok(before);
    }
    let row = ctx.engine().execution(execution).await?;
    if let (_, Some(why)) = ctx.engine().redrive_status(&row).await? {
        return Err(EngineError::NotRedrivable { arn: execution.clone(), why }.into());
    }
    Ok(ctx.engine().redrive_execution(execution, token).await?)
}
