//! `TestState`: not there yet; says so.

use serde::Deserialize;

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::Empty;

#[derive(Deserialize)]
pub struct Input {}

pub async fn handle(_: &Context, _: Input) -> Result<Empty, ApiError> {
    Err(ApiError::new("UnsupportedOperationException", "TestState is not supported by this version of Reveille"))
}
