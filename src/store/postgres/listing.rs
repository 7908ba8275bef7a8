//! Listings and counts of executions: each is a merge of ranges of one index, never a scan.
//!
//! A range is one (key, status) of an index that goes on with (started, id). A listing takes a page of each of its
//! ranges, and keeps the newest page of all. The text of the statement is put together from fixed words; every value is
//! a parameter.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::store::parts::{Part, parts};
use crate::store::{ExecutionFilter, ExecutionRow, ExecutionStatus};

use super::error::Outcome;
use super::names::key;
use super::rows::{columns, decode};
use super::values::{status, status_code};

/// The machines that have executions: one step in the index per machine, however many executions each has.
const MACHINES: &str = "machines (machine) AS ((SELECT machine FROM executions ORDER BY machine LIMIT 1) UNION ALL \
     SELECT (SELECT e.machine FROM executions e WHERE e.machine > m.machine ORDER BY e.machine LIMIT 1) FROM machines \
     m WHERE m.machine IS NOT NULL)";

/// Leaves out the machines of Map Runs' children (`name/label`), which may have millions of rows.
const UNLABELLED: &str = " AND (SELECT strpos(h.machine, '/') FROM executions e JOIN headers h ON h.id = e.id WHERE \
     e.machine = m.machine LIMIT 1) = 0";

/// The rows of a page, each found by its key: `OFFSET 0` keeps the planner from reading a whole table for them.
const ROWS: &str = "FROM page p CROSS JOIN LATERAL (SELECT * FROM executions WHERE id = p.id OFFSET 0) e \
     CROSS JOIN LATERAL (SELECT * FROM headers WHERE id = p.id OFFSET 0) h";
const CLOSINGS: &str = " LEFT JOIN LATERAL (SELECT * FROM closings WHERE id = p.id OFFSET 0) c ON e.closed IS NOT NULL";

/// A statement that is put together, with the values of its parameters.
#[derive(Default)]
pub(super) struct Query {
    pub sql: String,
    values: Vec<(Box<dyn ToSql + Send + Sync>, Type)>,
}

impl Query {
    /// The name of a further parameter.
    pub(super) fn bind(&mut self, value: impl ToSql + Send + Sync + 'static, of: Type) -> String {
        self.values.push((Box::new(value), of));
        format!("${}", self.values.len())
    }

    pub(super) fn params(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.values.iter().map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone())).collect()
    }
}

/// Where a range begins: the column of an index, and its value. Without a value: the range of each machine.
type Start = (&'static str, Option<Uuid>);

fn starts(filter: &ExecutionFilter) -> Vec<Start> {
    match (&filter.map_run, &filter.qualified, &filter.state_machine) {
        (Some(run), _, _) => vec![("map_run", Some(key(run)))],
        (None, Some(arn), _) => vec![("machine_version", Some(key(arn))), ("machine_alias", Some(key(arn)))],
        (None, None, machine) => vec![("machine", machine.as_ref().map(key))],
    }
}

/// The conditions of one range: those of the index, and the filters that it does not hold.
fn range(query: &mut Query, filter: &ExecutionFilter, (column, value): Start, part: &Part) -> String {
    let start = match value {
        Some(value) => query.bind(value, Type::UUID),
        None => "m.machine".to_owned(),
    };
    let mut text = format!("e.{column} = {start} AND e.status = {}", status_code(part.stored));
    if filter.redriven == Some(true) {
        text.push_str(" AND e.redrive_count > 0");
    } else if filter.redriven == Some(false) {
        text.push_str(" AND e.redrive_count = 0");
    }
    let mut also = |column: &str, value: String| {
        let _ = write!(text, " AND {column} = {value}");
    };
    if let Some(machine) = filter.state_machine.as_ref().filter(|_| column != "machine") {
        also("e.machine", query.bind(key(machine), Type::UUID));
    }
    if let Some(arn) = filter.qualified.as_ref().filter(|_| column == "map_run") {
        let arn = query.bind(key(arn), Type::UUID);
        let _ = write!(text, " AND (e.machine_version = {arn} OR e.machine_alias = {arn})");
    }
    if let Some((at, before)) = part.closed {
        let at = query.bind(at.millis(), Type::INT8);
        let side = if before { "<" } else { ">=" };
        let _ = write!(text, " AND coalesce(e.closed, 9223372036854775807) {side} {at}");
    }
    text
}

/// One subquery for each range.
fn ranges(query: &mut Query, filter: &ExecutionFilter, one: impl Fn(&Part, &str) -> String) -> Vec<String> {
    let kept = if filter.is_outside_map_runs() { UNLABELLED } else { "" };
    let mut all = Vec::new();
    for start in starts(filter) {
        for part in parts(filter.status, filter.run_redriven) {
            let of_range = one(&part, &range(query, filter, start, &part));
            all.push(match start.1 {
                Some(_) => format!("({of_range})"),
                None => format!(
                    "(SELECT r.* FROM machines m CROSS JOIN LATERAL ({of_range}) r WHERE m.machine IS NOT NULL{kept})"
                ),
            });
        }
    }
    all
}

pub(super) fn page(filter: &ExecutionFilter) -> Query {
    let mut query = Query::default();
    let limit = query.bind(i64::from(filter.limit), Type::INT8);
    let after = filter.after.map(|(started, id)| {
        let (started, id) = (query.bind(started.millis(), Type::INT8), query.bind(id.0, Type::UUID));
        format!(" AND (e.started, e.id) < ({started}, {id})")
    });
    let after = after.unwrap_or_default();
    let newest = ranges(&mut query, filter, |_, conditions| {
        format!(
            "SELECT e.started, e.id FROM executions e WHERE {conditions}{after} ORDER BY e.started DESC, e.id DESC \
             LIMIT {limit}"
        )
    });
    // A version and an alias may name the same execution.
    let merged = newest.join(if filter.qualified.is_some() { " UNION " } else { " UNION ALL " });
    let select = if filter.brief {
        columns!("'', NULL::text, NULL::bytea, NULL::bytea")
    } else {
        columns!("h.input, c.output, c.error, c.cause")
    };
    let closings = if filter.brief { "" } else { CLOSINGS };
    query.sql = format!(
        "WITH RECURSIVE {MACHINES}, page AS MATERIALIZED (SELECT started, id FROM ({merged}) ranges \
         ORDER BY started DESC, id DESC LIMIT {limit}) {select} {ROWS}{closings} ORDER BY p.started DESC, p.id DESC"
    );
    query
}

pub(super) async fn list(client: &Client, filter: &ExecutionFilter) -> Outcome<Vec<ExecutionRow>> {
    let query = page(filter);
    let found = client.query_typed(&query.sql, &query.params()).await?;
    let mut rows = found.iter().map(decode).collect::<Outcome<Vec<_>>>()?;
    for ExecutionRow { summary, .. } in &mut rows {
        let closed = summary.closed.as_ref().map(|closing| closing.at);
        summary.status = summary.status.of_child(closed, filter.run_redriven);
    }
    Ok(rows)
}

pub(super) fn counts(filter: &ExecutionFilter) -> Query {
    let mut query = Query::default();
    // The order of the index: without it the planner reads the table until it has found so many.
    let bound = (filter.limit > 0).then(|| query.bind(i64::from(filter.limit), Type::INT8));
    let bound = bound.map_or_else(String::new, |most| format!(" ORDER BY e.started DESC, e.id DESC LIMIT {most}"));
    let counts = ranges(&mut query, filter, |part, conditions| {
        let seen = status_code(part.seen);
        format!(
            "SELECT {seen}::smallint AS seen, count(*) AS n FROM \
             (SELECT 1 FROM executions e WHERE {conditions}{bound}) counted"
        )
    });
    query.sql = format!("WITH RECURSIVE {MACHINES} {}", counts.join(" UNION ALL "));
    query
}

pub(super) async fn count(client: &Client, filter: &ExecutionFilter) -> Outcome<Vec<(ExecutionStatus, u64)>> {
    let query = counts(filter);
    let mut sums: BTreeMap<i16, u64> = BTreeMap::new();
    for row in client.query_typed(&query.sql, &query.params()).await? {
        *sums.entry(row.try_get(0)?).or_default() += row.try_get::<_, i64>(1)?.cast_unsigned();
    }
    let most = if filter.limit == 0 { u64::MAX } else { u64::from(filter.limit) };
    sums.into_iter().filter(|(_, n)| *n > 0).map(|(code, n)| Ok((status(code, &"counted")?, n.min(most)))).collect()
}
