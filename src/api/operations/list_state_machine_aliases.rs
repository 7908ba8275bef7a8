//! `ListStateMachineAliases`: of a machine, or those that route to one of its versions; oldest first (recorded).

use serde::{Deserialize, Serialize};

use crate::api::arn::{self, Qualifier};
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::page::{self, Listing};
use crate::api::wire::EpochSeconds;
use crate::api::{machines, routes};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    state_machine_arn: String,
    next_token: Option<String>,
    max_results: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    state_machine_aliases: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    state_machine_alias_arn: String,
    creation_date: EpochSeconds,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let given = arn::machine_or_qualified(&input.state_machine_arn)?;
    let now = ctx.now();
    let parameters = [input.state_machine_arn.as_str()];
    let listing = Listing { operation: "ListStateMachineAliases", parameters: &parameters };
    let after = input.next_token.as_deref().map(|token| ctx.pages.open(listing, token, now)).transpose()?;
    machines::live(ctx, &given).await?;
    let version = match &given.qualifier {
        None => None,
        Some(Qualifier::Version(_)) => Some(&given.full),
        Some(Qualifier::Alias(_)) => {
            return Err(ApiError::invalid_arn(format!("A state machine or version ARN is needed: {}", given.full)));
        }
    };
    if let Some(version) = version
        && ctx.catalog.version(version).await?.is_none()
    {
        return Err(routes::missing(version.as_str()));
    }

    // A machine has at most 100 aliases: all are read, then cut to the page.
    let mut rows =
        routes::aliases_of(ctx, &given.machine, |alias| {
            version.is_none_or(|v| alias.routes.iter().any(|(to, _)| to == v))
        })
        .await?;
    if let Some(after) = after
        && let Some(at) = rows.iter().position(|alias| alias.arn.as_str() == after)
    {
        rows.drain(..=at);
    }
    let more = page::cut(&mut rows, page::size(input.max_results));
    let next_token = rows.last().filter(|_| more).map(|last| ctx.pages.seal(listing, last.arn.as_str(), now));
    let item = |alias: crate::store::AliasRow| Item { state_machine_alias_arn: alias.arn.to_string(),
        creation_date: alias.created.into() };
    Ok(Output { state_machine_aliases: rows.into_iter().map(item).collect(), next_token })
}
