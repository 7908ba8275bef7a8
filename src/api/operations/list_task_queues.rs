//! `Reveille.ListTaskQueues`, our own operation: the queues that a state machine's definition names, and whether
//! workers consume them.

use serde::{Deserialize, Serialize};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::{arn, machines};
use crate::engine::TaskQueue;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    state_machine_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    task_queues: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    queue: String,
    states: Vec<String>,
    exists: bool,
    consumers: u32,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let given = arn::machine_or_qualified(&input.state_machine_arn)?;
    let machine = machines::resolve(ctx, &given).await?;
    let queues = ctx.engine().task_queues(&machine.revision.definition).await?;
    Ok(Output { task_queues: queues.into_iter().map(item).collect() })
}

fn item(TaskQueue { queue, states, consumers }: TaskQueue) -> Item {
    Item { queue, states, exists: consumers.is_some(), consumers: consumers.unwrap_or_default() }
}
