//! `Reveille.PutForm`, our own operation: a form beside definitions. The tag `reveille:form:<state>` of a machine joins
//! it to a state.

use serde::Deserialize;
use serde_json::Value;

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::forms;
use crate::api::wire::Empty;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    name: String,
    form: Value,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    forms::name(&input.name)?;
    ctx.catalog.put_note(forms::note(input.name, &input.form)?, false, ctx.now()).await?;
    Ok(Empty {})
}
