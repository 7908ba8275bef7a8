//! State machines by ARN, for the operations that name one.

use crate::clock::Timestamp;
use crate::ids::Arn;
use crate::store::{AliasRow, MachineRow, Revision, RevisionId, VersionRow};

use super::arn::{MachineArn, Qualifier};
use super::context::Context;
use super::error::ApiError;

/// AWS: the number of versions of a state machine.
const VERSIONS_MAX: u32 = 1_000;

/// A machine and the revision that an ARN means.
pub struct Resolved {
    pub row: MachineRow,
    pub revision: Revision,
    /// When the machine, or the named version, was created.
    pub created: Timestamp,
    /// The description of the version or alias.
    pub description: Option<String>,
}

/// The machine itself, also while it is being deleted.
pub async fn machine(ctx: &Context, given: &MachineArn) -> Result<MachineRow, ApiError> {
    ctx.catalog.machine(&given.machine).await?.ok_or_else(|| ApiError::machine_does_not_exist(given.full.as_str()))
}

/// The machine itself; refused while it is being deleted.
pub async fn live(ctx: &Context, given: &MachineArn) -> Result<MachineRow, ApiError> {
    let row = machine(ctx, given).await?;
    if row.deleting { Err(ApiError::machine_deleting(given.full.as_str())) } else { Ok(row) }
}

/// Resolves an ARN to the current revision, the revision of a version, or the revision of the version to which an alias
/// routes most executions.
pub async fn resolve(ctx: &Context, given: &MachineArn) -> Result<Resolved, ApiError> {
    let missing = || ApiError::machine_does_not_exist(given.full.as_str());
    let row = machine(ctx, given).await?;
    let (version_arn, alias) = match &given.qualifier {
        None => {
            let (revision, created) = (row.revision.clone(), row.created);
            return Ok(Resolved { row, revision, created, description: None });
        }
        Some(Qualifier::Version(_)) => (given.full.clone(), None),
        Some(Qualifier::Alias(_)) => {
            let alias = ctx.catalog.alias(&given.full).await?.ok_or_else(missing)?;
            (main_route(&alias).ok_or_else(missing)?, Some(alias))
        }
    };
    let version = ctx.catalog.version(&version_arn).await?.ok_or_else(missing)?;
    let revision = ctx.catalog.revision(version.revision).await?.ok_or_else(missing)?;
    let description = alias.map_or(version.description, |alias| alias.description);
    Ok(Resolved { row, revision, created: version.created, description })
}

/// Publishes the revision as the next version. A revision that was published already keeps its version.
pub async fn publish(
    ctx: &Context,
    machine: &Arn,
    revision: RevisionId,
    description: Option<String>,
) -> Result<VersionRow, ApiError> {
    check_room_for_version(ctx, machine, Some(revision)).await?;
    Ok(ctx.catalog.put_version(machine, revision, description, ctx.now()).await?)
}

/// Checks that this revision may be published. `None` stands for a revision that is yet to be made.
pub async fn check_room_for_version(
    ctx: &Context,
    machine: &Arn,
    revision: Option<RevisionId>,
) -> Result<(), ApiError> {
    let versions = ctx.catalog.versions(machine, None, VERSIONS_MAX).await?;
    let full = versions.len() >= usize::try_from(VERSIONS_MAX).unwrap_or(usize::MAX);
    if full && !versions.iter().any(|version| Some(version.revision) == revision) {
        let message = format!("A state machine can have at most {VERSIONS_MAX} versions: '{machine}'");
        return Err(ApiError::new("ServiceQuotaExceededException", message));
    }
    Ok(())
}

fn main_route(alias: &AliasRow) -> Option<Arn> {
    alias.routes.iter().max_by_key(|(_, weight)| *weight).map(|(version, _)| version.clone())
}

/// Recorded: `Version description can only be set when publish is true`.
pub fn check_version_description(publish: bool, description: Option<&str>) -> Result<(), ApiError> {
    if description.is_some() && !publish {
        return Err(ApiError::validation("Version description can only be set when publish is true"));
    }
    Ok(())
}
