//! `StopExecution`: stopping an execution that has ended changes nothing and answers when it ended.

use serde::{Deserialize, Serialize};

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::EpochSeconds;
use crate::interpreter::event::Failure;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    execution_arn: String,
    error: Option<String>,
    cause: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    stop_date: EpochSeconds,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let execution = arn::execution(&input.execution_arn)?;
    let failure = Failure { error: input.error, cause: input.cause, heartbeat: false };
    let stopped = ctx.engine().stop_execution(&execution, failure).await?;
    Ok(Output { stop_date: stopped.into() })
}
