//! `versions` and `aliases`.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::clock::Timestamp;
use crate::ids::Arn;
use crate::store::{AliasRow, RevisionId, VersionRow};

use super::error::{Outcome, already_exists, corrupt, not_found};
use super::machines;
use super::places::{self, Listing};
use super::values::{Params, int, time, uint, words};

macro_rules! select_version {
    ($rest:literal) => {
        concat!("SELECT arn, machine, number, revision, description, created FROM versions ", $rest)
    };
}

macro_rules! select_alias {
    ($rest:literal) => {
        concat!("SELECT arn, machine, name, description, routes, created, updated FROM aliases ", $rest)
    };
}

const VERSION: &str = select_version!("WHERE arn = $1");
const VERSION_OF_REVISION: &str = select_version!("WHERE machine = $1 AND revision = $2");
const VERSIONS: &str = select_version!("WHERE machine = $1 AND number < $2 ORDER BY number DESC LIMIT $3");
const INSERT_VERSION: &str =
    "INSERT INTO versions (arn, machine, number, revision, description, created) VALUES ($1, $2, $3, $4, $5, $6)";
const DELETE_VERSION: &str = "DELETE FROM versions WHERE arn = $1";

const ALIAS: &str = select_alias!("WHERE arn = $1");
const ALIASES: &str = select_alias!("WHERE machine = $1 AND place > $2 ORDER BY place LIMIT $3");
const INSERT_ALIAS: &str = "INSERT INTO aliases (arn, machine, name, description, routes, created, updated) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
const UPDATE_ALIAS: &str = "UPDATE aliases SET machine = $2, name = $3, description = $4, routes = $5, created = $6, \
    updated = $7 WHERE arn = $1";
const DELETE_ALIAS: &str = "DELETE FROM aliases WHERE arn = $1";

pub(super) async fn put_version(
    client: &Client,
    machine: &Arn,
    revision: RevisionId,
    description: Option<&str>,
    at: Timestamp,
) -> Outcome<VersionRow> {
    machines::must_exist(client, machine).await?;
    if !machines::revision_exists(client, revision).await? {
        return Err(not_found("revision", &revision));
    }
    let same: Params = &[(&machine.as_str(), Type::TEXT), (&revision.0, Type::UUID)];
    if let Some(there) = client.query_typed_opt(VERSION_OF_REVISION, same).await? {
        return decode_version(&there);
    }
    let number = machines::take_version_number(client, machine).await?;
    let number = number.ok_or_else(|| not_found("state machine", machine))?;
    let row = VersionRow {
        arn: Arn::new(format!("{machine}:{number}")),
        machine: machine.clone(),
        number,
        revision,
        description: description.map(str::to_owned),
        created: at,
    };
    let values: Params = &[
        (&row.arn.as_str(), Type::TEXT),
        (&machine.as_str(), Type::TEXT),
        (&int(number), Type::INT8),
        (&revision.0, Type::UUID),
        (&description.map(str::as_bytes), Type::BYTEA),
        (&at.millis(), Type::INT8),
    ];
    client.execute_typed(INSERT_VERSION, values).await?;
    Ok(row)
}

pub(super) async fn version(client: &Client, arn: &Arn) -> Outcome<Option<VersionRow>> {
    let row = client.query_typed_opt(VERSION, &[(&arn.as_str(), Type::TEXT)]).await?;
    row.as_ref().map(decode_version).transpose()
}

pub(super) async fn versions(
    client: &Client,
    machine: &Arn,
    after: Option<u64>,
    limit: u32,
) -> Outcome<Vec<VersionRow>> {
    let below = after.map_or(i64::MAX, int);
    let values: Params = &[(&machine.as_str(), Type::TEXT), (&below, Type::INT8), (&i64::from(limit), Type::INT8)];
    client.query_typed(VERSIONS, values).await?.iter().map(decode_version).collect()
}

pub(super) async fn delete_version(client: &Client, arn: &Arn) -> Outcome<()> {
    match client.execute_typed(DELETE_VERSION, &[(&arn.as_str(), Type::TEXT)]).await? {
        0 => Err(not_found("version", arn)),
        _ => Ok(()),
    }
}

pub(super) async fn put_alias(client: &Client, alias: &AliasRow, replace: bool) -> Outcome<()> {
    machines::must_exist(client, &alias.machine).await?;
    let exists = client.query_typed_opt(ALIAS, &[(&alias.arn.as_str(), Type::TEXT)]).await?.is_some();
    let sql = match (exists, replace) {
        (true, false) => return Err(already_exists("alias", &alias.arn)),
        (false, true) => return Err(not_found("alias", &alias.arn)),
        (true, true) => UPDATE_ALIAS,
        (false, false) => INSERT_ALIAS,
    };
    let routes = serde_json::to_string(&alias.routes).map_err(|error| corrupt("alias", &alias.arn, &error))?;
    let values: Params = &[
        (&alias.arn.as_str(), Type::TEXT),
        (&alias.machine.as_str(), Type::TEXT),
        (&alias.name, Type::TEXT),
        (&alias.description.as_ref().map(String::as_bytes), Type::BYTEA),
        (&routes, Type::TEXT),
        (&alias.created.millis(), Type::INT8),
        (&alias.updated.millis(), Type::INT8),
    ];
    client.execute_typed(sql, values).await?;
    places::returned(client, &alias.arn).await
}

pub(super) async fn alias(client: &Client, arn: &Arn) -> Outcome<Option<AliasRow>> {
    let row = client.query_typed_opt(ALIAS, &[(&arn.as_str(), Type::TEXT)]).await?;
    row.as_ref().map(decode_alias).transpose()
}

pub(super) async fn aliases(client: &Client, machine: &Arn, after: Option<&Arn>, limit: u32) -> Outcome<Vec<AliasRow>> {
    let from = match after {
        Some(arn) => places::place(client, Listing::Aliases, arn).await?,
        None => 0,
    };
    let values: Params = &[(&machine.as_str(), Type::TEXT), (&from, Type::INT8), (&i64::from(limit), Type::INT8)];
    client.query_typed(ALIASES, values).await?.iter().map(decode_alias).collect()
}

pub(super) async fn delete_alias(client: &Client, arn: &Arn) -> Outcome<()> {
    places::departed(client, Listing::Aliases, arn).await?;
    match client.execute_typed(DELETE_ALIAS, &[(&arn.as_str(), Type::TEXT)]).await? {
        0 => Err(not_found("alias", arn)),
        _ => Ok(()),
    }
}

fn decode_version(row: &Row) -> Outcome<VersionRow> {
    Ok(VersionRow {
        arn: Arn::new(row.try_get::<_, String>(0)?),
        machine: Arn::new(row.try_get::<_, String>(1)?),
        number: uint(row, 2)?,
        revision: RevisionId(row.try_get(3)?),
        description: words(row, 4)?,
        created: time(row, 5)?,
    })
}

fn decode_alias(row: &Row) -> Outcome<AliasRow> {
    let arn = Arn::new(row.try_get::<_, String>(0)?);
    let routes = serde_json::from_str(row.try_get(4)?).map_err(|error| corrupt("alias", &arn, &error))?;
    Ok(AliasRow {
        machine: Arn::new(row.try_get::<_, String>(1)?),
        name: row.try_get(2)?,
        description: words(row, 3)?,
        routes,
        created: time(row, 5)?,
        updated: time(row, 6)?,
        arn,
    })
}
