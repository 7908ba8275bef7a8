//! `Reveille.ListParkedMessages`, our own operation: lists parked messages, oldest first, without their bodies.

use serde_json::Value;

use crate::api::context::Context;
use crate::api::error::ApiError;

use super::parked_messages::{self, Chosen};

pub async fn handle(ctx: &Context, input: Chosen) -> Result<Value, ApiError> {
    parked_messages::list(ctx, input).await
}
