//! `CreateActivity`: idempotent by name. AWS: "If a following request has different tags values, Step Functions will
//! ignore these differences and treat it as an idempotent request of the previous."

use serde::{Deserialize, Serialize};

use crate::api::configuration::Encryption;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::{EpochSeconds, Tag};
use crate::api::{arn, tags};
use crate::ids::Arn;
use crate::store::{ActivityRow, StoreError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    name: String,
    #[serde(default)]
    tags: Vec<Tag>,
    encryption_configuration: Option<Encryption>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    activity_arn: String,
    creation_date: EpochSeconds,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    arn::name(&input.name)?;
    let encryption = input.encryption_configuration.unwrap_or_default();
    let activity = ctx.realm.activity(&input.name);
    if let Err(error) = encryption.check(ctx.kms) {
        // AWS reports an existing activity before it checks the key.
        return Err(if ctx.catalog.activity(&activity).await?.is_some() { already_exists(&activity) } else { error });
    }
    let new_tags = tags::checked(activity.as_str(), input.tags)?;
    let configuration = serde_json::to_value(&encryption).unwrap_or_default();
    let row = ActivityRow { arn: activity.clone(), name: input.name, created: ctx.now(), configuration };

    match ctx.catalog.put_activity(row.clone()).await {
        Ok(()) => {}
        Err(StoreError::AlreadyExists { .. }) => {
            let before = ctx.catalog.activity(&activity).await?;
            return match before {
                Some(before) if before.configuration == row.configuration => {
                    Ok(Output { activity_arn: activity.to_string(), creation_date: before.created.into() })
                }
                _ => Err(already_exists(&activity)),
            };
        }
        Err(error) => return Err(error.into()),
    }
    if !new_tags.is_empty() {
        ctx.catalog.tag(&activity, new_tags, Vec::new()).await?;
    }
    Ok(Output { activity_arn: activity.to_string(), creation_date: row.created.into() })
}

/// The model: "Activity already exists. `EncryptionConfiguration` may not be updated."
fn already_exists(activity: &Arn) -> ApiError {
    ApiError::new("ActivityAlreadyExists", format!("Activity Already Exists: '{activity}'"))
}
