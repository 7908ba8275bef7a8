//! `DeleteStateMachineAlias`: deleting an alias that does not exist succeeds (recorded).

use serde::Deserialize;

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::routes;
use crate::api::wire::Empty;
use crate::store::StoreError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    state_machine_alias_arn: String,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    let given = routes::alias_arn(&input.state_machine_alias_arn)?;
    match ctx.catalog.delete_alias(&given.full).await {
        Ok(()) | Err(StoreError::NotFound { .. }) => Ok(Empty {}),
        Err(error) => Err(error.into()),
    }
}
