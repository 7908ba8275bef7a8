//! `Reveille.DescribeLineage`, our own operation: the origins of an execution (the source of a fork, the parent whose
//! task waits for it), and what came from it.

use serde::{Deserialize, Serialize};

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::page;
use crate::api::wire::EpochSeconds;
use crate::engine::Lineage;
use crate::store::ExecutionRow;

/// Relatives that one answer holds of each kind.
const RELATIVES_MAX: u32 = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    execution_arn: String,
    max_results: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    execution_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    forked_from: Option<Origin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Relative>,
    forks: Vec<Relative>,
    children: Vec<Relative>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Origin {
    execution_arn: String,
    state_name: String,
    /// The event of the source that entered the state, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relative {
    execution_arn: String,
    status: &'static str,
    start_date: EpochSeconds,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let execution = arn::execution(&input.execution_arn)?;
    let limit = page::size(input.max_results).min(RELATIVES_MAX);
    let Lineage { row, forked, parent, forks, children } = ctx.engine().lineage(&execution, limit).await?;
    let origin = forked.map(|(forked, _)| Origin {
        execution_arn: forked.from.to_string(),
        state_name: forked.state.to_string(),
        event_id: Some(forked.event.0).filter(|event| *event > 0),
    });
    Ok(Output {
        execution_arn: row.header.arn.to_string(),
        forked_from: origin,
        parent: parent.as_ref().map(relative),
        forks: forks.iter().map(relative).collect(),
        children: children.iter().map(relative).collect(),
    })
}

fn relative(row: &ExecutionRow) -> Relative {
    Relative {
        execution_arn: row.header.arn.to_string(),
        status: row.summary.status.as_str(),
        start_date: row.header.started.into(),
    }
}
