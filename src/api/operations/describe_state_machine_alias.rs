//! `DescribeStateMachineAlias`.

use serde::{Deserialize, Serialize};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::routes::{self, Route};
use crate::api::wire::EpochSeconds;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    state_machine_alias_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    state_machine_alias_arn: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    routing_configuration: Vec<Route>,
    creation_date: EpochSeconds,
    update_date: EpochSeconds,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let alias = routes::alias(ctx, &input.state_machine_alias_arn).await?;
    let route = |(version, weight): (crate::ids::Arn, u8)| Route { state_machine_version_arn: version.to_string(),
        weight };
    Ok(Output {
        state_machine_alias_arn: alias.arn.to_string(),
        name: alias.name,
        description: alias.description,
        routing_configuration: alias.routes.into_iter().map(route).collect(),
        creation_date: alias.created.into(),
        update_date: alias.updated.into(),
    })
}
