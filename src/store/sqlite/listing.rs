//! Listings and counts of executions: each is a merge of ranges of one index, never a scan.
//!
//! A range is one (key, status) of an index that goes on with (started, id). A listing takes from each of its ranges at
//! most a page, keeps the newest page of all, and lets each range end where it cannot add to that page any more.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId};
use crate::store::parts::{Part, parts};
use crate::store::{ExecutionFilter, ExecutionRow, ExecutionStatus};

use super::error::Outcome;
use super::executions::find_resource;
use super::rows::{fetch, readable};
use super::values::{blob, execution_id, status_code, time};

/// Rows of one range between two places, newest first. `?6..?9` and `?11` are the filters that the index does not hold,
/// `?12` says which side of `?11` a child that was closed then is on.
macro_rules! range {
    ($index:literal, $key:literal) => {
        Index {
            page: concat!(
                "SELECT started, id FROM executions INDEXED BY ",
                $index,
                " WHERE ",
                $key,
                " AND status = ?2 AND (started, id) < (?3, ?4) AND started >= ?5 AND (?6 IS NULL OR machine = ?6) AND \
                 (?7 IS NULL OR machine_version = ?7 OR machine_alias = ?7) AND (?8 IS NULL OR map_run = ?8) AND (?9 \
                 IS NULL OR (redrive_count > 0) = ?9) AND (?11 IS NULL OR (ifnull(closed, 9223372036854775807) < ?11) \
                 = ?12) ORDER BY started DESC, id DESC LIMIT ?10"
            ),
            count: concat!(
                "SELECT count(*) FROM (SELECT 1 FROM executions INDEXED BY ",
                $index,
                " WHERE ",
                $key,
                " AND status = ?2 LIMIT ?3)"
            ),
            count_filtered: concat!(
                "SELECT count(*) FROM (SELECT 1 FROM executions INDEXED BY ",
                $index,
                " WHERE ",
                $key,
                " AND status = ?2 AND (?4 IS NULL OR machine = ?4) AND (?5 IS NULL OR machine_version = ?5 OR \
                 machine_alias = ?5) AND (?6 IS NULL OR map_run = ?6) AND (?7 IS NULL OR (redrive_count > 0) = ?7) AND \
                 (?8 IS NULL OR (ifnull(closed, 9223372036854775807) < ?8) = ?9) LIMIT ?3)"
            ),
        }
    };
}

struct Index {
    page: &'static str,
    /// Reads the index alone.
    count: &'static str,
    /// Reads the row of each execution too, for the filters that the index does not hold.
    count_filtered: &'static str,
}

const BY_MACHINE: &Index = &range!("executions_by_machine", "machine = ?1");
const BY_REDRIVEN: &Index = &range!("executions_by_redriven", "machine = ?1 AND redrive_count > 0");
const BY_VERSION: &Index = &range!("executions_by_version", "machine_version = ?1");
const BY_ALIAS: &Index = &range!("executions_by_alias", "machine_alias = ?1");
const BY_MAP_RUN: &Index = &range!("executions_by_map_run", "map_run = ?1");

/// The machines that have executions: one step in the index per machine, however many executions each has. With `?1`
/// without those of Map Runs' children (`name/label`), which may be millions of rows that would all be left out.
const MACHINES: &str = "WITH RECURSIVE machines (n) AS (SELECT min(machine) FROM executions UNION ALL SELECT (SELECT \
     min(machine) FROM executions WHERE machine > machines.n) FROM machines WHERE machines.n IS NOT NULL) SELECT n \
     FROM machines WHERE n IS NOT NULL AND NOT (?1 AND (SELECT instr(arn, '/') FROM resources r WHERE r.n = \
     machines.n) > 0)";

/// A filter with its ARNs looked up: ranges of an index, and the filters that this index does not hold.
struct Plan {
    ranges: Vec<(&'static Index, i64)>,
    parts: Vec<Part>,
    machine: Option<i64>,
    qualified: Option<i64>,
    map_run: Option<i64>,
    redriven: Option<bool>,
}

impl Plan {
    /// Its index holds the whole filter.
    fn is_of_index(&self) -> bool {
        self.redriven.is_none() && [self.machine, self.qualified, self.map_run].iter().all(Option::is_none)
    }
}

/// Looks up the ARNs of a filter. `None`: the filter names an ARN that no execution has.
fn plan(connection: &Connection, filter: &ExecutionFilter) -> Outcome<Option<Plan>> {
    let look_up = |arn: &Option<Arn>| -> Outcome<Option<Option<i64>>> {
        match arn {
            None => Ok(Some(None)),
            Some(arn) => Ok(find_resource(connection, arn)?.map(Some)),
        }
    };
    let (Some(machine), Some(qualified), Some(map_run)) =
        (look_up(&filter.state_machine)?, look_up(&filter.qualified)?, look_up(&filter.map_run)?)
    else {
        return Ok(None);
    };
    let parts = parts(filter.status, filter.run_redriven);
    let mut plan = Plan { ranges: Vec::new(), parts, machine, qualified, map_run, redriven: filter.redriven };
    plan.ranges = if let Some(map_run) = plan.map_run.take() {
        vec![(BY_MAP_RUN, map_run)]
    } else if let Some(qualified) = plan.qualified.take() {
        vec![(BY_VERSION, qualified), (BY_ALIAS, qualified)]
    } else {
        let index = if plan.redriven.take_if(|redriven| *redriven).is_some() { BY_REDRIVEN } else { BY_MACHINE };
        let machines = if let Some(machine) = plan.machine.take() {
            vec![machine]
        } else {
            let mut statement = connection.prepare_cached(MACHINES)?;
            let machines = statement.query_map([filter.is_outside_map_runs()], |row| row.get(0))?;
            machines.collect::<Result<_, _>>()?
        };
        machines.into_iter().map(|machine| (index, machine)).collect()
    };
    Ok(Some(plan))
}

pub(super) fn list(connection: &Connection, filter: &ExecutionFilter) -> Outcome<Vec<ExecutionRow>> {
    let limit = filter.limit as usize;
    let Some(plan) = plan(connection, filter)? else { return Ok(Vec::new()) };
    let (mut rows, mut after) = (Vec::new(), filter.after);
    while rows.len() < limit {
        let page = places(connection, &plan, after, filter.limit)?;
        let whole = page.len() == limit;
        after = page.last().copied();
        let missing = limit - rows.len();
        rows.extend(fetch(connection, page.into_iter().map(|(_, id)| id), filter.brief)?.into_iter().take(missing));
        if !whole {
            break;
        }
        // Rows that do not decode are replaced by those behind them.
    }
    for ExecutionRow { summary, .. } in &mut rows {
        summary.status =
            summary.status.of_child(summary.closed.as_ref().map(|closing| closing.at), filter.run_redriven);
    }
    Ok(rows)
}

/// A page of one index or several, newest first.
fn places(
    connection: &Connection,
    plan: &Plan,
    after: Option<(Timestamp, ExecutionId)>,
    most: u32,
) -> Outcome<Vec<(Timestamp, ExecutionId)>> {
    let limit = most as usize;
    let (after, after_id) = after.map_or((i64::MAX, [0xff; 16]), |(started, id)| (started.millis(), blob(id)));
    let mut page: Vec<(Timestamp, ExecutionId)> = Vec::new();
    for (index, key) in &plan.ranges {
        for Part { stored, closed, .. } in &plan.parts {
            let oldest = if page.len() == limit { page.last().map(|(started, _)| started.millis()) } else { None };
            let mut statement = connection.prepare_cached(index.page)?;
            let found = statement.query_map(
                params![
                    key,
                    status_code(*stored),
                    after,
                    after_id,
                    oldest.unwrap_or(i64::MIN),
                    plan.machine,
                    plan.qualified,
                    plan.map_run,
                    plan.redriven,
                    most,
                    closed.map(|(at, _)| at.millis()),
                    closed.map(|(_, before)| before)
                ],
                |row| Ok((time(row, 0)?, execution_id(row.get(1)?))),
            )?;
            let before = page.len();
            page.extend(readable(found)?);
            if page.len() > before {
                page.sort_unstable_by(|a, b| b.cmp(a));
                // A version and an alias may name the same execution.
                page.dedup();
                page.truncate(limit);
            }
        }
    }
    Ok(page)
}

pub(super) fn count(connection: &Connection, filter: &ExecutionFilter) -> Outcome<Vec<(ExecutionStatus, u64)>> {
    let Some(plan) = plan(connection, filter)? else { return Ok(Vec::new()) };
    let most = if filter.limit == 0 { i64::MAX } else { i64::from(filter.limit) };
    let mut counts: BTreeMap<i64, (ExecutionStatus, u64)> = BTreeMap::new();
    for Part { stored, seen, closed } in &plan.parts {
        for (index, key) in &plan.ranges {
            let n: i64 = if plan.is_of_index() && closed.is_none() {
                let mut statement = connection.prepare_cached(index.count)?;
                statement.query_row(params![key, status_code(*stored), most], |row| row.get(0))?
            } else {
                let mut statement = connection.prepare_cached(index.count_filtered)?;
                let values = params![
                    key,
                    status_code(*stored),
                    most,
                    plan.machine,
                    plan.qualified,
                    plan.map_run,
                    plan.redriven,
                    closed.map(|(at, _)| at.millis()),
                    closed.map(|(_, before)| before)
                ];
                statement.query_row(values, |row| row.get(0))?
            };
            counts.entry(status_code(*seen)).or_insert((*seen, 0)).1 += n.cast_unsigned();
        }
    }
    let most = most.cast_unsigned();
    Ok(counts.into_values().filter(|(_, n)| *n > 0).map(|(status, n)| (status, n.min(most))).collect())
}
