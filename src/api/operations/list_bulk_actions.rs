//! `Reveille.ListBulkActions`, our own operation: bulk actions of the last 30 days, newest first.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::bulk::{self, Bulk};
use crate::api::context::Context;
use crate::api::error::ApiError;

/// Bulk actions of one answer.
const SHOWN_MAX: u32 = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    max_results: Option<u32>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Value, ApiError> {
    let limit = input.max_results.filter(|n| *n > 0).unwrap_or(100).min(SHOWN_MAX);
    let all = bulk::list(&*ctx.catalog, limit).await?;
    Ok(json!({"bulkActions": all.iter().map(Bulk::shown).collect::<Vec<_>>()}))
}
