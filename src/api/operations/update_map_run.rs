//! `UpdateMapRun`: concurrency and tolerance of a running map run.

use serde::Deserialize;

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::Empty;
use crate::engine::{MapRunChange, MapRunError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    map_run_arn: String,
    max_concurrency: Option<u64>,
    tolerated_failure_percentage: Option<f64>,
    tolerated_failure_count: Option<u64>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    let arn = arn::map_run(&input.map_run_arn)?;
    let change = MapRunChange {
        max_concurrency: input.max_concurrency,
        tolerated_failure_count: input.tolerated_failure_count,
        tolerated_failure_percentage: input.tolerated_failure_percentage,
    };
    if change == MapRunChange::default() {
        let message = "One of maxConcurrency, toleratedFailurePercentage and toleratedFailureCount must be specified";
        return Err(ApiError::validation_because("MISSING_REQUIRED_PARAMETER", message));
    }
    match ctx.engine().update_map_run(&arn, change).await {
        Ok(()) => Ok(Empty {}),
        Err(MapRunError::DoesNotExist(_)) => Err(ApiError::resource_not_found(&input.map_run_arn)),
        Err(e @ MapRunError::Ended(_)) => Err(ApiError::validation_because("CANNOT_UPDATE_COMPLETED_MAP_RUN",
            e.to_string())),
        Err(MapRunError::Engine(e)) => Err(e.into()),
    }
}
