//! `Reveille.CreateSignIn`, our own operation: a code with which the caller's browser signs in to the console, once. It
//! has the rights of the key that asked.

use serde::{Deserialize, Serialize};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::sign_in;
use crate::api::wire::EpochSeconds;
use crate::interpreter::event::By;

#[derive(Deserialize)]
pub struct Input {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Absent where there are no keys and so no sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<EpochSeconds>,
}

pub async fn handle(ctx: &Context, _: Input) -> Result<Output, ApiError> {
    let Some(By::Key(key)) = &ctx.asker.by else { return Ok(Output { code: None, expires: None }) };
    let (code, until) = sign_in::make(&*ctx.catalog, key, ctx.now()).await?;
    Ok(Output { code: Some(code), expires: Some(until.into()) })
}
