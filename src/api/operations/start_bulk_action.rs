//! `Reveille.StartBulkAction`, our own operation: stops or redrives all executions that a query finds, or sends parked
//! messages again. With `dryRun` it only tells how many there are.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::bulk::{self, Wish};
use crate::api::context::Context;
use crate::api::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    #[serde(flatten)]
    wish: Wish,
    #[serde(default)]
    dry_run: bool,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Value, ApiError> {
    if input.dry_run {
        let count = bulk::count(ctx, &input.wish).await?;
        return Ok(json!({"expected": count.matches, "expectedMore": count.more}));
    }
    Ok(bulk::start(ctx, input.wish).await?.shown())
}
