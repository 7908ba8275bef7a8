//! Reading executions: single rows and pages of one partition. Each read is one statement, so it sees one moment.

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::{Arn, EventId, ExecutionId, PartitionId, TaskKey, Version};
use crate::store::{Closing, ExecutionHeader, ExecutionRow, Kinship, RevisionId, Summary};

use super::error::Outcome;
use super::names::arn_key;
use super::session::Session;
use super::values::{optional_time, small, status, time, uint, words};

/// The columns that `decode` takes. The wide ones stand last, so that the brief form can leave them out.
macro_rules! columns {
    ($wide:literal) => {
        concat!(
            "SELECT e.id, e.partition, h.arn, h.name, h.machine, h.revision, h.version_arn, h.alias_arn, \
             h.trace_header, e.started, h.parent, h.parent_event, h.map_run, h.item_index, e.version, e.status, e.due, \
             e.closed, e.owes_parent, e.redrive_count, e.redriven, e.owes, e.tasks, h.forked, ",
            $wide
        )
    };
}
pub(super) use columns;

/// A page of the index, whole before the headers are read, each by its key: `OFFSET 0` keeps the planner from reading
/// the whole table for them.
macro_rules! page {
    ($where:literal) => {
        concat!(
            columns!("'', NULL::text, NULL::bytea, NULL::bytea FROM"),
            " (SELECT * FROM executions WHERE ",
            $where,
            ") e CROSS JOIN LATERAL (SELECT * FROM headers WHERE id = e.id OFFSET 0) h ORDER BY e.id"
        )
    };
}

pub(super) const ROW: &str = concat!(
    columns!("h.input, c.output, c.error, c.cause FROM executions e"),
    " JOIN headers h ON h.id = e.id LEFT JOIN closings c ON c.id = e.id AND e.closed IS NOT NULL WHERE e.id = $1"
);
pub(super) const ROW_BY_NAME: &str = concat!(
    columns!("h.input, c.output, c.error, c.cause FROM headers h"),
    " JOIN executions e ON e.id = h.id LEFT JOIN closings c ON c.id = e.id AND e.closed IS NOT NULL WHERE h.arn_key = \
     $1 AND h.named"
);
pub(super) const OWES: &str = page!("partition = $1 AND status = 0 AND owes AND id > $2 ORDER BY id LIMIT $3");
pub(super) const OWES_FIRST: &str = page!("partition = $1 AND status = 0 AND owes ORDER BY id LIMIT $2");
pub(super) const OWING: &str = page!("partition = $1 AND owes_parent AND id > $2 ORDER BY id LIMIT $3");
pub(super) const OWING_FIRST: &str = page!("partition = $1 AND owes_parent ORDER BY id LIMIT $2");
/// The same for ids that an index of `headers` gives.
macro_rules! kin {
    ($column:literal) => {
        concat!(
            columns!("'', NULL::text, NULL::bytea, NULL::bytea FROM"),
            " (SELECT * FROM headers WHERE ",
            $column,
            " = $1 AND ($2 IS NULL OR id > $2) ORDER BY id LIMIT $3) h \
             CROSS JOIN LATERAL (SELECT * FROM executions WHERE id = h.id OFFSET 0) e ORDER BY h.id"
        )
    };
}

pub(super) const CHILDREN: &str = kin!("parent");
pub(super) const FORKS: &str = kin!("forked");
pub(super) const DUE: &str = "SELECT id, due FROM executions WHERE partition = $1 AND status = 0 AND due IS NOT NULL \
    AND due < $2 ORDER BY due, id LIMIT $3";

pub(super) async fn execution(session: &Session, id: ExecutionId) -> Outcome<Option<ExecutionRow>> {
    let rows = session.read(ROW, &[(&id.0, Type::UUID)]).await?;
    rows.first().map(decode).transpose()
}

pub(super) async fn execution_by_arn(session: &Session, arn: &Arn) -> Outcome<Option<ExecutionRow>> {
    let rows = session.read(ROW_BY_NAME, &[(&arn_key(arn), Type::UUID)]).await?;
    rows.first().map(decode).transpose()
}

pub(super) async fn owing(
    session: &Session,
    partition: PartitionId,
    after: Option<ExecutionId>,
    limit: u32,
) -> Outcome<Vec<ExecutionRow>> {
    of_partition(session, [OWES_FIRST, OWES], partition, after, limit).await
}

pub(super) async fn owing_parents(
    session: &Session,
    partition: PartitionId,
    after: Option<ExecutionId>,
    limit: u32,
) -> Outcome<Vec<ExecutionRow>> {
    of_partition(session, [OWING_FIRST, OWING], partition, after, limit).await
}

/// A page of an index. The first statement is for the first page.
async fn of_partition(
    session: &Session,
    [first, behind]: [&'static str; 2],
    partition: PartitionId,
    after: Option<ExecutionId>,
    limit: u32,
) -> Outcome<Vec<ExecutionRow>> {
    let (partition, limit) = (i32::from(partition.0), i64::from(limit));
    let rows = match after {
        Some(after) => {
            session.read(behind, &[(&partition, Type::INT4), (&after.0, Type::UUID), (&limit, Type::INT8)]).await?
        }
        None => session.read(first, &[(&partition, Type::INT4), (&limit, Type::INT8)]).await?,
    };
    rows.iter().map(decode).collect()
}

pub(super) async fn kin(
    session: &Session,
    of: ExecutionId,
    kinship: Kinship,
    after: Option<ExecutionId>,
    limit: u32,
) -> Outcome<Vec<ExecutionRow>> {
    let sql = match kinship {
        Kinship::Child => CHILDREN,
        Kinship::Fork => FORKS,
    };
    let (after, limit) = (after.map(|after| after.0), i64::from(limit));
    let rows = session.read(sql, &[(&of.0, Type::UUID), (&after, Type::UUID), (&limit, Type::INT8)]).await?;
    rows.iter().map(decode).collect()
}

pub(super) async fn due(
    session: &Session,
    partition: PartitionId,
    before: Timestamp,
    limit: u32,
) -> Outcome<Vec<(ExecutionId, Timestamp)>> {
    let (partition, before, limit) = (i32::from(partition.0), before.millis(), i64::from(limit));
    let rows = session.read(DUE, &[(&partition, Type::INT4), (&before, Type::INT8), (&limit, Type::INT8)]).await?;
    rows.iter().map(|row| Ok((ExecutionId(row.try_get(0)?), time(row, 1)?))).collect()
}

pub(super) fn decode(row: &Row) -> Outcome<ExecutionRow> {
    let id = ExecutionId(row.try_get(0)?);
    let arn = |column: usize| -> Outcome<Option<Arn>> { Ok(row.try_get::<_, Option<String>>(column)?.map(Arn::new)) };
    let parent = match (row.try_get::<_, Option<Uuid>>(10)?, row.try_get::<_, Option<i64>>(11)?) {
        (Some(parent), Some(event)) => {
            Some(TaskKey { execution: ExecutionId(parent), scheduled: EventId(event.cast_unsigned()) })
        }
        _ => None,
    };
    let partition: i32 = row.try_get(1)?;
    let header = ExecutionHeader {
        id,
        partition: PartitionId(
            u16::try_from(partition).map_err(|error| super::error::corrupt("execution", &id, &error))?,
        ),
        arn: Arn::new(row.try_get::<_, String>(2)?),
        name: row.try_get(3)?,
        state_machine: Arn::new(row.try_get::<_, String>(4)?),
        revision: RevisionId(row.try_get(5)?),
        version_arn: arn(6)?,
        alias_arn: arn(7)?,
        input: row.try_get(24)?,
        trace_header: words(row, 8)?,
        started: time(row, 9)?,
        parent,
        map_run: arn(12)?,
        item_index: row.try_get::<_, Option<i64>>(13)?.map(i64::cast_unsigned),
        forked: row.try_get::<_, Option<Uuid>>(23)?.map(ExecutionId),
    };
    let closed = match optional_time(row, 17)? {
        Some(at) => Some(Closing { at, output: row.try_get(25)?, error: words(row, 26)?, cause: words(row, 27)? }),
        None => None,
    };
    let summary = Summary {
        status: status(row.try_get(15)?, &id)?,
        due: optional_time(row, 16)?,
        closed,
        owes_parent: row.try_get(18)?,
        redrive_count: small(row, 19)?,
        redriven_at: optional_time(row, 20)?,
        owes: row.try_get(21)?,
        tasks: small(row, 22)?,
    };
    Ok(ExecutionRow { header, version: Version(uint(row, 14)?), summary })
}
