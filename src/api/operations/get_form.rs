//! `Reveille.GetForm`, our own operation: a form as it was put.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::forms;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    name: String,
    form: Value,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let found = ctx.catalog.note(forms::KIND, &input.name).await?;
    let note = found.ok_or_else(|| ApiError::resource_not_found(&input.name))?;
    let form = serde_json::from_str(&note.body).map_err(|_| ApiError::internal())?;
    Ok(Output { name: input.name, form })
}
