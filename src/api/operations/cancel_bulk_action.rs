//! `Reveille.CancelBulkAction`, our own operation: lets a bulk action do no more. Its finished work stays.

use serde_json::Value;

use crate::api::bulk::{self, Status};
use crate::api::context::Context;
use crate::api::error::ApiError;

use super::describe_bulk_action::{Input, find};

pub async fn handle(ctx: &Context, input: Input) -> Result<Value, ApiError> {
    let found = find(ctx, &input.bulk_action_id).await?;
    if found.status == Status::Running {
        let by = ctx.asker.by.as_ref().map(ToString::to_string).unwrap_or_default();
        bulk::cancel(&*ctx.catalog, &found.id, &by, ctx.now()).await?;
        ctx.bulk.notify_one();
    }
    Ok(found.shown())
}
