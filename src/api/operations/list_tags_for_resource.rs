//! `ListTagsForResource`.

use serde::{Deserialize, Serialize};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::tags;
use crate::api::wire::Tag;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    resource_arn: String,
}

#[derive(Serialize)]
pub struct Output {
    tags: Vec<Tag>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let resource = tags::resource(ctx, &input.resource_arn).await?;
    let tags = ctx.catalog.tags(&resource).await?;
    Ok(Output { tags: tags.into_iter().map(|(key, value)| Tag { key, value }).collect() })
}
