//! `CreateStateMachineAlias`. AWS: idempotent by stateMachineArn, description, name and routingConfiguration.

use serde::{Deserialize, Serialize};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::routes::{self, Route};
use crate::api::wire::EpochSeconds;
use crate::clock::Timestamp;
use crate::ids::Arn;
use crate::store::{AliasRow, StoreError};

/// AWS: the number of aliases of a state machine.
const ALIASES_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    description: Option<String>,
    name: String,
    routing_configuration: Vec<Route>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    state_machine_alias_arn: String,
    creation_date: EpochSeconds,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let (machine, routes) = routes::checked(ctx, &input.routing_configuration).await?;
    let now = ctx.now();
    let alias = AliasRow {
        arn: Arn::new(format!("{machine}:{}", input.name)),
        machine: machine.clone(),
        name: input.name,
        description: input.description,
        routes,
        created: now,
        updated: now,
    };
    let before = ctx.catalog.alias(&alias.arn).await?;
    let created = match before {
        Some(before) => same(&before, &alias)?,
        None => create(ctx, &alias).await?,
    };
    Ok(Output { state_machine_alias_arn: alias.arn.to_string(), creation_date: created.into() })
}

async fn create(ctx: &Context, alias: &AliasRow) -> Result<Timestamp, ApiError> {
    if routes::aliases_of(ctx, &alias.machine, |_| true).await?.len() >= ALIASES_MAX {
        let message = format!("A state machine can have at most {ALIASES_MAX} aliases: '{}'", alias.machine);
        return Err(ApiError::new("ServiceQuotaExceededException", message));
    }
    match ctx.catalog.put_alias(alias.clone(), false).await {
        Ok(()) => Ok(alias.created),
        // Another request was faster: its alias counts as an existing one.
        Err(StoreError::AlreadyExists { .. }) => {
            let before = ctx.catalog.alias(&alias.arn).await?.ok_or_else(|| routes::missing(alias.arn.as_str()))?;
            same(&before, alias)
        }
        Err(error) => Err(error.into()),
    }
}

fn same(before: &AliasRow, wanted: &AliasRow) -> Result<Timestamp, ApiError> {
    if before.description == wanted.description && before.routes == wanted.routes {
        return Ok(before.created);
    }
    let message = "Failed to create alias because an alias with the same name and a different routing configuration \
        already exists.";
    Err(ApiError::new("ConflictException", message))
}
