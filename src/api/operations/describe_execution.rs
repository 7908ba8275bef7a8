//! `DescribeExecution`.

use serde::{Deserialize, Serialize};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::{EpochSeconds, Included, IncludedData};
use crate::api::arn;
use crate::engine::QUARANTINED;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    execution_arn: String,
    #[serde(default)]
    included_data: IncludedData,
}

/// Members that do not apply are left out, as AWS does; `outputDetails` goes with an output (recorded).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "AWS's names")]
pub struct Output {
    execution_arn: String,
    state_machine_arn: String,
    name: String,
    status: &'static str,
    start_date: EpochSeconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_date: Option<EpochSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    input_details: Included,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_details: Option<Included>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_run_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_machine_version_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_machine_alias_arn: Option<String>,
    redrive_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    redrive_date: Option<EpochSeconds>,
    redrive_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    redrive_status_reason: Option<String>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let execution = arn::execution(&input.execution_arn)?;
    let row = ctx.engine().execution(&execution).await?;
    let (redrive_status, redrive_status_reason) = ctx.engine().redrive_status(&row).await?;
    let included = ctx.payloads && input.included_data.all();
    let (header, summary) = (row.header, row.summary);
    let (stop_date, output, error, cause) = match summary.closed {
        Some(closed) => (Some(closed.at.into()), closed.output, closed.error, closed.cause),
        // The execution stands still, and its owner must see why.
        None => match ctx.engine().quarantined(header.id) {
            Some(why) => (None, None, Some(QUARANTINED.to_owned()), Some(why)),
            None => (None, None, None, None),
        },
    };
    Ok(Output {
        execution_arn: header.arn.to_string(),
        state_machine_arn: header.state_machine.to_string(),
        name: header.name,
        status: summary.status.as_str(),
        start_date: header.started.into(),
        stop_date,
        input: included.then_some(header.input),
        input_details: Included { included },
        output_details: output.is_some().then_some(Included { included }),
        output: output.filter(|_| included),
        trace_header: header.trace_header,
        map_run_arn: header.map_run.map(|arn| arn.to_string()),
        error: error.filter(|_| included),
        cause: cause.filter(|_| included),
        state_machine_version_arn: header.version_arn.map(|arn| arn.to_string()),
        state_machine_alias_arn: header.alias_arn.map(|arn| arn.to_string()),
        redrive_count: summary.redrive_count,
        redrive_date: summary.redriven_at.map(EpochSeconds),
        redrive_status,
        redrive_status_reason,
    })
}
