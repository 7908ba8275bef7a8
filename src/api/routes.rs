//! Routing of aliases: one or two versions of one machine, weights that add up to 100.

use serde::{Deserialize, Serialize};

use crate::ids::Arn;
use crate::limits::NAME_CHARS_MAX;
use crate::store::AliasRow;

use super::arn::{self, MachineArn, Qualifier};
use super::context::Context;
use super::error::ApiError;

const ALIASES_PER_READ: u32 = 100;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    pub state_machine_version_arn: String,
    pub weight: u8,
}

fn wrong(message: String) -> ApiError {
    ApiError::validation_because("INVALID_ROUTING_CONFIGURATION", message)
}

/// Checks routes. Returns the machine of all versions, and the routes for the catalog.
pub async fn checked(ctx: &Context, routes: &[Route]) -> Result<(Arn, Vec<(Arn, u8)>), ApiError> {
    let arns: Vec<&str> = routes.iter().map(|route| route.state_machine_version_arn.as_str()).collect();
    let received = format!("Received: [{}]", arns.join(", "));
    let mut parsed: Vec<MachineArn> = Vec::with_capacity(routes.len());
    for arn in &arns {
        parsed.push(arn::machine_or_qualified(arn)?);
    }
    if parsed.iter().any(|arn| !matches!(arn.qualifier, Some(Qualifier::Version(_)))) {
        // Recorded.
        return Err(wrong(format!("Routing configuration must contain state machine version ARNs. {received}")));
    }
    let Some(first) = parsed.first() else {
        return Err(wrong(format!("Routing configuration must name a version. {received}")));
    };
    if parsed.iter().any(|arn| arn.machine != first.machine) {
        return Err(wrong(format!(
            "Routing configuration must contain versions of the same state machine. {received}"
        )));
    }
    if parsed.iter().enumerate().any(|(at, arn)| parsed.iter().skip(at + 1).any(|other| other.full == arn.full)) {
        return Err(wrong(format!(
            "Routing configuration must contain distinct state machine version ARNs. {received}"
        )));
    }
    let weights: u32 = routes.iter().map(|route| u32::from(route.weight)).sum();
    if weights != 100 {
        let weights: Vec<String> = routes.iter().map(|route| route.weight.to_string()).collect();
        return Err(wrong(format!(
            "Sum of routing configuration weights must equal 100. Received: [{}]",
            weights.join(", ")
        )));
    }
    let row = ctx.catalog.machine(&first.machine).await?;
    match row {
        Some(row) if row.deleting => return Err(ApiError::machine_deleting(row.arn.as_str())),
        Some(_) => {}
        None => return Err(missing(first.full.as_str())),
    }
    for arn in &parsed {
        if ctx.catalog.version(&arn.full).await?.is_none() {
            return Err(missing(arn.full.as_str()));
        }
    }
    let kept = parsed.iter().zip(routes).map(|(arn, route)| (arn.full.clone(), route.weight)).collect();
    Ok((first.machine.clone(), kept))
}

/// AWS's error for a missing alias or version.
pub fn missing(resource: &str) -> ApiError {
    ApiError {
        message: "Request references a resource that does not exist.".into(),
        ..ApiError::resource_not_found(resource)
    }
}

/// The alias with this ARN, which must exist.
pub async fn alias(ctx: &Context, text: &str) -> Result<AliasRow, ApiError> {
    let given = alias_arn(text)?;
    ctx.catalog.alias(&given.full).await?.ok_or_else(|| missing(text))
}

/// The ARN of an alias, taken apart.
pub fn alias_arn(text: &str) -> Result<MachineArn, ApiError> {
    let given = arn::machine_or_qualified(text)?;
    match &given.qualifier {
        Some(Qualifier::Alias(name)) if name.len() <= NAME_CHARS_MAX => Ok(given),
        _ => Err(ApiError::invalid_arn(format!("A state machine alias ARN is needed: {text}"))),
    }
}

/// All aliases of a machine for which `keep` holds, in the order of creation. A machine has at most 100.
pub async fn aliases_of(
    ctx: &Context,
    machine: &Arn,
    keep: impl Fn(&AliasRow) -> bool,
) -> Result<Vec<AliasRow>, ApiError> {
    let (mut kept, mut after) = (Vec::new(), None);
    loop {
        let rows = ctx.catalog.aliases(machine, after.take(), ALIASES_PER_READ).await?;
        let Some(last) = rows.last() else { return Ok(kept) };
        after = Some(last.arn.clone());
        kept.extend(rows.into_iter().filter(&keep));
    }
}
