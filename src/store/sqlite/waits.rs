//! The table of waiting tasks: the writer's statements on it, and its listings. Each listing reads one range of one
//! index.

use rusqlite::{Connection, Row, params};

use crate::clock::Timestamp;
use crate::ids::{Arn, EventId, ExecutionId, TaskKey};
use crate::store::{DestinationWaits, Wait, WaitChange, WaitFilter, WaitRow, WaitingStates};

use super::damage::left_out;
use super::error::Outcome;
use super::executions::find_resource;
use super::values::{blob, execution_id, int, optional_time, time, uint};

/// No `INSERT OR REPLACE`: it removes a row without the trigger that counts.
const PUT: &str = "INSERT INTO waits (execution, scheduled, machine, destination, queue, state, resource, since, \
    timeout, heartbeat_due, last_heartbeat, attempt, submitted) VALUES (?1, ?2, (SELECT machine FROM executions WHERE \
    id = ?1), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (execution, scheduled) DO UPDATE SET destination \
    = excluded.destination, queue = excluded.queue, state = excluded.state, resource = excluded.resource, since = \
    excluded.since, timeout = excluded.timeout, heartbeat_due = excluded.heartbeat_due, last_heartbeat = \
    excluded.last_heartbeat, attempt = excluded.attempt, submitted = excluded.submitted";
const GONE: &str = "DELETE FROM waits WHERE execution = ?1 AND scheduled = ?2";
const DROP_ALL: &str = "DELETE FROM waits WHERE execution = ?1";

macro_rules! filters {
    ($key:literal) => {
        concat!(
            $key,
            " AND (w.since, w.execution, w.scheduled) > (?1, ?2, ?3) AND (?4 IS NULL OR w.since < ?4) AND (?5 IS NULL \
             OR w.execution = ?5) AND (?6 IS NULL OR w.machine = ?6) AND (?7 IS NULL OR w.destination = ?7)"
        )
    };
}

/// A range of one index behind a place. `?1..?3` is the place, `?4..?7` are filters.
macro_rules! index {
    ($index:literal, $key:literal) => {
        Index {
            page: concat!(
                "SELECT w.execution, w.scheduled, h.arn, m.arn, w.destination, w.queue, w.state, w.resource, w.since, \
                 w.timeout, w.heartbeat_due, w.last_heartbeat, w.attempt, w.submitted FROM waits w ",
                $index,
                " CROSS JOIN executions e ON e.id = w.execution CROSS JOIN headers h ON h.n = e.n \
                 CROSS JOIN resources m ON m.n = w.machine WHERE ",
                filters!($key),
                " ORDER BY w.since, w.execution, w.scheduled LIMIT ?8"
            ),
            count: concat!(
                "SELECT count(*) FROM (SELECT 1 FROM waits w ",
                $index,
                " WHERE ",
                filters!($key),
                " LIMIT ?8)"
            ),
        }
    };
}

struct Index {
    page: &'static str,
    count: &'static str,
}

const BY_EXECUTION: &Index = &index!("", "w.execution = ?5");
const BY_DESTINATION: &Index = &index!("INDEXED BY waits_by_destination", "w.destination = ?7");
const BY_MACHINE: &Index = &index!("INDEXED BY waits_by_machine", "w.machine = ?6");
const BY_SINCE: &Index = &index!("INDEXED BY waits_by_since", "w.since >= ?1");

const STATES: &str = "SELECT state FROM waits WHERE execution = ?1 ORDER BY since, scheduled LIMIT ?2";

/// The counts are kept by triggers (`migrations/0007_wait_counts.sql`).
const DESTINATIONS: &str = "SELECT c.destination, max(c.queue), sum(c.tasks), (SELECT w.since FROM waits w INDEXED BY \
    waits_by_destination WHERE w.destination = c.destination ORDER BY w.since LIMIT 1) FROM wait_counts c GROUP BY \
    c.destination ORDER BY c.destination LIMIT ?1";

/// Writes the changes that an append carries.
pub(super) fn change(connection: &Connection, execution: ExecutionId, changes: &[WaitChange]) -> Outcome<()> {
    let id = blob(execution);
    for change in changes {
        match change {
            WaitChange::Put(wait) => connection.prepare_cached(PUT)?.execute(params![
                id,
                int(wait.scheduled.0),
                wait.destination,
                wait.queue,
                wait.state,
                wait.resource,
                wait.since.millis(),
                wait.timeout.map(Timestamp::millis),
                wait.heartbeat_due.map(Timestamp::millis),
                wait.last_heartbeat.map(Timestamp::millis),
                wait.attempt,
                wait.submitted,
            ])?,
            WaitChange::Gone(scheduled) => connection.prepare_cached(GONE)?.execute(params![id, int(scheduled.0)])?,
        };
    }
    Ok(())
}

/// With the execution go its rows.
pub(super) fn drop_all(connection: &Connection, execution: [u8; 16]) -> Outcome<()> {
    connection.prepare_cached(DROP_ALL)?.execute([execution])?;
    Ok(())
}

/// The index to read, and the number of the machine. `None`: no execution names that machine.
fn plan(connection: &Connection, filter: &WaitFilter) -> Outcome<Option<(&'static Index, Option<i64>)>> {
    let machine = match &filter.state_machine {
        None => None,
        Some(arn) => match find_resource(connection, arn)? {
            None => return Ok(None),
            found => found,
        },
    };
    let index = match (filter.execution, &filter.destination, machine) {
        (Some(_), _, _) => BY_EXECUTION,
        (None, Some(_), _) => BY_DESTINATION,
        (None, None, Some(_)) => BY_MACHINE,
        (None, None, None) => BY_SINCE,
    };
    Ok(Some((index, machine)))
}

type Values<'f> = (i64, [u8; 16], i64, Option<i64>, Option<[u8; 16]>, Option<i64>, Option<&'f str>, u32);

fn values(machine: Option<i64>, filter: &WaitFilter) -> Values<'_> {
    let first = TaskKey { execution: ExecutionId(uuid::Uuid::nil()), scheduled: EventId(0) };
    let (since, key) = filter.after.unwrap_or((Timestamp::from_millis(i64::MIN), first));
    (
        since.millis(),
        blob(key.execution),
        int(key.scheduled.0),
        filter.before.map(Timestamp::millis),
        filter.execution.map(blob),
        machine,
        filter.destination.as_deref(),
        filter.limit,
    )
}

pub(super) fn list(connection: &Connection, filter: &WaitFilter) -> Outcome<Vec<WaitRow>> {
    let Some((index, machine)) = plan(connection, filter)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(index.page)?;
    let mut found = statement.query(values(machine, filter))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.extend(left_out(decode(row), || "(a waiting task)".to_owned())?);
    }
    Ok(rows)
}

fn decode(row: &Row<'_>) -> Outcome<WaitRow> {
    Ok(WaitRow {
        execution: execution_id(row.get(0)?),
        arn: Arn::new(row.get::<_, String>(2)?),
        state_machine: Arn::new(row.get::<_, String>(3)?),
        wait: Wait {
            scheduled: EventId(uint(row, 1)?),
            destination: row.get(4)?,
            queue: row.get(5)?,
            state: row.get(6)?,
            resource: row.get(7)?,
            since: time(row, 8)?,
            timeout: optional_time(row, 9)?,
            heartbeat_due: optional_time(row, 10)?,
            last_heartbeat: optional_time(row, 11)?,
            attempt: row.get(12)?,
            submitted: row.get(13)?,
        },
    })
}

pub(super) fn states(connection: &Connection, executions: &[ExecutionId], each: u32) -> Outcome<WaitingStates> {
    let mut statement = connection.prepare_cached(STATES)?;
    let mut all = WaitingStates::new();
    for execution in executions {
        let (mut found, mut states) = (statement.query(params![blob(*execution), each])?, Vec::new());
        while let Some(row) = found.next()? {
            states.extend(left_out(row.get(0).map_err(Into::into), || "(a waiting task)".to_owned())?);
        }
        if !states.is_empty() {
            all.insert(*execution, states);
        }
    }
    Ok(all)
}

pub(super) fn count(connection: &Connection, filter: &WaitFilter) -> Outcome<u64> {
    let Some((index, machine)) = plan(connection, filter)? else { return Ok(0) };
    let mut statement = connection.prepare_cached(index.count)?;
    Ok(statement.query_row(values(machine, filter), |row| uint(row, 0))?)
}

pub(super) fn destinations(connection: &Connection, limit: u32) -> Outcome<Vec<DestinationWaits>> {
    let mut statement = connection.prepare_cached(DESTINATIONS)?;
    let found = statement.query_map([limit], |row| {
        let Some(oldest) = optional_time(row, 3)? else { return Ok(None) };
        Ok(Some(DestinationWaits { destination: row.get(0)?, queue: row.get(1)?, count: uint(row, 2)?, oldest }))
    })?;
    found.filter_map(|row| row.map_err(Into::into).transpose()).collect()
}
