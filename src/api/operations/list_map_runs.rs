//! `ListMapRuns`: of one execution.

use serde::{Deserialize, Serialize};

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::page::{self, Listing};
use crate::api::wire::EpochSeconds;
use crate::ids::Arn;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    execution_arn: String,
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    map_runs: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    execution_arn: String,
    map_run_arn: String,
    state_machine_arn: String,
    start_date: EpochSeconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_date: Option<EpochSeconds>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let execution = arn::execution(&input.execution_arn)?;
    let execution = ctx.engine().execution(&execution).await?.header;
    let now = ctx.now();
    let parameters = [input.execution_arn.as_str()];
    let listing = Listing { operation: "ListMapRuns", parameters: &parameters };
    let after = input.next_token.as_deref().map(|token| ctx.pages.open(listing, token, now)).transpose()?;
    let size = page::size(input.max_results);
    let mut rows = ctx.catalog.map_runs(execution.id, after.map(Arn::new), size + 1).await?;
    let more = page::cut(&mut rows, size);
    let next_token = rows.last().filter(|_| more).map(|last| ctx.pages.seal(listing, last.arn.as_str(), now));
    let item = |row: crate::store::MapRunRow| Item {
        execution_arn: execution.arn.to_string(),
        map_run_arn: row.arn.to_string(),
        state_machine_arn: of_its_children(&row.arn),
        start_date: row.started.into(),
        stop_date: row.stopped.map(EpochSeconds),
    };
    Ok(Output { map_runs: rows.into_iter().map(item).collect(), next_token })
}

/// The machine of the run's child executions: `…:stateMachine:machine/label`.
fn of_its_children(run: &Arn) -> String {
    let (run, _) = run.as_str().rsplit_once(':').unwrap_or((run.as_str(), ""));
    run.replacen(":mapRun:", ":stateMachine:", 1)
}
