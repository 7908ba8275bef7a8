//! `RedriveExecution`: runs a failed execution on from where it failed. The same `clientToken` gets the same answer.

use serde::{Deserialize, Serialize};

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::EpochSeconds;
use crate::engine::EngineError;

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
    if let Some(token) = &input.client_token
        && let Some(before) = ctx.engine().redriven_with(&execution, token).await?
    {
        return Ok(Output { redrive_date: before.into() });
    }
    let row = ctx.engine().execution(&execution).await?;
    if let (_, Some(why)) = ctx.engine().redrive_status(&row).await? {
        return Err(EngineError::NotRedrivable { arn: execution, why }.into());
    }
    let redriven = ctx.engine().redrive_execution(&execution, input.client_token.as_deref()).await?;
    Ok(Output { redrive_date: redriven.into() })
}
