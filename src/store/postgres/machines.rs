//! `machines` and `revisions`.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::ids::Arn;
use crate::store::{MachineRow, MachineType, Revision, RevisionId};

use super::error::{Outcome, already_exists, corrupt, not_found};
use super::names::key;
use super::places::{self, Listing};
use super::values::{json, time, words};

macro_rules! select_machine {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.machine, r.initial, r.made, r.role_arn, r.configuration, r.definition, \
             m.arn, m.name, m.kind, m.created, m.deleting FROM machines m JOIN revisions r ON r.id = m.revision ",
            $rest
        )
    };
}

const ONE: &str = select_machine!("WHERE m.arn = $1");
const SELECT_PAGE: &str = select_machine!("WHERE m.arn > $1 ORDER BY m.arn LIMIT $2");
const EXISTS: &str = "SELECT 1 FROM machines WHERE arn = $1";
const INSERT: &str =
    "INSERT INTO machines (arn, name, kind, created, deleting, revision) VALUES ($1, $2, $3, $4, $5, $6)";
const SET_REVISION: &str = "UPDATE machines SET revision = $2 WHERE arn = $1";
const SET_DELETING: &str = "UPDATE machines SET deleting = true WHERE arn = $1";
const DELETE_VERSIONS: &str = "DELETE FROM versions WHERE machine = $1";
const ALIASES_OF: &str = "SELECT arn FROM aliases WHERE machine = $1";
const DELETE: &str = "DELETE FROM machines WHERE arn = $1";
const DELETING: &str = "SELECT arn FROM machines WHERE deleting";
const BUSY: &str = "SELECT 1 FROM executions WHERE machine = $1 AND status = 0 LIMIT 1";

const REVISION: &str =
    "SELECT id, machine, initial, made, role_arn, configuration, definition FROM revisions WHERE id = $1";
const REVISION_EXISTS: &str = "SELECT 1 FROM revisions WHERE id = $1";
const INSERT_REVISION: &str = "INSERT INTO revisions (id, machine, initial, made, role_arn, configuration, definition) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
/// The lock waits for creations that name one of them, and keeps later ones from it.
const LOCK_UNUSED: &str = "SELECT r.id FROM revisions r WHERE NOT EXISTS (SELECT 1 FROM machines m WHERE m.revision = \
    r.id) AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.revision = r.id) AND NOT EXISTS (SELECT 1 FROM headers h \
    WHERE h.revision = r.id) FOR UPDATE";
/// A creation that came before the lock shows only to a statement that begins after it.
const DELETE_UNUSED: &str = "DELETE FROM revisions r WHERE r.id = ANY($1) AND NOT EXISTS (SELECT 1 FROM machines m \
    WHERE m.revision = r.id) AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.revision = r.id) AND NOT EXISTS (SELECT \
    1 FROM headers h WHERE h.revision = r.id)";

async fn exists(client: &Client, arn: &Arn) -> Outcome<bool> {
    Ok(client.query_typed_opt(EXISTS, &[(&arn.as_str(), Type::TEXT)]).await?.is_some())
}

pub(super) async fn must_exist(client: &Client, arn: &Arn) -> Outcome<()> {
    if exists(client, arn).await? { Ok(()) } else { Err(not_found("state machine", arn)) }
}

pub(super) async fn put(client: &Client, machine: &MachineRow) -> Outcome<()> {
    if exists(client, &machine.arn).await? {
        return Err(already_exists("state machine", &machine.arn));
    }
    insert_revision(client, &machine.revision).await?;
    let values: super::values::Params = &[
        (&machine.arn.as_str(), Type::TEXT),
        (&machine.name, Type::TEXT),
        (&machine.kind.as_str(), Type::TEXT),
        (&machine.created.millis(), Type::INT8),
        (&machine.deleting, Type::BOOL),
        (&machine.revision.id.0, Type::UUID),
    ];
    client.execute_typed(INSERT, values).await?;
    places::returned(client, &machine.arn).await
}

pub(super) async fn one(client: &Client, arn: &Arn) -> Outcome<Option<MachineRow>> {
    let row = client.query_typed_opt(ONE, &[(&arn.as_str(), Type::TEXT)]).await?;
    row.as_ref().map(decode).transpose()
}

pub(super) async fn page(client: &Client, after: Option<&Arn>, limit: u32) -> Outcome<Vec<MachineRow>> {
    let after = after.map_or("", Arn::as_str);
    let rows = client.query_typed(SELECT_PAGE, &[(&after, Type::TEXT), (&i64::from(limit), Type::INT8)]).await?;
    rows.iter().map(decode).collect()
}

pub(super) async fn update(client: &Client, arn: &Arn, revision: &Revision) -> Outcome<()> {
    must_exist(client, arn).await?;
    insert_revision(client, revision).await?;
    client.execute_typed(SET_REVISION, &[(&arn.as_str(), Type::TEXT), (&revision.id.0, Type::UUID)]).await?;
    Ok(())
}

pub(super) async fn delete(client: &Client, arn: &Arn) -> Outcome<()> {
    must_exist(client, arn).await?;
    client.execute_typed(SET_DELETING, &[(&arn.as_str(), Type::TEXT)]).await?;
    drop_versions_and_aliases(client, arn).await
}

async fn drop_versions_and_aliases(client: &Client, arn: &Arn) -> Outcome<()> {
    for row in client.query_typed(ALIASES_OF, &[(&arn.as_str(), Type::TEXT)]).await? {
        super::versions::delete_alias(client, &Arn::new(row.try_get::<_, String>(0)?)).await?;
    }
    client.execute_typed(DELETE_VERSIONS, &[(&arn.as_str(), Type::TEXT)]).await?;
    Ok(())
}

pub(super) async fn reap(client: &Client) -> Outcome<u64> {
    let mut reaped = 0;
    for row in client.query_typed(DELETING, &[]).await? {
        let arn = Arn::new(row.try_get::<_, String>(0)?);
        if client.query_typed_opt(BUSY, &[(&key(&arn), Type::UUID)]).await?.is_some() {
            continue;
        }
        places::departed(client, Listing::Machines, &arn).await?;
        // Again: some may have been made after the machine was marked.
        drop_versions_and_aliases(client, &arn).await?;
        client.execute_typed(DELETE, &[(&arn.as_str(), Type::TEXT)]).await?;
        super::tags::drop_all(client, &arn).await?;
        reaped += 1;
    }
    if reaped > 0 {
        drop_unused_revisions(client).await?;
    }
    Ok(reaped)
}

pub(super) async fn revision(client: &Client, id: RevisionId) -> Outcome<Option<Revision>> {
    let row = client.query_typed_opt(REVISION, &[(&id.0, Type::UUID)]).await?;
    row.as_ref().map(decode_revision).transpose()
}

pub(super) async fn revision_exists(client: &Client, id: RevisionId) -> Outcome<bool> {
    Ok(client.query_typed_opt(REVISION_EXISTS, &[(&id.0, Type::UUID)]).await?.is_some())
}

/// Deletes revisions that no machine, version or execution points at.
pub(super) async fn drop_unused_revisions(client: &Client) -> Outcome<()> {
    let locked = client.query_typed(LOCK_UNUSED, &[]).await?;
    let unused = locked.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
    if !unused.is_empty() {
        client.execute_typed(DELETE_UNUSED, &[(&unused, Type::UUID_ARRAY)]).await?;
    }
    Ok(())
}

async fn insert_revision(client: &Client, revision: &Revision) -> Outcome<()> {
    if revision_exists(client, revision.id).await? {
        return Err(already_exists("revision", &revision.id));
    }
    let values: super::values::Params = &[
        (&revision.id.0, Type::UUID),
        (&revision.machine.as_str(), Type::TEXT),
        (&revision.initial, Type::BOOL),
        (&revision.made.millis(), Type::INT8),
        (&revision.role_arn.as_bytes(), Type::BYTEA),
        (&revision.configuration.to_string(), Type::TEXT),
        (&revision.definition, Type::TEXT),
    ];
    client.execute_typed(INSERT_REVISION, values).await?;
    Ok(())
}

fn decode(row: &Row) -> Outcome<MachineRow> {
    let arn = Arn::new(row.try_get::<_, String>(7)?);
    let kind = match row.try_get(9)? {
        "STANDARD" => MachineType::Standard,
        "EXPRESS" => MachineType::Express,
        other => return Err(corrupt("state machine", &arn, &format!("type {other} is unknown"))),
    };
    let revision = decode_revision(row)?;
    Ok(MachineRow { arn, name: row.try_get(8)?, kind, created: time(row, 10)?, deleting: row.try_get(11)?, revision })
}

fn decode_revision(row: &Row) -> Outcome<Revision> {
    let id = RevisionId(row.try_get(0)?);
    Ok(Revision {
        id,
        machine: Arn::new(row.try_get::<_, String>(1)?),
        initial: row.try_get(2)?,
        made: time(row, 3)?,
        role_arn: words(row, 4)?.unwrap_or_default(),
        configuration: json(row.try_get(5)?, "revision", &id)?,
        definition: row.try_get(6)?,
    })
}

/// The number that the next version gets; it is used up, also when that version is deleted later.
pub(super) async fn take_version_number(client: &Client, arn: &Arn) -> Outcome<Option<u64>> {
    const TAKE: &str = "UPDATE machines SET next_version = next_version + 1 WHERE arn = $1 RETURNING next_version - 1";
    let taken = client.query_typed_opt(TAKE, &[(&arn.as_str(), Type::TEXT)]).await?;
    Ok(taken.map(|row| row.try_get::<_, i64>(0)).transpose()?.map(i64::cast_unsigned))
}
