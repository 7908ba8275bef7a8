//! `DescribeActivity`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::EpochSeconds;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    activity_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    activity_arn: String,
    name: String,
    creation_date: EpochSeconds,
    encryption_configuration: Value,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let activity = arn::activity(&input.activity_arn)?;
    let found = ctx.catalog.activity(&activity).await?;
    let row = found.ok_or_else(|| ApiError::activity_does_not_exist(&input.activity_arn))?;
    Ok(Output {
        activity_arn: row.arn.to_string(),
        name: row.name,
        creation_date: row.created.into(),
        encryption_configuration: row.configuration,
    })
}
