//! `map_runs`.

use rusqlite::{Connection, Row, params};

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId};
use crate::store::{MapRunRow, Tenure};

use super::error::Outcome;
use super::places::{self, Listing};
use super::values::{blob, execution_id, json, optional_time, time};
use super::versions::{all, find};

const ONE: &str = "SELECT arn, execution, started, stopped, body FROM map_runs WHERE arn = ?1";
const SELECT_PAGE: &str = "SELECT arn, execution, started, stopped, body FROM map_runs WHERE execution = ?1 AND place \
    > ?2 ORDER BY place LIMIT ?3";
const PUT: &str = "INSERT INTO map_runs (arn, execution, started, stopped, body) VALUES (?1, ?2, ?3, ?4, ?5) ON \
     CONFLICT (arn) DO UPDATE SET execution = excluded.execution, started = excluded.started, stopped = \
     excluded.stopped, body = excluded.body";
const DELETE_OF_EXECUTION: &str = "DELETE FROM map_runs WHERE execution = ?1";

pub(super) fn put(connection: &Connection, run: &MapRunRow, under: Tenure) -> Outcome<()> {
    under.is_of_the_only_owner(run.execution)?;
    connection.prepare_cached(PUT)?.execute(params![
        run.arn.as_str(),
        blob(run.execution),
        run.started.millis(),
        run.stopped.map(Timestamp::millis),
        run.body.to_string()
    ])?;
    Ok(())
}

pub(super) fn one(connection: &Connection, arn: &Arn) -> Outcome<Option<MapRunRow>> {
    find(connection, ONE, [arn.as_str()], decode)
}

pub(super) fn page(
    connection: &Connection,
    execution: ExecutionId,
    after: Option<&Arn>,
    limit: u32,
) -> Outcome<Vec<MapRunRow>> {
    let from = after.map_or(Ok(0), |arn| places::place(connection, Listing::MapRuns, arn))?;
    all(connection, SELECT_PAGE, params![blob(execution), from, limit], decode)
}

pub(super) fn drop_of(connection: &Connection, execution: [u8; 16]) -> Outcome<()> {
    connection.prepare_cached(DELETE_OF_EXECUTION)?.execute([execution])?;
    Ok(())
}

fn decode(row: &Row<'_>) -> Outcome<MapRunRow> {
    let arn = Arn::new(row.get::<_, String>(0)?);
    let body = json(&row.get::<_, String>(4)?, "map run", &arn)?;
    Ok(MapRunRow {
        execution: execution_id(row.get(1)?),
        started: time(row, 2)?,
        stopped: optional_time(row, 3)?,
        body,
        arn,
    })
}
