//! `ListExecutions`: newest start first, of a state machine, of one of its versions or aliases, or of a map run.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::arn::{self, Qualifier};
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::machines;
use crate::api::page::{self, Listing};
use crate::api::wire::EpochSeconds;
use crate::clock::Timestamp;
use crate::engine;
use crate::ids::ExecutionId;
use crate::store::{ExecutionFilter, ExecutionRow, ExecutionStatus, MachineType};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    state_machine_arn: Option<String>,
    map_run_arn: Option<String>,
    status_filter: Option<String>,
    redrive_filter: Option<String>,
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    executions: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    execution_arn: String,
    state_machine_arn: String,
    name: String,
    status: &'static str,
    start_date: EpochSeconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_date: Option<EpochSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_run_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_machine_version_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_machine_alias_arn: Option<String>,
    redrive_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    redrive_date: Option<EpochSeconds>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let now = ctx.now();
    let mut filter = match (&input.state_machine_arn, &input.map_run_arn) {
        (Some(machine), None) => of_machine(ctx, machine).await?,
        (None, Some(run)) => of_map_run(ctx, run).await?,
        // Recorded.
        (None, None) => return Err(ApiError::validation("Must provide a StateMachine ARN or MapRun ARN")),
        (Some(_), Some(_)) => {
            return Err(ApiError::validation("Must specify exactly one of stateMachineArn and mapRunArn"));
        }
    };
    let status = input.status_filter.as_deref().and_then(ExecutionStatus::parse);
    if status == Some(ExecutionStatus::PendingRedrive) && filter.map_run.is_none() {
        return Err(ApiError::validation("A statusFilter of PENDING_REDRIVE requires a mapRunArn"));
    }
    filter.status = status;
    filter.redriven = input.redrive_filter.as_deref().map(|filter| filter == "REDRIVEN");

    let parameters = [&input.state_machine_arn, &input.map_run_arn, &input.status_filter, &input.redrive_filter];
    let parameters = parameters.map(|p| p.as_deref().unwrap_or_default());
    let listing = Listing { operation: "ListExecutions", parameters: &parameters };
    if let Some(token) = &input.next_token {
        let cursor = ctx.pages.open(listing, token, now)?;
        filter.after = Some(parse_cursor(&cursor).ok_or_else(ApiError::invalid_token)?);
    }
    let size = page::size(input.max_results);
    filter.limit = size + 1;
    filter.brief = true;
    let mut rows = ctx.journal.list(filter).await?;
    let more = page::cut(&mut rows, size);
    let next_token = rows.last().filter(|_| more).map(|last| ctx.pages.seal(listing, &cursor(last), now));
    Ok(Output { executions: rows.into_iter().map(item).collect(), next_token })
}

async fn of_machine(ctx: &Context, text: &str) -> Result<ExecutionFilter, ApiError> {
    let given = arn::any_machine(text)?;
    let row = machines::machine(ctx, &given).await?;
    if row.kind == MachineType::Express {
        return Err(ApiError::type_not_supported());
    }
    match &given.qualifier {
        None => return Ok(ExecutionFilter { state_machine: Some(given.full), ..ExecutionFilter::default() }),
        Some(Qualifier::Version(_)) => {
            ctx.catalog.version(&given.full).await?.ok_or_else(|| ApiError::machine_does_not_exist(text))?;
        }
        Some(Qualifier::Alias(_)) => {
            ctx.catalog.alias(&given.full).await?.ok_or_else(|| ApiError::resource_not_found(text))?;
        }
    }
    // Children of a map run have the version and the alias of their parent's machine; they are listed with their run.
    Ok(ExecutionFilter { state_machine: Some(given.machine), qualified: Some(given.full),
        ..ExecutionFilter::default() })
}

async fn of_map_run(ctx: &Context, text: &str) -> Result<ExecutionFilter, ApiError> {
    let run = arn::map_run(text)?;
    let row = ctx.catalog.map_run(&run).await?.ok_or_else(|| ApiError::resource_not_found(text))?;
    Ok(ExecutionFilter { map_run: Some(run), run_redriven: engine::redriven(&row), ..ExecutionFilter::default() })
}

fn cursor(row: &ExecutionRow) -> String {
    format!("{}:{}", row.header.started.millis(), row.header.id)
}

fn parse_cursor(text: &str) -> Option<(Timestamp, ExecutionId)> {
    let (millis, id) = text.split_once(':')?;
    Some((Timestamp::from_millis(millis.parse().ok()?), ExecutionId(Uuid::parse_str(id).ok()?)))
}

fn item(row: ExecutionRow) -> Item {
    let (header, summary) = (row.header, row.summary);
    Item {
        execution_arn: header.arn.to_string(),
        state_machine_arn: header.state_machine.to_string(),
        name: header.name,
        status: summary.status.as_str(),
        start_date: header.started.into(),
        stop_date: summary.closed.map(|closed| closed.at.into()),
        map_run_arn: header.map_run.map(|arn| arn.to_string()),
        state_machine_version_arn: header.version_arn.map(|arn| arn.to_string()),
        state_machine_alias_arn: header.alias_arn.map(|arn| arn.to_string()),
        redrive_count: summary.redrive_count,
        redrive_date: summary.redriven_at.map(EpochSeconds),
    }
}
