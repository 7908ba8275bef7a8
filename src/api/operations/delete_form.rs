//! `Reveille.DeleteForm`, our own operation. States that a tag joins to it are shown without a form.

use serde::Deserialize;

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::forms;
use crate::api::wire::Empty;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    name: String,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    let taken = ctx.catalog.take_note(forms::KIND, &input.name).await?;
    taken.map(|_| Empty {}).ok_or_else(|| ApiError::resource_not_found(&input.name))
}
