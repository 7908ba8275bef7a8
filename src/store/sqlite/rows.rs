//! Reading executions: single rows, the journal, listings.

use rusqlite::{Connection, Row, params};

use crate::clock::Timestamp;
use crate::ids::{Arn, EventId, ExecutionId, PartitionId, TaskKey, Version};
use crate::store::{Batch, Closing, ExecutionHeader, ExecutionRow, Kinship, Opened, Summary};

use super::damage::left_out;
use super::error::{Outcome, corrupt};
use super::names::arn_key;
use super::values::{blob, execution_id, optional_time, revision_id, status, time, uint};

/// One row, whole. The wide columns stand last, so that the brief form can leave them out.
macro_rules! select_row {
    ($wide:literal, $joins:literal) => {
        concat!(
            "SELECT e.id, e.partition, h.arn, h.name, m.arn, h.revision, v.arn, a.arn, h.trace_header, e.started, \
             h.parent, h.parent_event, r.arn, h.item_index, e.version, e.status, e.due, e.closed, e.owes_parent, \
             e.redrive_count, e.redriven, e.owes, e.tasks, f.source, ",
            $wide,
            " FROM executions e JOIN headers h ON h.n = e.n JOIN resources m ON m.n = e.machine LEFT JOIN resources v \
             ON v.n = e.machine_version LEFT JOIN resources a ON a.n = e.machine_alias LEFT JOIN resources r ON r.n = \
             e.map_run LEFT JOIN forks f ON f.id = e.id ",
            $joins,
            " WHERE e.id = ?1"
        )
    };
}

const ROW: &str = select_row!("h.input, c.output, c.error, c.cause", "LEFT JOIN closings c ON c.n = e.n");
const ROW_BRIEF: &str = select_row!("'', NULL, NULL, NULL", "");
const ID_BY_ARN: &str = "SELECT id, arn FROM headers WHERE arn_key = ?1 AND named = 1";
const OWES: &str = "SELECT id FROM executions INDEXED BY executions_owes WHERE partition = ?1 AND status = 0 AND owes \
    = 1 AND id > ?2 ORDER BY id LIMIT ?3";
const OWES_FIRST: &str = "SELECT id FROM executions INDEXED BY executions_owes WHERE partition = ?1 AND status = 0 AND \
    owes = 1 ORDER BY id LIMIT ?2";
const DUE: &str = "SELECT id, due FROM executions INDEXED BY executions_due WHERE partition = ?1 AND status = 0 AND \
    due IS NOT NULL AND due < ?2 ORDER BY due, id LIMIT ?3";
const OWING: &str = "SELECT id FROM executions INDEXED BY executions_owing WHERE partition = ?1 AND owes_parent = 1 \
    AND id > ?2 ORDER BY id LIMIT ?3";
const OWING_FIRST: &str = "SELECT id FROM executions INDEXED BY executions_owing WHERE partition = ?1 AND owes_parent \
    = 1 ORDER BY id LIMIT ?2";
const CHILDREN: &str = "SELECT id FROM headers INDEXED BY headers_by_parent WHERE parent IS NOT NULL AND parent = ?1 \
    AND (?2 IS NULL OR id > ?2) ORDER BY id LIMIT ?3";
const FORKS: &str = "SELECT id FROM forks WHERE source = ?1 AND (?2 IS NULL OR id > ?2) ORDER BY id LIMIT ?3";
const PARENT_TOLD: &str = "UPDATE executions SET owes_parent = 0 WHERE id = ?1 AND owes_parent = 1";

pub(super) fn execution(connection: &Connection, id: ExecutionId, brief: bool) -> Outcome<Option<ExecutionRow>> {
    let sql = if brief { ROW_BRIEF } else { ROW };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([blob(id)])?;
    rows.next()?.map(decode).transpose()
}

fn decode(row: &Row<'_>) -> Outcome<ExecutionRow> {
    let id = execution_id(row.get(0)?);
    let arn = |column: usize| -> Outcome<Option<Arn>> { Ok(row.get::<_, Option<String>>(column)?.map(Arn::new)) };
    let missing = |what: &str| corrupt("execution", &id, &format!("it has no {what}"));
    let parent = match (row.get::<_, Option<[u8; 16]>>(10)?, row.get::<_, Option<i64>>(11)?) {
        (Some(parent), Some(event)) => {
            Some(TaskKey { execution: execution_id(parent), scheduled: EventId(event.cast_unsigned()) })
        }
        _ => None,
    };
    let header = ExecutionHeader {
        id,
        partition: PartitionId(row.get(1)?),
        arn: arn(2)?.ok_or_else(|| missing("ARN"))?,
        name: row.get(3)?,
        state_machine: arn(4)?.ok_or_else(|| missing("state machine"))?,
        revision: revision_id(row.get(5)?),
        version_arn: arn(6)?,
        alias_arn: arn(7)?,
        input: row.get(24)?,
        trace_header: row.get(8)?,
        started: time(row, 9)?,
        parent,
        map_run: arn(12)?,
        item_index: row.get::<_, Option<i64>>(13)?.map(i64::cast_unsigned),
        forked: row.get::<_, Option<[u8; 16]>>(23)?.map(execution_id),
    };
    let closed = match optional_time(row, 17)? {
        Some(at) => Some(Closing { at, output: row.get(25)?, error: row.get(26)?, cause: row.get(27)? }),
        None => None,
    };
    let summary = Summary {
        status: status(row.get(15)?, &id)?,
        due: optional_time(row, 16)?,
        closed,
        owes_parent: row.get(18)?,
        redrive_count: row.get(19)?,
        redriven_at: optional_time(row, 20)?,
        owes: row.get(21)?,
        tasks: row.get(22)?,
    };
    Ok(ExecutionRow { header, version: Version(uint(row, 14)?), summary })
}

/// The rows of ids that were found in an index, in the same order; without those that do not decode.
pub(super) fn fetch(
    connection: &Connection,
    ids: impl IntoIterator<Item = ExecutionId>,
    brief: bool,
) -> Outcome<Vec<ExecutionRow>> {
    let mut rows = Vec::new();
    for id in ids {
        rows.extend(left_out(execution(connection, id, brief), || id.to_string())?.flatten());
    }
    Ok(rows)
}

pub(super) fn execution_by_arn(connection: &Connection, arn: &Arn) -> Outcome<Option<ExecutionRow>> {
    let mut statement = connection.prepare_cached(ID_BY_ARN)?;
    let mut rows = statement.query([arn_key(arn)])?;
    while let Some(row) = rows.next()? {
        if row.get_ref(1)?.as_str().is_ok_and(|text| text == arn.as_str()) {
            return execution(connection, execution_id(row.get(0)?), false);
        }
    }
    Ok(None)
}

/// All batches, oldest first.
pub(super) fn load(connection: &Connection, id: ExecutionId) -> Outcome<Vec<Batch>> {
    match super::pieces::open(connection, id, u64::MAX)? {
        Opened::Whole(batches) => Ok(batches),
        Opened::Large(places) => super::pieces::read(connection, id, &places),
    }
}

pub(super) fn owing(
    connection: &Connection,
    partition: PartitionId,
    after: Option<ExecutionId>,
    limit: u32,
) -> Outcome<Vec<ExecutionRow>> {
    page(connection, [OWES_FIRST, OWES], partition, after, limit)
}

/// A page of an index. The first statement is for the first page.
fn page(
    connection: &Connection,
    [first, behind]: [&str; 2],
    partition: PartitionId,
    after: Option<ExecutionId>,
    limit: u32,
) -> Outcome<Vec<ExecutionRow>> {
    let mut after = after;
    loop {
        let ids = match after {
            Some(after) => ids(connection, behind, params![partition.0, blob(after), limit])?,
            None => ids(connection, first, params![partition.0, limit])?,
        };
        let last = ids.last().copied();
        let rows = fetch(connection, ids, true)?;
        // A page with only damaged rows is not the end.
        if !rows.is_empty() || last.is_none() {
            return Ok(rows);
        }
        after = last;
    }
}

pub(super) fn due(
    connection: &Connection,
    partition: PartitionId,
    before: Timestamp,
    limit: u32,
) -> Outcome<Vec<(ExecutionId, Timestamp)>> {
    let mut statement = connection.prepare_cached(DUE)?;
    let found = statement.query_map(params![partition.0, before.millis(), limit], |row| {
        Ok((execution_id(row.get(0)?), time(row, 1)?))
    })?;
    readable(found)
}

pub(super) fn owing_parents(
    connection: &Connection,
    partition: PartitionId,
    after: Option<ExecutionId>,
    limit: u32,
) -> Outcome<Vec<ExecutionRow>> {
    page(connection, [OWING_FIRST, OWING], partition, after, limit)
}

pub(super) fn kin(
    connection: &Connection,
    of: ExecutionId,
    kinship: Kinship,
    after: Option<ExecutionId>,
    limit: u32,
) -> Outcome<Vec<ExecutionRow>> {
    let sql = match kinship {
        Kinship::Child => CHILDREN,
        Kinship::Fork => FORKS,
    };
    let ids = ids(connection, sql, params![blob(of), after.map(blob), limit])?;
    fetch(connection, ids, true)
}

pub(super) fn parent_told(connection: &Connection, id: ExecutionId) -> Outcome<()> {
    connection.prepare_cached(PARENT_TOLD)?.execute([blob(id)])?;
    Ok(())
}

fn ids(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Outcome<Vec<ExecutionId>> {
    let mut statement = connection.prepare_cached(sql)?;
    readable(statement.query_map(values, |row| Ok(execution_id(row.get(0)?)))?)
}

/// The readable places in an index. A place whose id does not decode is left out.
pub(super) fn readable<T>(places: impl Iterator<Item = rusqlite::Result<T>>) -> Outcome<Vec<T>> {
    let mut found = Vec::new();
    for place in places {
        found.extend(left_out(place.map_err(Into::into), || "(an unreadable id)".to_owned())?);
    }
    Ok(found)
}
