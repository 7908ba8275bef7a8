//! `GetExecutionHistory`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::history::{self, View};
use crate::api::page::{self, Listing};
use crate::engine::HistoryQuery;
use crate::ids::EventId;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    execution_arn: String,
    max_results: Option<u32>,
    #[serde(default)]
    reverse_order: bool,
    next_token: Option<String>,
    include_execution_data: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    events: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let execution = arn::execution(&input.execution_arn)?;
    let now = ctx.now();
    let parameters = [input.execution_arn.as_str(), if input.reverse_order { "reverse" } else { "" }];
    let listing = Listing { operation: "GetExecutionHistory", parameters: &parameters };
    let after = match &input.next_token {
        Some(token) => {
            let cursor = ctx.pages.open(listing, token, now)?;
            Some(EventId(cursor.parse().map_err(|_| ApiError::invalid_token())?))
        }
        None => None,
    };
    let limit = usize::try_from(page::size(input.max_results)).unwrap_or(usize::MAX);
    let page = ctx.engine().history(&execution, HistoryQuery { reverse: input.reverse_order, after, limit }).await?;
    let next_token = page.entries.last().filter(|_| page.more);
    let next_token = next_token.map(|last| ctx.pages.seal(listing, &last.id.to_string(), now));
    let data = ctx.payloads && input.include_execution_data.unwrap_or(true);
    let view = View { data, parameters: ctx.payloads, region: &ctx.realm.region };
    Ok(Output { events: page.entries.iter().filter_map(|entry| history::render(entry, view)).collect(), next_token })
}
