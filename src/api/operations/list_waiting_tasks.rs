//! `Reveille.ListWaitingTasks`, our own operation: tasks that wait for an answer, with age, destination and task token.
//! Because of the tokens it needs the right to complete tasks.

use serde::{Deserialize, Serialize};

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::EpochSeconds;
use crate::engine::WaitingTask;

const TASKS_DEFAULT: usize = 100;
const TASKS_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    execution_arn: Option<String>,
    max_results: Option<usize>,
}

#[derive(Serialize)]
pub struct Output {
    tasks: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    execution_arn: String,
    state_name: String,
    resource: String,
    task_token: String,
    scheduled_event_id: u64,
    attempt: u32,
    destination: String,
    submitted: bool,
    since: EpochSeconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<EpochSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_heartbeat: Option<EpochSeconds>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let execution = input.execution_arn.as_deref().map(arn::execution).transpose()?;
    let limit = input.max_results.filter(|n| *n > 0).unwrap_or(TASKS_DEFAULT);
    if limit > TASKS_MAX {
        return Err(ApiError::validation(format!(
            "1 validation error detected: Value '{limit}' at 'maxResults' failed to satisfy constraint: \
             Member must have value less than or equal to {TASKS_MAX}"
        )));
    }
    let tasks = ctx.engine().waiting_tasks(execution.as_ref(), limit).await?;
    Ok(Output { tasks: tasks.into_iter().map(item).collect() })
}

fn item(task: WaitingTask) -> Item {
    Item {
        execution_arn: task.execution.to_string(),
        state_name: task.state,
        resource: task.resource,
        task_token: task.token,
        scheduled_event_id: task.scheduled.0,
        attempt: task.attempt,
        destination: task.destination,
        submitted: task.submitted,
        since: task.since.into(),
        due: task.due.map(EpochSeconds),
        last_heartbeat: task.last_heartbeat.map(EpochSeconds),
    }
}
