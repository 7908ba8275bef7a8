//! `DeleteStateMachine`: no new executions from here on; the machine is gone when its running ones have ended.

use serde::Deserialize;

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::Empty;
use crate::store::StoreError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    state_machine_arn: String,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    let given = arn::machine_or_qualified(&input.state_machine_arn)?;
    if given.qualifier.is_some() {
        return Err(ApiError::validation(
            "DeleteStateMachine takes the ARN of a state machine; use DeleteStateMachineVersion or \
             DeleteStateMachineAlias for a version or an alias",
        ));
    }
    match ctx.catalog.delete_machine(&given.machine).await {
        // Recorded: deleting a machine that does not exist succeeds.
        Ok(()) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    // Where no execution runs, the name is free at once.
    ctx.catalog.reap_machines().await?;
    Ok(Empty {})
}
