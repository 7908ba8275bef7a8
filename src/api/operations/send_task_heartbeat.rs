//! `SendTaskHeartbeat`: resets the heartbeat clock of a task, never its timeout.

use serde::Deserialize;

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::Empty;
use crate::engine::Completion;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    task_token: String,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    ctx.engine().complete_task(&input.task_token, Completion::Heartbeat, ctx.asker.clone()).await?;
    Ok(Empty {})
}
