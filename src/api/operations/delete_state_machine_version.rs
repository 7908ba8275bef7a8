//! `DeleteStateMachineVersion`: running executions of it go on; refused while an alias routes to it.

use serde::Deserialize;

use crate::api::arn::{self, Qualifier};
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::routes;
use crate::api::wire::Empty;
use crate::store::StoreError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    state_machine_version_arn: String,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Empty, ApiError> {
    let given = arn::machine_or_qualified(&input.state_machine_version_arn)?;
    if !matches!(given.qualifier, Some(Qualifier::Version(_))) {
        return Err(ApiError::validation(format!("A state machine version ARN is needed. Received: {}", given.full)));
    }
    let aliases = routes::aliases_of(ctx, &given.machine, |alias| {
        alias.routes.iter().any(|(version, _)| *version == given.full)
    })
    .await?;
    if !aliases.is_empty() {
        let names: Vec<&str> = aliases.iter().map(|alias| alias.name.as_str()).collect();
        let message = format!(
            "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this \
             version: [{}]",
            names.join(", ")
        );
        return Err(ApiError::new("ConflictException", message));
    }
    match ctx.catalog.delete_version(&given.full).await {
        Ok(()) | Err(StoreError::NotFound { .. }) => Ok(Empty {}),
        Err(error) => Err(error.into()),
    }
}
