//! `GetActivityTask`: waits up to 60 seconds for a task; an answer without a token says that there was none.

use serde::{Deserialize, Serialize};

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    activity_arn: String,
    worker_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let activity = arn::activity(&input.activity_arn)?;
    if ctx.catalog.activity(&activity).await?.is_none() {
        return Err(ApiError::activity_does_not_exist(&input.activity_arn));
    }
    let task = ctx.engine().next_activity_task(&activity, input.worker_name, ctx.activity_poll).await?;
    let (task_token, input) = task.map(|task| (task.token, task.input)).unzip();
    Ok(Output { task_token, input })
}
