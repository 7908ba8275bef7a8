//! `UpdateMapRun`: concurrency and tolerance of a map run that is going on.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::Empty;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    map_run_arn: String,
    max_concurrency: Option<i64>,
    tolerated_failure_percentage: Option<f64>,
    tolerated_failure_count: Option<i64>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    let arn = arn::map_run(&input.map_run_arn)?;
    let changes: Vec<(&str, Value)> = [
        ("maxConcurrency", input.max_concurrency.map(Value::from)),
        ("toleratedFailurePercentage", input.tolerated_failure_percentage.map(|p| json!(p))),
        ("toleratedFailureCount", input.tolerated_failure_count.map(Value::from)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    if changes.is_empty() {
        let message = "One of maxConcurrency, toleratedFailurePercentage and toleratedFailureCount must be specified";
        return Err(ApiError::validation_because("MISSING_REQUIRED_PARAMETER", message));
    }
    let mut row = ctx.catalog.map_run(&arn).await?.ok_or_else(|| ApiError::resource_not_found(&input.map_run_arn))?;
    if row.stopped.is_some() {
        let message = "A Map Run that has ended cannot be updated";
        return Err(ApiError::validation_because("CANNOT_UPDATE_COMPLETED_MAP_RUN", message));
    }
    if let Value::Object(body) = &mut row.body {
        body.extend(changes.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    ctx.catalog.put_map_run(row).await?;
    Ok(Empty {})
}
