//! `Reveille.PurgeParkedMessages`, our own operation: deletes parked messages for good.

use serde_json::Value;

use crate::api::context::Context;
use crate::api::error::ApiError;

use super::parked_messages::{self, Chosen};

pub async fn handle(ctx: &Context, input: Chosen) -> Result<Value, ApiError> {
    parked_messages::purge(ctx, input).await
}
