//! `UpdateStateMachineAlias`.

use serde::{Deserialize, Serialize};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::routes::{self, Route};
use crate::api::wire::EpochSeconds;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    state_machine_alias_arn: String,
    description: Option<String>,
    routing_configuration: Option<Vec<Route>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    update_date: EpochSeconds,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    if input.description.is_none() && input.routing_configuration.is_none() {
        let message = "Either the description or the routing configuration must be specified";
        return Err(ApiError::validation_because("MISSING_REQUIRED_PARAMETER", message));
    }
    let given = routes::alias_arn(&input.state_machine_alias_arn)?;
    let alias = routes::alias(ctx, &input.state_machine_alias_arn).await;
    // The aliases of a machine go as soon as it is being deleted: then this is the error.
    match ctx.catalog.machine(&given.machine).await? {
        Some(row) if row.deleting => return Err(ApiError::machine_deleting(given.full.as_str())),
        _ => {}
    }
    let mut alias = alias?;
    if let Some(routes) = &input.routing_configuration {
        let (machine, routes) = routes::checked(ctx, routes).await?;
        if machine != alias.machine {
            return Err(ApiError::validation_because(
                "INVALID_ROUTING_CONFIGURATION",
                format!("Routing configuration must contain versions of the alias' own state machine. Received: \
                    [{machine}]"),
            ));
        }
        alias.routes = routes;
    }
    if input.description.is_some() {
        alias.description = input.description;
    }
    alias.updated = ctx.now();
    let updated = alias.updated;
    ctx.catalog.put_alias(alias, true).await?;
    Ok(Output { update_date: updated.into() })
}
