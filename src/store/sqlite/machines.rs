//! `machines` and `revisions`.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::ids::Arn;
use crate::store::{MachineRow, MachineType, Revision, RevisionId};

use super::error::{Outcome, already_exists, corrupt, not_found};
use super::places::{self, Listing};
use super::values::{json, revision_blob, revision_id, time};

macro_rules! select_machine {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.machine, r.initial, r.made, r.role_arn, r.configuration, r.definition, \
             m.arn, m.name, m.kind, m.created, m.deleting FROM machines m JOIN revisions r ON r.id = m.revision ",
            $rest
        )
    };
}

const ONE: &str = select_machine!("WHERE m.arn = ?1");
const SELECT_PAGE: &str = select_machine!("WHERE m.arn > ?1 ORDER BY m.arn LIMIT ?2");
const EXISTS: &str = "SELECT 1 FROM machines WHERE arn = ?1";
const INSERT: &str = "INSERT INTO machines (arn, name, kind, created, deleting, revision, next_version) VALUES (?1, \
    ?2, ?3, ?4, ?5, ?6, 1)";
const SET_REVISION: &str = "UPDATE machines SET revision = ?2 WHERE arn = ?1";
const SET_DELETING: &str = "UPDATE machines SET deleting = 1 WHERE arn = ?1";
const DELETE_VERSIONS: &str = "DELETE FROM versions WHERE machine = ?1";
const ALIASES_OF: &str = "SELECT arn FROM aliases WHERE machine = ?1";
const DELETE: &str = "DELETE FROM machines WHERE arn = ?1";
const DONE: &str = "SELECT m.arn FROM machines m WHERE m.deleting = 1 AND NOT EXISTS (SELECT 1 FROM executions e \
     WHERE e.machine = (SELECT n FROM resources WHERE arn = m.arn) AND e.status = 0)";

const REVISION: &str =
    "SELECT id, machine, initial, made, role_arn, configuration, definition FROM revisions WHERE id = ?1";
const REVISION_EXISTS: &str = "SELECT 1 FROM revisions WHERE id = ?1";
const INSERT_REVISION: &str = "INSERT INTO revisions (id, machine, initial, made, role_arn, configuration, definition) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const INSERT_USES: &str = "INSERT INTO revision_uses (revision, uses) VALUES (?1, 0)";
const UNUSED_REVISIONS: &str = "SELECT u.revision FROM revision_uses u WHERE u.uses <= 0 AND u.revision NOT IN (SELECT \
     revision FROM machines) AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.revision = u.revision)";
const DELETE_REVISION: &str = "DELETE FROM revisions WHERE id = ?1";
const DELETE_USES: &str = "DELETE FROM revision_uses WHERE revision = ?1";

pub(super) fn exists(connection: &Connection, arn: &Arn) -> Outcome<bool> {
    Ok(connection.prepare_cached(EXISTS)?.exists([arn.as_str()])?)
}

pub(super) fn must_exist(connection: &Connection, arn: &Arn) -> Outcome<()> {
    if exists(connection, arn)? { Ok(()) } else { Err(not_found("state machine", arn)) }
}

pub(super) fn put(connection: &Connection, machine: &MachineRow) -> Outcome<()> {
    if exists(connection, &machine.arn)? {
        return Err(already_exists("state machine", &machine.arn));
    }
    insert_revision(connection, &machine.revision)?;
    connection.prepare_cached(INSERT)?.execute(params![
        machine.arn.as_str(),
        machine.name,
        machine.kind.as_str(),
        machine.created.millis(),
        machine.deleting,
        revision_blob(machine.revision.id)
    ])?;
    places::returned(connection, &machine.arn)
}

pub(super) fn one(connection: &Connection, arn: &Arn) -> Outcome<Option<MachineRow>> {
    let mut statement = connection.prepare_cached(ONE)?;
    let mut rows = statement.query([arn.as_str()])?;
    rows.next()?.map(decode).transpose()
}

pub(super) fn page(connection: &Connection, after: Option<&Arn>, limit: u32) -> Outcome<Vec<MachineRow>> {
    let mut statement = connection.prepare_cached(SELECT_PAGE)?;
    let mut rows = statement.query(params![after.map_or("", Arn::as_str), limit])?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        page.push(decode(row)?);
    }
    Ok(page)
}

pub(super) fn update(connection: &Connection, arn: &Arn, revision: &Revision) -> Outcome<()> {
    must_exist(connection, arn)?;
    insert_revision(connection, revision)?;
    connection.prepare_cached(SET_REVISION)?.execute(params![arn.as_str(), revision_blob(revision.id)])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, arn: &Arn) -> Outcome<()> {
    must_exist(connection, arn)?;
    connection.prepare_cached(SET_DELETING)?.execute([arn.as_str()])?;
    drop_versions_and_aliases(connection, arn)
}

fn drop_versions_and_aliases(connection: &Connection, arn: &Arn) -> Outcome<()> {
    let aliases: Vec<Arn> = arns(connection, ALIASES_OF, [arn.as_str()])?;
    for alias in &aliases {
        super::versions::delete_alias(connection, alias)?;
    }
    connection.prepare_cached(DELETE_VERSIONS)?.execute([arn.as_str()])?;
    Ok(())
}

pub(super) fn reap(connection: &Connection) -> Outcome<u64> {
    let done: Vec<Arn> = arns(connection, DONE, [])?;
    for arn in &done {
        places::departed(connection, Listing::Machines, arn)?;
        // Again: some may have been made after the machine was marked.
        drop_versions_and_aliases(connection, arn)?;
        connection.prepare_cached(DELETE)?.execute([arn.as_str()])?;
        super::tags::drop_all(connection, arn)?;
    }
    if !done.is_empty() {
        drop_unused_revisions(connection)?;
    }
    Ok(done.len() as u64)
}

pub(super) fn revision(connection: &Connection, id: RevisionId) -> Outcome<Option<Revision>> {
    let mut statement = connection.prepare_cached(REVISION)?;
    let mut rows = statement.query([revision_blob(id)])?;
    rows.next()?.map(decode_revision).transpose()
}

pub(super) fn revision_exists(connection: &Connection, id: RevisionId) -> Outcome<bool> {
    Ok(connection.prepare_cached(REVISION_EXISTS)?.exists([revision_blob(id)])?)
}

/// Deletes revisions that no machine, version or execution points at. A creation checks that its revision exists, so
/// every execution keeps one.
pub(super) fn drop_unused_revisions(connection: &Connection) -> Outcome<()> {
    let unused: Vec<[u8; 16]> = {
        let mut statement = connection.prepare_cached(UNUSED_REVISIONS)?;
        let found = statement.query_map([], |row| row.get(0))?;
        found.collect::<Result<_, _>>()?
    };
    for id in unused {
        connection.prepare_cached(DELETE_USES)?.execute([id])?;
        connection.prepare_cached(DELETE_REVISION)?.execute([id])?;
    }
    Ok(())
}

fn insert_revision(connection: &Connection, revision: &Revision) -> Outcome<()> {
    if revision_exists(connection, revision.id)? {
        return Err(already_exists("revision", &revision.id));
    }
    connection.prepare_cached(INSERT_REVISION)?.execute(params![
        revision_blob(revision.id),
        revision.machine.as_str(),
        revision.initial,
        revision.made.millis(),
        revision.role_arn,
        revision.configuration.to_string(),
        revision.definition
    ])?;
    connection.prepare_cached(INSERT_USES)?.execute([revision_blob(revision.id)])?;
    Ok(())
}

fn decode(row: &Row<'_>) -> Outcome<MachineRow> {
    let arn = Arn::new(row.get::<_, String>(7)?);
    let kind = match row.get_ref(9)?.as_str().unwrap_or_default() {
        "STANDARD" => MachineType::Standard,
        "EXPRESS" => MachineType::Express,
        other => return Err(corrupt("state machine", &arn, &format!("type {other} is unknown"))),
    };
    let revision = decode_revision(row)?;
    Ok(MachineRow { arn, name: row.get(8)?, kind, created: time(row, 10)?, deleting: row.get(11)?, revision })
}

fn decode_revision(row: &Row<'_>) -> Outcome<Revision> {
    let id = revision_id(row.get(0)?);
    Ok(Revision {
        id,
        machine: Arn::new(row.get::<_, String>(1)?),
        initial: row.get(2)?,
        made: time(row, 3)?,
        role_arn: row.get(4)?,
        configuration: json(&row.get::<_, String>(5)?, "revision", &id)?,
        definition: row.get(6)?,
    })
}

fn arns(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Outcome<Vec<Arn>> {
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map(values, |row| Ok(Arn::new(row.get::<_, String>(0)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The number that the next version gets; it is used up, also when that version is deleted later.
pub(super) fn take_version_number(connection: &Connection, arn: &Arn) -> Outcome<Option<u64>> {
    const TAKE: &str = "UPDATE machines SET next_version = next_version + 1 WHERE arn = ?1 RETURNING next_version - 1";
    let taken = connection.prepare_cached(TAKE)?.query_row([arn.as_str()], |row| row.get::<_, i64>(0)).optional()?;
    Ok(taken.map(i64::cast_unsigned))
}
