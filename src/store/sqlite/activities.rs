//! `activities`.

use rusqlite::{Connection, Row, params};

use crate::ids::Arn;
use crate::store::ActivityRow;

use super::error::{Outcome, already_exists, not_found};
use super::places::{self, Listing};
use super::values::{json, time};
use super::versions::{all, find};

const ONE: &str = "SELECT arn, name, created, configuration FROM activities WHERE arn = ?1";
const SELECT_PAGE: &str =
    "SELECT arn, name, created, configuration FROM activities WHERE place > ?1 ORDER BY place LIMIT ?2";
const INSERT: &str = "INSERT INTO activities (arn, name, created, configuration) VALUES (?1, ?2, ?3, ?4)";
const DELETE: &str = "DELETE FROM activities WHERE arn = ?1";

pub(super) fn put(connection: &Connection, activity: &ActivityRow) -> Outcome<()> {
    if connection.prepare_cached(ONE)?.exists([activity.arn.as_str()])? {
        return Err(already_exists("activity", &activity.arn));
    }
    connection.prepare_cached(INSERT)?.execute(params![
        activity.arn.as_str(),
        activity.name,
        activity.created.millis(),
        activity.configuration.to_string()
    ])?;
    places::returned(connection, &activity.arn)
}

pub(super) fn one(connection: &Connection, arn: &Arn) -> Outcome<Option<ActivityRow>> {
    find(connection, ONE, [arn.as_str()], decode)
}

pub(super) fn page(connection: &Connection, after: Option<&Arn>, limit: u32) -> Outcome<Vec<ActivityRow>> {
    let from = after.map_or(Ok(0), |arn| places::place(connection, Listing::Activities, arn))?;
    all(connection, SELECT_PAGE, params![from, limit], decode)
}

pub(super) fn delete(connection: &Connection, arn: &Arn) -> Outcome<()> {
    places::departed(connection, Listing::Activities, arn)?;
    if connection.prepare_cached(DELETE)?.execute([arn.as_str()])? == 0 {
        return Err(not_found("activity", arn));
    }
    super::tags::drop_all(connection, arn)
}

fn decode(row: &Row<'_>) -> Outcome<ActivityRow> {
    let arn = Arn::new(row.get::<_, String>(0)?);
    let configuration = json(&row.get::<_, String>(3)?, "activity", &arn)?;
    Ok(ActivityRow { name: row.get(1)?, created: time(row, 2)?, configuration, arn })
}
