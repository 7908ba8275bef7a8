//! `Reveille.DescribeParkedMessage`, our own operation: shows a parked message whole; its token is masked.

use serde_json::Value;

use crate::api::context::Context;
use crate::api::error::ApiError;

use super::parked_messages::{self, One};

pub async fn handle(ctx: &Context, input: One) -> Result<Value, ApiError> {
    parked_messages::describe(ctx, input).await
}
