//! Map runs as the API shows them: the document that the engine keeps, completed from the rows beside it.
//!
//! `MapRunRow::body` holds AWS's own members (`status`, `maxConcurrency`, `toleratedFailureCount`, `itemCounts`, …);
//! missing members get AWS's defaults, and executions are counted from the index where the document has no counts.

use serde_json::{Map, Value, json};

use crate::engine;
use crate::ids::Arn;
use crate::store::{ExecutionFilter, ExecutionStatus, MapRunRow};

use super::context::Context;
use super::error::ApiError;

/// `DescribeMapRun`.
pub async fn described(ctx: &Context, row: MapRunRow) -> Result<Value, ApiError> {
    let execution = execution_arn(ctx, &row).await?;
    let executions = counted(ctx, &row).await?;
    let mut shown = match row.body {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    shown.insert("mapRunArn".into(), row.arn.as_str().into());
    shown.insert("executionArn".into(), execution.as_str().into());
    shown.insert("startDate".into(), json!(row.started.epoch_seconds()));
    if let Some(stopped) = row.stopped {
        shown.insert("stopDate".into(), json!(stopped.epoch_seconds()));
    }
    let mut default = |member: &str, value: Value| {
        shown.entry(member).or_insert(value);
    };
    default("status", if row.stopped.is_some() { "SUCCEEDED" } else { "RUNNING" }.into());
    default("maxConcurrency", 0.into());
    default("toleratedFailurePercentage", json!(0.0));
    default("toleratedFailureCount", 0.into());
    default("executionCounts", executions.clone());
    default("itemCounts", executions);
    default("redriveCount", 0.into());
    Ok(Value::Object(shown))
}

/// The execution that the run belongs to.
pub async fn execution_arn(ctx: &Context, row: &MapRunRow) -> Result<Arn, ApiError> {
    let execution = ctx.journal.execution(row.execution).await?;
    execution.map(|execution| execution.header.arn).ok_or_else(|| ApiError::resource_not_found(row.arn.as_str()))
}

async fn counted(ctx: &Context, run: &MapRunRow) -> Result<Value, ApiError> {
    let filter = ExecutionFilter {
        map_run: Some(run.arn.clone()),
        run_redriven: engine::redriven(run),
        ..ExecutionFilter::default()
    };
    let counts = ctx.journal.count(filter).await?;
    let of = |status| counts.iter().find(|(s, _)| *s == status).map_or(0, |(_, n)| *n);
    Ok(json!({
        "pending": 0,
        "running": of(ExecutionStatus::Running),
        "succeeded": of(ExecutionStatus::Succeeded),
        "failed": of(ExecutionStatus::Failed),
        "timedOut": of(ExecutionStatus::TimedOut),
        "aborted": of(ExecutionStatus::Aborted),
        "total": counts.iter().map(|(_, n)| n).sum::<u64>(),
        "resultsWritten": 0,
        "failuresNotRedrivable": 0,
        "pendingRedrive": of(ExecutionStatus::PendingRedrive),
    }))
}
