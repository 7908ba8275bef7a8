//! `Reveille.ListForms`, our own operation: the names of the forms beside definitions.

use serde::{Deserialize, Serialize};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::forms;
use crate::api::page::{self, Listing};

const LISTING: Listing<'_> = Listing { operation: "Reveille.ListForms", parameters: &[] };
/// As AWS bounds its listings.
const FORMS_MAX: u32 = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    forms: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    name: String,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let now = ctx.now();
    let after = input.next_token.map(|token| ctx.pages.open(LISTING, &token, now)).transpose()?;
    let size = page::size(input.max_results).min(FORMS_MAX);
    let mut rows = ctx.catalog.notes(forms::KIND, after, size + 1).await?;
    let more = page::cut(&mut rows, size);
    let next_token = rows.last().filter(|_| more).map(|last| ctx.pages.seal(LISTING, &last.key, now));
    Ok(Output { forms: rows.into_iter().map(|row| Item { name: row.key }).collect(), next_token })
}
