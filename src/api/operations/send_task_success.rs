//! `SendTaskSuccess`. The result is durable when the operation answers.

use serde::Deserialize;

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::Empty;
use crate::engine::Completion;
use crate::limits::PAYLOAD_BYTES_MAX;
use crate::payload::{Payload, refusal};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    task_token: String,
    output: String,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    let invalid = |why: String| ApiError::new("InvalidOutput", format!("Invalid Output: '{why}'"));
    if input.output.len() > PAYLOAD_BYTES_MAX {
        return Err(invalid(format!("Output exceeds the maximum of {PAYLOAD_BYTES_MAX} bytes")));
    }
    let output = Payload::parse(&input.output).map_err(|e| invalid(refusal(&input.output, &e)))?;
    ctx.engine().complete_task(&input.task_token, Completion::Success(output), ctx.asker.clone()).await?;
    Ok(Empty {})
}
