//! `Reveille.DescribeBulkAction`, our own operation: how far a bulk action has come, and what refused it.

use serde::Deserialize;
use serde_json::Value;

use crate::api::bulk::{self, Bulk};
use crate::api::context::Context;
use crate::api::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    pub bulk_action_id: String,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Value, ApiError> {
    Ok(find(ctx, &input.bulk_action_id).await?.shown())
}

pub async fn find(ctx: &Context, id: &str) -> Result<Bulk, ApiError> {
    bulk::find(&*ctx.catalog, id).await?.ok_or_else(|| ApiError::resource_not_found(id))
}
