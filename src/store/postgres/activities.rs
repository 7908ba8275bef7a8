//! `activities` and `map_runs`.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId};
use crate::store::{ActivityRow, MapRunRow, Node, Tenure};

use super::commit::HOLD_PARTITIONS;
use super::error::{Outcome, already_exists, is_buried, is_foreign, not_found};
use super::places::{self, Listing};
use super::values::{Params, int, json, optional_time, time};

const ACTIVITY: &str = "SELECT arn, name, created, configuration FROM activities WHERE arn = $1";
const ACTIVITIES: &str =
    "SELECT arn, name, created, configuration FROM activities WHERE place > $1 ORDER BY place LIMIT $2";
const INSERT_ACTIVITY: &str = "INSERT INTO activities (arn, name, created, configuration) VALUES ($1, $2, $3, $4)";
const DELETE_ACTIVITY: &str = "DELETE FROM activities WHERE arn = $1";

const MAP_RUN: &str = "SELECT arn, execution, started, stopped, body FROM map_runs WHERE arn = $1";
const MAP_RUNS: &str = "SELECT arn, execution, started, stopped, body FROM map_runs WHERE execution = $1 AND place > \
    $2 ORDER BY place LIMIT $3";
const PUT_MAP_RUN: &str = "INSERT INTO map_runs (arn, execution, started, stopped, body) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (arn) DO UPDATE SET execution = excluded.execution, started = excluded.started, stopped = \
     excluded.stopped, body = excluded.body";

pub(super) async fn put(client: &Client, activity: &ActivityRow) -> Outcome<()> {
    if one(client, &activity.arn).await?.is_some() {
        return Err(already_exists("activity", &activity.arn));
    }
    let values: Params = &[
        (&activity.arn.as_str(), Type::TEXT),
        (&activity.name, Type::TEXT),
        (&activity.created.millis(), Type::INT8),
        (&activity.configuration.to_string(), Type::TEXT),
    ];
    client.execute_typed(INSERT_ACTIVITY, values).await?;
    places::returned(client, &activity.arn).await
}

pub(super) async fn one(client: &Client, arn: &Arn) -> Outcome<Option<ActivityRow>> {
    let row = client.query_typed_opt(ACTIVITY, &[(&arn.as_str(), Type::TEXT)]).await?;
    row.as_ref().map(decode).transpose()
}

pub(super) async fn page(client: &Client, after: Option<&Arn>, limit: u32) -> Outcome<Vec<ActivityRow>> {
    let from = match after {
        Some(arn) => places::place(client, Listing::Activities, arn).await?,
        None => 0,
    };
    let rows = client.query_typed(ACTIVITIES, &[(&from, Type::INT8), (&i64::from(limit), Type::INT8)]).await?;
    rows.iter().map(decode).collect()
}

pub(super) async fn delete(client: &Client, arn: &Arn) -> Outcome<()> {
    places::departed(client, Listing::Activities, arn).await?;
    if client.execute_typed(DELETE_ACTIVITY, &[(&arn.as_str(), Type::TEXT)]).await? == 0 {
        return Err(not_found("activity", arn));
    }
    super::tags::drop_all(client, arn).await
}

fn decode(row: &Row) -> Outcome<ActivityRow> {
    let arn = Arn::new(row.try_get::<_, String>(0)?);
    let configuration = json(row.try_get(3)?, "activity", &arn)?;
    Ok(ActivityRow { name: row.try_get(1)?, created: time(row, 2)?, configuration, arn })
}

/// `node`: the writer. Its hold of the partition lasts until the commit.
pub(super) async fn put_map_run(client: &Client, run: &MapRunRow, node: Option<Node>, under: Tenure) -> Outcome<()> {
    let Tenure { partition, epoch } = under;
    let held: Params = &[
        (&node.map(|node| node.id.0), Type::UUID),
        (&vec![i32::from(partition.0)], Type::INT4_ARRAY),
        (&vec![int(epoch.0)], Type::INT8_ARRAY),
    ];
    if let Err(error) = client.query_typed(HOLD_PARTITIONS, held).await {
        return Err(if is_buried(&error) || is_foreign(&error) {
            under.fenced(run.execution).into()
        } else {
            error.into()
        });
    }
    let values: Params = &[
        (&run.arn.as_str(), Type::TEXT),
        (&run.execution.0, Type::UUID),
        (&run.started.millis(), Type::INT8),
        (&run.stopped.map(Timestamp::millis), Type::INT8),
        (&run.body.to_string(), Type::TEXT),
    ];
    client.execute_typed(PUT_MAP_RUN, values).await?;
    Ok(())
}

pub(super) async fn map_run(client: &Client, arn: &Arn) -> Outcome<Option<MapRunRow>> {
    let row = client.query_typed_opt(MAP_RUN, &[(&arn.as_str(), Type::TEXT)]).await?;
    row.as_ref().map(decode_map_run).transpose()
}

pub(super) async fn map_runs(
    client: &Client,
    execution: ExecutionId,
    after: Option<&Arn>,
    limit: u32,
) -> Outcome<Vec<MapRunRow>> {
    let from = match after {
        Some(arn) => places::place(client, Listing::MapRuns, arn).await?,
        None => 0,
    };
    let values: Params = &[(&execution.0, Type::UUID), (&from, Type::INT8), (&i64::from(limit), Type::INT8)];
    client.query_typed(MAP_RUNS, values).await?.iter().map(decode_map_run).collect()
}

fn decode_map_run(row: &Row) -> Outcome<MapRunRow> {
    let arn = Arn::new(row.try_get::<_, String>(0)?);
    let body = json(row.try_get(4)?, "map run", &arn)?;
    Ok(MapRunRow {
        execution: ExecutionId(row.try_get(1)?),
        started: time(row, 2)?,
        stopped: optional_time(row, 3)?,
        body,
        arn,
    })
}
