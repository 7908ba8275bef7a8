//! `Reveille.ReplayParkedMessages`, our own operation: sends parked messages to their queue again.

use serde_json::Value;

use crate::api::context::Context;
use crate::api::error::ApiError;

use super::parked_messages::{self, Chosen};

pub async fn handle(ctx: &Context, input: Chosen) -> Result<Value, ApiError> {
    parked_messages::replay(ctx, input).await
}
