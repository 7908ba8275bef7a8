//! `ListStateMachineVersions`: highest number first. AWS: a machine that does not exist has none.

use serde::{Deserialize, Serialize};

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::page::{self, Listing};
use crate::api::wire::EpochSeconds;
use crate::store::VersionRow;

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
    state_machine_versions: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    state_machine_version_arn: String,
    creation_date: EpochSeconds,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let given = arn::machine_or_qualified(&input.state_machine_arn)?;
    let now = ctx.now();
    let parameters = [input.state_machine_arn.as_str()];
    let listing = Listing { operation: "ListStateMachineVersions", parameters: &parameters };
    let after = match &input.next_token {
        Some(token) => Some(ctx.pages.open(listing, token, now)?.parse().map_err(|_| ApiError::invalid_token())?),
        None => None,
    };
    let size = page::size(input.max_results);
    let mut rows = ctx.catalog.versions(&given.machine, after, size + 1).await?;
    let more = page::cut(&mut rows, size);
    let next_token = rows.last().filter(|_| more).map(|last| ctx.pages.seal(listing, &last.number.to_string(), now));
    let item = |row: VersionRow| Item { state_machine_version_arn: row.arn.to_string(),
        creation_date: row.created.into() };
    Ok(Output { state_machine_versions: rows.into_iter().map(item).collect(), next_token })
}
