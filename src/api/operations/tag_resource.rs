//! `TagResource`.

use serde::Deserialize;

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::tags;
use crate::api::wire::{Empty, Tag};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    resource_arn: String,
    tags: Vec<Tag>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    let resource = tags::resource(ctx, &input.resource_arn).await?;
    let set = tags::checked(&input.resource_arn, input.tags)?;
    tags::check_room(ctx, &resource, &set).await?;
    ctx.catalog.tag(&resource, set, Vec::new()).await?;
    Ok(Empty {})
}
