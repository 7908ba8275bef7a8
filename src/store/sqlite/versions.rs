//! `versions` and `aliases`.

use rusqlite::{Connection, Row, params};

use crate::clock::Timestamp;
use crate::ids::Arn;
use crate::store::{AliasRow, RevisionId, VersionRow};

use super::error::{Outcome, already_exists, corrupt, not_found};
use super::machines;
use super::places::{self, Listing};
use super::values::{int, revision_blob, revision_id, time, uint};

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

const VERSION: &str = select_version!("WHERE arn = ?1");
const VERSION_OF_REVISION: &str = select_version!("WHERE machine = ?1 AND revision = ?2");
const VERSIONS: &str = select_version!("WHERE machine = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3");
const INSERT_VERSION: &str =
    "INSERT INTO versions (arn, machine, number, revision, description, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const DELETE_VERSION: &str = "DELETE FROM versions WHERE arn = ?1";

const ALIAS: &str = select_alias!("WHERE arn = ?1");
const ALIASES: &str = select_alias!("WHERE machine = ?1 AND place > ?2 ORDER BY place LIMIT ?3");
const INSERT_ALIAS: &str = "INSERT INTO aliases (arn, machine, name, description, routes, created, updated) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const UPDATE_ALIAS: &str = "UPDATE aliases SET machine = ?2, name = ?3, description = ?4, routes = ?5, created = ?6, \
    updated = ?7 WHERE arn = ?1";
const DELETE_ALIAS: &str = "DELETE FROM aliases WHERE arn = ?1";

pub(super) fn put_version(
    connection: &Connection,
    machine: &Arn,
    revision: RevisionId,
    description: Option<&str>,
    at: Timestamp,
) -> Outcome<VersionRow> {
    machines::must_exist(connection, machine)?;
    if !machines::revision_exists(connection, revision)? {
        return Err(not_found("revision", &revision));
    }
    if let Some(there) =
        find(connection, VERSION_OF_REVISION, params![machine.as_str(), revision_blob(revision)], decode_version)?
    {
        return Ok(there);
    }
    let number =
        machines::take_version_number(connection, machine)?.ok_or_else(|| not_found("state machine", machine))?;
    let row = VersionRow {
        arn: Arn::new(format!("{machine}:{number}")),
        machine: machine.clone(),
        number,
        revision,
        description: description.map(str::to_owned),
        created: at,
    };
    connection.prepare_cached(INSERT_VERSION)?.execute(params![
        row.arn.as_str(),
        machine.as_str(),
        int(number),
        revision_blob(revision),
        row.description,
        at.millis()
    ])?;
    Ok(row)
}

pub(super) fn version(connection: &Connection, arn: &Arn) -> Outcome<Option<VersionRow>> {
    find(connection, VERSION, [arn.as_str()], decode_version)
}

pub(super) fn versions(
    connection: &Connection,
    machine: &Arn,
    after: Option<u64>,
    limit: u32,
) -> Outcome<Vec<VersionRow>> {
    let below = after.map_or(i64::MAX, int);
    all(connection, VERSIONS, params![machine.as_str(), below, limit], decode_version)
}

pub(super) fn delete_version(connection: &Connection, arn: &Arn) -> Outcome<()> {
    match connection.prepare_cached(DELETE_VERSION)?.execute([arn.as_str()])? {
        0 => Err(not_found("version", arn)),
        _ => Ok(()),
    }
}

pub(super) fn put_alias(connection: &Connection, alias: &AliasRow, replace: bool) -> Outcome<()> {
    machines::must_exist(connection, &alias.machine)?;
    let exists = connection.prepare_cached(ALIAS)?.exists([alias.arn.as_str()])?;
    let sql = match (exists, replace) {
        (true, false) => return Err(already_exists("alias", &alias.arn)),
        (false, true) => return Err(not_found("alias", &alias.arn)),
        (true, true) => UPDATE_ALIAS,
        (false, false) => INSERT_ALIAS,
    };
    let routes = serde_json::to_string(&alias.routes).map_err(|error| corrupt("alias", &alias.arn, &error))?;
    connection.prepare_cached(sql)?.execute(params![
        alias.arn.as_str(),
        alias.machine.as_str(),
        alias.name,
        alias.description,
        routes,
        alias.created.millis(),
        alias.updated.millis()
    ])?;
    places::returned(connection, &alias.arn)
}

pub(super) fn alias(connection: &Connection, arn: &Arn) -> Outcome<Option<AliasRow>> {
    find(connection, ALIAS, [arn.as_str()], decode_alias)
}

pub(super) fn aliases(
    connection: &Connection,
    machine: &Arn,
    after: Option<&Arn>,
    limit: u32,
) -> Outcome<Vec<AliasRow>> {
    let from = after.map_or(Ok(0), |arn| places::place(connection, Listing::Aliases, arn))?;
    all(connection, ALIASES, params![machine.as_str(), from, limit], decode_alias)
}

pub(super) fn delete_alias(connection: &Connection, arn: &Arn) -> Outcome<()> {
    places::departed(connection, Listing::Aliases, arn)?;
    match connection.prepare_cached(DELETE_ALIAS)?.execute([arn.as_str()])? {
        0 => Err(not_found("alias", arn)),
        _ => Ok(()),
    }
}

pub(super) fn find<T>(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    decode: fn(&Row<'_>) -> Outcome<T>,
) -> Outcome<Option<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    rows.next()?.map(decode).transpose()
}

pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    decode: fn(&Row<'_>) -> Outcome<T>,
) -> Outcome<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(decode(row)?);
    }
    Ok(found)
}

fn decode_version(row: &Row<'_>) -> Outcome<VersionRow> {
    Ok(VersionRow {
        arn: Arn::new(row.get::<_, String>(0)?),
        machine: Arn::new(row.get::<_, String>(1)?),
        number: uint(row, 2)?,
        revision: revision_id(row.get(3)?),
        description: row.get(4)?,
        created: time(row, 5)?,
    })
}

fn decode_alias(row: &Row<'_>) -> Outcome<AliasRow> {
    let arn = Arn::new(row.get::<_, String>(0)?);
    let routes = serde_json::from_str(&row.get::<_, String>(4)?).map_err(|error| corrupt("alias", &arn, &error))?;
    Ok(AliasRow {
        machine: Arn::new(row.get::<_, String>(1)?),
        name: row.get(2)?,
        description: row.get(3)?,
        routes,
        created: time(row, 5)?,
        updated: time(row, 6)?,
        arn,
    })
}
