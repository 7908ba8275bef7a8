//! `DescribeMapRun`.

use serde::Deserialize;
use serde_json::Value;

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::{arn, map_runs};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    map_run_arn: String,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Value, ApiError> {
    let arn = arn::map_run(&input.map_run_arn)?;
    let row = ctx.catalog.map_run(&arn).await?.ok_or_else(|| ApiError::resource_not_found(&input.map_run_arn))?;
    map_runs::described(ctx, row).await
}
