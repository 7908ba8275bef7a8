//! `ListActivities`.

use serde::{Deserialize, Serialize};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::page::{self, Listing};
use crate::api::wire::EpochSeconds;
use crate::ids::Arn;

const LISTING: Listing<'_> = Listing { operation: "ListActivities", parameters: &[] };

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    activities: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    activity_arn: String,
    name: String,
    creation_date: EpochSeconds,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let now = ctx.now();
    let after = input.next_token.map(|token| ctx.pages.open(LISTING, &token, now)).transpose()?;
    let size = page::size(input.max_results);
    let mut rows = ctx.catalog.activities(after.map(Arn::new), size + 1).await?;
    let more = page::cut(&mut rows, size);
    let next_token = rows.last().filter(|_| more).map(|last| ctx.pages.seal(LISTING, last.arn.as_str(), now));
    let item =
        |row: crate::store::ActivityRow| Item { activity_arn: row.arn.to_string(), name: row.name,
            creation_date: row.created.into() };
    Ok(Output { activities: rows.into_iter().map(item).collect(), next_token })
}
