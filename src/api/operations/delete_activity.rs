//! `DeleteActivity`: deleting an activity that does not exist succeeds (recorded).

use serde::Deserialize;

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::Empty;
use crate::store::StoreError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    activity_arn: String,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    let activity = arn::activity(&input.activity_arn)?;
    match ctx.catalog.delete_activity(&activity).await {
        Ok(()) | Err(StoreError::NotFound { .. }) => Ok(Empty {}),
        Err(error) => Err(error.into()),
    }
}
