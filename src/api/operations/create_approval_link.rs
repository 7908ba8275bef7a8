//! `Reveille.CreateApprovalLink`, our own operation: an address at which one person may answer one task, without a key.

use serde::{Deserialize, Serialize};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::links::{self, Made};
use crate::api::wire::EpochSeconds;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    execution_arn: String,
    scheduled_event_id: Option<u64>,
    state_name: Option<String>,
    /// A name or an address of e-mail, for the page, the journal and the log.
    #[serde(rename = "for")]
    audience: String,
    /// Labels of the form's actions; absent: all.
    actions: Option<Vec<String>>,
    expires_seconds: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    url: String,
    link_id: String,
    actions: Vec<String>,
    expires: EpochSeconds,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let state = input.state_name.as_deref();
    let task = links::task(ctx, &input.execution_arn, input.scheduled_event_id, state).await?;
    let labels = input.actions.as_ref().map(|labels| labels.iter().map(String::as_str).collect::<Vec<_>>());
    let made = links::make(ctx, &task, &input.audience, labels.as_deref(), input.expires_seconds)?;
    let Made { address, id, until, actions } = made;
    Ok(Output { url: address, link_id: id, actions, expires: until.into() })
}
