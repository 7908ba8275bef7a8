//! `SendTaskFailure`: error and cause may both be absent.

use serde::Deserialize;

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::Empty;
use crate::engine::Completion;
use crate::interpreter::event::Failure;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    task_token: String,
    error: Option<String>,
    cause: Option<String>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    let failure = Failure { error: input.error, cause: input.cause, heartbeat: false };
    ctx.engine().complete_task(&input.task_token, Completion::Failure(failure), ctx.asker.clone()).await?;
    Ok(Empty {})
}
