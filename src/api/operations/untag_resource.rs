//! `UntagResource`: keys that do not exist are no error.

use serde::Deserialize;

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::tags;
use crate::api::wire::Empty;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    resource_arn: String,
    tag_keys: Vec<String>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    let resource = tags::resource(ctx, &input.resource_arn).await?;
    ctx.catalog.tag(&resource, Vec::new(), input.tag_keys).await?;
    Ok(Empty {})
}
