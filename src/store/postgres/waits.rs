//! The table of waiting tasks: the changes of a group, and its listings. Each listing reads one range of one index.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::{Arn, EventId, ExecutionId, TaskKey};
use crate::store::{Append, DestinationWaits, Wait, WaitChange, WaitFilter, WaitRow, WaitingStates};

use super::commit::{Statement, column};
use super::error::Outcome;
use super::listing::Query;
use super::names::{digest, key};
use super::values::{int, optional_time, small, time, uint, words};

const GONE: &str = "DELETE FROM waits w USING unnest($1, $2) AS a (execution, scheduled) \
     WHERE w.execution = a.execution AND w.scheduled = a.scheduled";
const PUT: &str = "INSERT INTO waits (execution, scheduled, machine, destination_key, since, timeout, heartbeat_due, \
    last_heartbeat, attempt, queue, submitted, destination, state, resource) SELECT a.execution, a.scheduled, \
    e.machine, a.destination_key, a.since, a.timeout, a.heartbeat_due, a.last_heartbeat, a.attempt, a.queue, \
    a.submitted, a.destination, a.state, a.resource FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
    $13) AS a (execution, scheduled, destination_key, since, timeout, heartbeat_due, last_heartbeat, attempt, queue, \
    submitted, destination, state, resource) JOIN executions e ON e.id = a.execution ON CONFLICT (execution, \
    scheduled) DO UPDATE SET destination_key = excluded.destination_key, since = excluded.since, timeout = \
    excluded.timeout, heartbeat_due = excluded.heartbeat_due, last_heartbeat = excluded.last_heartbeat, attempt = \
    excluded.attempt, queue = excluded.queue, submitted = excluded.submitted, destination = excluded.destination, \
    state = excluded.state, resource = excluded.resource";
pub(super) const STATES: &str = "SELECT e.id, w.state FROM unnest($1) AS e (id) CROSS JOIN LATERAL (SELECT state, \
     since, scheduled FROM waits WHERE execution = e.id ORDER BY since, scheduled LIMIT $2) w ORDER BY e.id, w.since, \
     w.scheduled";
/// The counts are kept by triggers (`migrations/postgres/0006_wait_counts.sql`), in rows of each writer.
pub(super) const DESTINATIONS: &str = "SELECT c.destination, c.queue, c.tasks, w.since FROM (SELECT destination_key, \
     destination, bool_or(queue) AS queue, sum(tasks)::bigint AS tasks FROM (SELECT destination_key, destination, \
     queue, sum(tasks) AS tasks FROM wait_counts GROUP BY destination_key, destination, queue HAVING sum(tasks) > 0) \
     kinds GROUP BY destination_key, destination ORDER BY destination LIMIT $1) c CROSS JOIN LATERAL (SELECT since \
     FROM waits WHERE destination_key = c.destination_key ORDER BY since LIMIT 1) w ORDER BY c.destination";
/// Takes away rows that add up to zero: the sum stays the same, also where another server adds a row meanwhile. It does
/// not wait for a lock.
pub(super) const DROP_EMPTY: &str = "WITH empty AS (SELECT destination_key, queue FROM wait_counts GROUP BY \
     destination_key, queue HAVING sum(tasks) = 0), locked AS (SELECT c.* FROM wait_counts c JOIN empty USING \
     (destination_key, queue) FOR UPDATE OF c SKIP LOCKED), gone AS (SELECT destination_key, queue FROM locked GROUP \
     BY destination_key, queue HAVING sum(tasks) = 0) DELETE FROM wait_counts c USING locked l JOIN gone USING \
     (destination_key, queue) WHERE (c.destination_key, c.queue, c.writer) = (l.destination_key, l.queue, l.writer)";

/// The statements for the changes that appends carry. Of several changes of one task the last one counts.
pub(super) fn changed<'a>(rows: &[&'a Append], statements: &mut Vec<Statement<'a>>) {
    let mut last: BTreeMap<(Uuid, i64), Option<&Wait>> = BTreeMap::new();
    for Append { execution, waits, .. } in rows {
        for change in waits {
            match change {
                WaitChange::Put(wait) => last.insert((execution.0, int(wait.scheduled.0)), Some(wait)),
                WaitChange::Gone(scheduled) => last.insert((execution.0, int(scheduled.0)), None),
            };
        }
    }
    let gone: Vec<(Uuid, i64)> = last.iter().filter(|(_, wait)| wait.is_none()).map(|(key, _)| *key).collect();
    let put: Vec<(Uuid, &Wait)> = last.iter().filter_map(|((id, _), wait)| Some((*id, (*wait)?))).collect();
    if !gone.is_empty() {
        let (executions, scheduled): (Vec<_>, Vec<_>) = gone.into_iter().unzip();
        statements.push(Statement::new(GONE).with(executions, Type::UUID_ARRAY).with(scheduled, Type::INT8_ARRAY));
    }
    if !put.is_empty() {
        let (executions, waits): (Vec<Uuid>, Vec<&Wait>) = put.into_iter().unzip();
        let millis = |time: Option<Timestamp>| time.map(Timestamp::millis);
        let statement = Statement::new(PUT)
            .with(executions, Type::UUID_ARRAY)
            .with(column(&waits, |wait| int(wait.scheduled.0)), Type::INT8_ARRAY)
            .with(column(&waits, |wait| digest(&wait.destination)), Type::UUID_ARRAY)
            .with(column(&waits, |wait| wait.since.millis()), Type::INT8_ARRAY)
            .with(column(&waits, |wait| millis(wait.timeout)), Type::INT8_ARRAY)
            .with(column(&waits, |wait| millis(wait.heartbeat_due)), Type::INT8_ARRAY)
            .with(column(&waits, |wait| millis(wait.last_heartbeat)), Type::INT8_ARRAY)
            .with(column(&waits, |wait| i64::from(wait.attempt)), Type::INT8_ARRAY)
            .with(column(&waits, |wait| wait.queue), Type::BOOL_ARRAY)
            .with(column(&waits, |wait| wait.submitted), Type::BOOL_ARRAY)
            .with(column(&waits, |wait| wait.destination.as_bytes()), Type::BYTEA_ARRAY)
            .with(column(&waits, |wait| wait.state.as_bytes()), Type::BYTEA_ARRAY)
            .with(column(&waits, |wait| wait.resource.as_bytes()), Type::BYTEA_ARRAY);
        statements.push(statement);
    }
}

/// The range of a filter, longest waiting first.
fn range(query: &mut Query, filter: &WaitFilter) -> String {
    let mut all = Vec::new();
    if let Some(execution) = filter.execution {
        all.push(format!("w.execution = {}", query.bind(execution.0, Type::UUID)));
    }
    if let Some(destination) = &filter.destination {
        all.push(format!("w.destination_key = {}", query.bind(digest(destination), Type::UUID)));
    }
    if let Some(machine) = &filter.state_machine {
        all.push(format!("w.machine = {}", query.bind(key(machine), Type::UUID)));
    }
    if let Some(before) = filter.before {
        all.push(format!("w.since < {}", query.bind(before.millis(), Type::INT8)));
    }
    if let Some((since, TaskKey { execution, scheduled })) = filter.after {
        let place = [
            query.bind(since.millis(), Type::INT8),
            query.bind(execution.0, Type::UUID),
            query.bind(int(scheduled.0), Type::INT8),
        ];
        all.push(format!("(w.since, w.execution, w.scheduled) > ({})", place.join(", ")));
    }
    let limit = query.bind(i64::from(filter.limit), Type::INT8);
    let conditions = if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) };
    format!("FROM waits w{conditions} ORDER BY w.since, w.execution, w.scheduled LIMIT {limit}")
}

/// A page of the table, whole before the headers are read.
pub(super) fn page(filter: &WaitFilter) -> Query {
    let mut query = Query::default();
    let range = range(&mut query, filter);
    query.sql = format!(
        "SELECT w.execution, w.scheduled, h.arn, h.machine, w.destination, w.queue, w.state, w.resource, w.since, \
         w.timeout, w.heartbeat_due, w.last_heartbeat, w.attempt, w.submitted FROM (SELECT w.* {range}) w CROSS JOIN \
         LATERAL (SELECT * FROM headers WHERE id = w.execution OFFSET 0) h ORDER BY w.since, w.execution, w.scheduled"
    );
    query
}

pub(super) fn counts(filter: &WaitFilter) -> Query {
    let mut query = Query::default();
    let range = range(&mut query, filter);
    query.sql = format!("SELECT count(*) FROM (SELECT 1 {range}) w");
    query
}

pub(super) async fn list(client: &Client, filter: &WaitFilter) -> Outcome<Vec<WaitRow>> {
    let query = page(filter);
    client.query_typed(&query.sql, &query.params()).await?.iter().map(decode).collect()
}

fn decode(row: &Row) -> Outcome<WaitRow> {
    Ok(WaitRow {
        execution: ExecutionId(row.try_get(0)?),
        arn: Arn::new(row.try_get::<_, String>(2)?),
        state_machine: Arn::new(row.try_get::<_, String>(3)?),
        wait: Wait {
            scheduled: EventId(uint(row, 1)?),
            destination: words(row, 4)?.unwrap_or_default(),
            queue: row.try_get(5)?,
            state: words(row, 6)?.unwrap_or_default(),
            resource: words(row, 7)?.unwrap_or_default(),
            since: time(row, 8)?,
            timeout: optional_time(row, 9)?,
            heartbeat_due: optional_time(row, 10)?,
            last_heartbeat: optional_time(row, 11)?,
            attempt: small(row, 12)?,
            submitted: row.try_get(13)?,
        },
    })
}

pub(super) async fn states(client: &Client, executions: &[ExecutionId], each: u32) -> Outcome<WaitingStates> {
    let ids: Vec<Uuid> = executions.iter().map(|execution| execution.0).collect();
    let mut all = WaitingStates::new();
    for row in client.query_typed(STATES, &[(&ids, Type::UUID_ARRAY), (&i64::from(each), Type::INT8)]).await? {
        let state = words(&row, 1)?.unwrap_or_default();
        all.entry(ExecutionId(row.try_get(0)?)).or_default().push(state);
    }
    Ok(all)
}

pub(super) async fn count(client: &Client, filter: &WaitFilter) -> Outcome<u64> {
    let query = counts(filter);
    uint(&client.query_typed_one(&query.sql, &query.params()).await?, 0)
}

pub(super) async fn destinations(client: &Client, limit: u32) -> Outcome<Vec<DestinationWaits>> {
    let rows = client.query_typed(DESTINATIONS, &[(&i64::from(limit), Type::INT8)]).await?;
    let decode = |row: &Row| {
        Ok(DestinationWaits {
            destination: words(row, 0)?.unwrap_or_default(),
            queue: row.try_get(1)?,
            count: uint(row, 2)?,
            oldest: time(row, 3)?,
        })
    };
    rows.iter().map(decode).collect()
}
