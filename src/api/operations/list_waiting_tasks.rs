//! `Reveille.ListWaitingTasks`, our own operation: tasks that wait for an answer, with age, destination and task token.
//! Because of the tokens it needs the right to complete tasks.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::page::{self, Listing};
use crate::api::wire::EpochSeconds;
use crate::clock::Timestamp;
use crate::engine::{WaitingQuery, WaitingTask};
use crate::ids::{EventId, ExecutionId, TaskKey};

const TASKS_MAX: u32 = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    execution_arn: Option<String>,
    state_machine_arn: Option<String>,
    /// The queue, or another destination in the words of the listing.
    destination: Option<String>,
    /// Only tasks that have waited for so many seconds.
    waited_seconds: Option<u32>,
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    tasks: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    execution_arn: String,
    state_machine_arn: String,
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
    timeout: Option<EpochSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_due: Option<EpochSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_heartbeat: Option<EpochSeconds>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let size = page::size(input.max_results);
    if size > TASKS_MAX {
        return Err(ApiError::validation(format!(
            "1 validation error detected: Value '{size}' at 'maxResults' failed to satisfy constraint: \
             Member must have value less than or equal to {TASKS_MAX}"
        )));
    }
    if input.execution_arn.is_some() { of_execution(ctx, &input, size).await } else { of_all(ctx, &input, size).await }
}

/// From the execution's journal: all of its open tasks as of now, so many at most.
async fn of_execution(ctx: &Context, input: &Input, size: u32) -> Result<Output, ApiError> {
    let others = [input.state_machine_arn.is_some(), input.destination.is_some(), input.waited_seconds.is_some()];
    if others.contains(&true) || input.next_token.is_some() {
        return Err(ApiError::validation(
            "executionArn lists all open tasks of that execution: it goes with maxResults alone",
        ));
    }
    let execution = arn::execution(input.execution_arn.as_deref().unwrap_or_default())?;
    let mut tasks = ctx.engine().waiting_tasks_of(&execution).await?;
    page::cut(&mut tasks, size);
    Ok(Output { tasks: tasks.into_iter().map(item).collect(), next_token: None })
}

async fn of_all(ctx: &Context, input: &Input, size: u32) -> Result<Output, ApiError> {
    let now = ctx.now();
    let machine = input.state_machine_arn.as_deref().map(arn::any_machine).transpose()?;
    let waited = input.waited_seconds.map(|seconds| seconds.to_string());
    let parameters = [&input.state_machine_arn, &input.destination, &waited];
    let parameters = parameters.map(|p| p.as_deref().unwrap_or_default());
    let listing = Listing { operation: "Reveille.ListWaitingTasks", parameters: &parameters };
    let cursor = match &input.next_token {
        Some(token) => Some(parse_cursor(&ctx.pages.open(listing, token, now)?).ok_or_else(ApiError::invalid_token)?),
        None => None,
    };
    let mut tasks = ctx
        .engine()
        .waiting_tasks(WaitingQuery {
            state_machine: machine.map(|machine| machine.machine),
            destination: input.destination.clone(),
            before: input.waited_seconds.map(|seconds| now.plus_seconds(-f64::from(seconds))),
            after: cursor,
            limit: size + 1,
        })
        .await?;
    let more = page::cut(&mut tasks, size);
    let next_token = tasks.last().filter(|_| more).map(|last| ctx.pages.seal(listing, &cursor_behind(last), now));
    Ok(Output { tasks: tasks.into_iter().map(item).collect(), next_token })
}

fn cursor_behind(task: &WaitingTask) -> String {
    format!("{}:{}:{}", task.wait.since.millis(), task.key.execution, task.key.scheduled.0)
}

fn parse_cursor(text: &str) -> Option<(Timestamp, TaskKey)> {
    let mut parts = text.split(':');
    let since = Timestamp::from_millis(parts.next()?.parse().ok()?);
    let execution = ExecutionId(Uuid::parse_str(parts.next()?).ok()?);
    Some((since, TaskKey { execution, scheduled: EventId(parts.next()?.parse().ok()?) }))
}

fn item(task: WaitingTask) -> Item {
    let WaitingTask { execution, state_machine, token, wait, .. } = task;
    Item {
        execution_arn: execution.to_string(),
        state_machine_arn: state_machine.to_string(),
        scheduled_event_id: wait.scheduled.0,
        due: wait.due().map(EpochSeconds),
        timeout: wait.timeout.map(EpochSeconds),
        heartbeat_due: wait.heartbeat_due.map(EpochSeconds),
        last_heartbeat: wait.last_heartbeat.map(EpochSeconds),
        state_name: wait.state,
        resource: wait.resource,
        task_token: token,
        attempt: wait.attempt,
        destination: wait.destination,
        submitted: wait.submitted,
        since: wait.since.into(),
    }
}
