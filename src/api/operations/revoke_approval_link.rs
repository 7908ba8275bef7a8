//! `Reveille.RevokeApprovalLink`, our own operation: a link that was made does nothing any more.

use serde::Deserialize;

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::links;
use crate::api::wire::Empty;
use crate::telemetry::fields;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    link_id: String,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    links::withdraw(ctx, &input.link_id).await?;
    tracing::info!(
        { fields::EVENT } = "link.revoked",
        { fields::LINK_ID } = input.link_id,
        { fields::TASK_BY } = ctx.asker.by.as_ref().map(ToString::to_string),
        "an approval link was withdrawn"
    );
    Ok(Empty {})
}
