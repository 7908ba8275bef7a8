//! `StartSyncExecution`: starts an express execution and answers when it has ended.

use serde::{Deserialize, Serialize};

use super::start_execution;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::{EpochSeconds, Included, IncludedData};

/// AWS bills in steps of 100 ms and 64 MB; we bill nothing, but clients read the members.
const BILLED_STEP_MILLIS: u64 = 100;
const BILLED_MEMORY_MB: u64 = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    #[serde(flatten)]
    start: start_execution::Input,
    #[serde(default)]
    included_data: IncludedData,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "AWS's names")]
pub struct Output {
    execution_arn: String,
    state_machine_arn: String,
    name: String,
    start_date: EpochSeconds,
    stop_date: EpochSeconds,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    input_details: Included,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    output_details: Included,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_header: Option<String>,
    billing_details: Billing,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Billing {
    #[serde(rename = "billedMemoryUsedInMB")]
    billed_memory_used_in_mb: u64,
    billed_duration_in_milliseconds: u64,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let included = input.included_data.all();
    let row = ctx.engine().start_sync_execution(input.start.into_request(ctx.asker.trace.clone())?).await?.row;
    let (header, summary) = (row.header, row.summary);
    let closed = summary.closed.ok_or_else(|| {
        tracing::error!(
            { crate::telemetry::fields::EXECUTION_ARN } = %header.arn,
            "a synchronous execution was answered before it closed"
        );
        ApiError::internal()
    })?;
    let millis = u64::try_from(closed.at.since(header.started).as_millis()).unwrap_or(u64::MAX);
    let steps = millis.div_ceil(BILLED_STEP_MILLIS).max(1);
    Ok(Output {
        execution_arn: header.arn.to_string(),
        state_machine_arn: header.state_machine.to_string(),
        name: header.name,
        start_date: header.started.into(),
        stop_date: closed.at.into(),
        status: summary.status.as_str(),
        error: closed.error,
        cause: closed.cause,
        input: included.then_some(header.input),
        input_details: Included { included },
        output: closed.output.filter(|_| included),
        output_details: Included { included },
        trace_header: header.trace_header,
        billing_details: Billing {
            billed_memory_used_in_mb: BILLED_MEMORY_MB,
            billed_duration_in_milliseconds: steps.saturating_mul(BILLED_STEP_MILLIS),
        },
    })
}
