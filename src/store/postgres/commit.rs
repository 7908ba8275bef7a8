//! The statements of one commit, and their parameters: one array per column.
//!
//! This is the hot path: two appends per callback. Each statement takes all rows of the group (`unnest`), and raises
//! where it did not find them (`expect`). One statement with data-modifying parts for everything was measured too: it
//! is planned for one row per part and takes quadratic time (docs/decisions/0031-postgres.md).

use futures_util::future::join_all;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::Arn;
use crate::store::{Append, Closing, Node, StoreError};

use super::error::{classify, concerns_all, is_buried};
use super::names::{arn_key, key};
use super::packed::pack;
use super::session::Session;
use super::values::{int, status_code};
use super::waits;
use super::writer::{Create, Write, Writer};

/// Plans of statements by their keys do not depend on the planner's statistics of the tables, so it is told to use the
/// indexes. A process that freezes in the middle of a transaction must not keep its row from a successor for ever.
/// `LOCAL`: a pooler may give the session to another client after the commit.
macro_rules! begin {
    ($more:literal) => {
        concat!(
            "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
             SET LOCAL idle_in_transaction_session_timeout = '2s'",
            $more
        )
    };
}
pub(super) const BEGIN: &str = begin!("");
const BEGIN_NORMAL: &str = begin!("; SET LOCAL synchronous_commit = off");

/// The same as settings of a session that is the writer's own.
macro_rules! settings {
    ($more:literal) => {
        concat!(
            "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off \
             -c idle_in_transaction_session_timeout=2s",
            $more
        )
    };
}
pub(super) const fn settings(durable: bool) -> &'static str {
    if durable { settings!("") } else { settings!(" -c synchronous_commit=off") }
}

fn begin(session: &Session, durable: bool) -> &'static str {
    match (session.is_own(), durable) {
        (true, _) => "BEGIN",
        (false, true) => BEGIN,
        (false, false) => BEGIN_NORMAL,
    }
}
pub(super) const HOLD: &str = "SELECT hold($1)";
/// The same, with the partitions that the group touches.
pub(super) const HOLD_PARTITIONS: &str = "SELECT hold($1, $2, $3)";
/// The lock keeps the revisions until the commit. A removal locks them too, and looks again afterwards.
const REVISIONS: &str =
    "SELECT expect($2, count(*)) FROM (SELECT 1 FROM revisions WHERE id = ANY($1) FOR KEY SHARE) known";
const RELEASE_NAMES: &str = "WITH gone AS (UPDATE headers SET named = false WHERE id = ANY($1) AND named RETURNING 1) \
     SELECT expect($2, count(*)) FROM gone";
const INSERT_HEADERS: &str = "INSERT INTO headers (id, arn_key, revision, parent, parent_event, item_index, named, \
    arn, name, machine, version_arn, alias_arn, map_run, trace_header, input, forked) SELECT id, arn_key, revision, \
    parent, parent_event, item_index, true, arn, name, machine, version_arn, alias_arn, map_run, trace_header, input, \
    forked FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) AS a (id, arn_key, revision, \
    parent, parent_event, item_index, arn, name, machine, version_arn, alias_arn, map_run, trace_header, input, \
    forked)";
const INSERT_EXECUTIONS: &str = "INSERT INTO executions (id, version, due, closed, redriven, started, machine, \
    machine_version, machine_alias, map_run, tasks, redrive_count, partition, status, owes_parent, owes) SELECT * FROM \
    unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
/// `o` is the row before: the sums need it. One statement, so that they need no second round trip.
macro_rules! advanced {
    () => {
        "advanced AS ( UPDATE executions e SET version = a.version, due = a.due, closed = a.closed, redriven = \
           a.redriven, tasks = a.tasks, redrive_count = a.redrive_count, status = a.status, owes_parent = \
           a.owes_parent, owes = a.owes FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS a (id, expects, \
           version, due, closed, redriven, tasks, redrive_count, status, owes_parent, owes) JOIN executions o ON o.id \
           = a.id WHERE e.id = a.id AND e.version = a.expects RETURNING (e.closed IS NULL)::int - (o.closed IS \
           NULL)::int AS executions, CASE WHEN e.closed IS NULL THEN e.tasks ELSE 0 END - CASE WHEN o.closed IS NULL \
           THEN o.tasks ELSE 0 END AS tasks)"
    };
}
macro_rules! summed {
    () => {
        "UPDATE totals t SET executions = t.executions + $13 + sums.executions, tasks = t.tasks + $14 + sums.tasks \
         FROM (SELECT count(*) AS n, coalesce(sum(executions), 0)::bigint AS executions, coalesce(sum(tasks), \
         0)::bigint AS tasks FROM advanced) sums WHERE t.writer = $15 RETURNING t.executions, t.tasks, expect($12, \
         sums.n)"
    };
}
const ADVANCE: &str = concat!("WITH ", advanced!(), " ", summed!());
/// A whole commit: batches of executions that go on, their index, the sums and the fence. PostgreSQL answers it once,
/// where it answers a transaction of several statements with a packet for each. No part reads another one's rows but
/// the sums, which count them: parts that are joined would take quadratic time.
const GO_ON: &str = concat!(
    "WITH written AS (INSERT INTO journal (execution, after, events, epoch, bytes) SELECT * FROM unnest($16, $17, \
     $18, $19, $20)), ",
    advanced!(),
    ", summed AS (",
    summed!(),
    ") SELECT hold($21, $22, $23), (SELECT executions FROM summed) AS executions, (SELECT tasks FROM summed) AS tasks"
);
/// The newest batch of an execution, not its first.
const TAKE_NEWEST: &str = "WITH gone AS ( DELETE FROM journal j USING unnest($1, $2, $3) AS a (execution, after, \
       events) WHERE j.execution = a.execution AND j.after = a.after AND j.events = a.events AND j.n = (SELECT n FROM \
       journal WHERE execution = a.execution ORDER BY n DESC LIMIT 1) AND EXISTS (SELECT 1 FROM journal f WHERE \
       f.execution = a.execution AND f.n < j.n) RETURNING 1) SELECT expect($4, count(*)) FROM gone";
const PUT_CLOSINGS: &str = "INSERT INTO closings (id, error, cause, output) SELECT * FROM unnest($1, $2, $3, $4) \
     ON CONFLICT (id) DO UPDATE SET error = excluded.error, cause = excluded.cause, output = excluded.output";
const INSERT_BATCHES: &str =
    "INSERT INTO journal (execution, after, events, epoch, bytes) SELECT * FROM unnest($1, $2, $3, $4, $5)";
/// By their owner alone: an execution that was settled and then redriven may have another owner, and owes again.
const PARENTS_TOLD: &str = "UPDATE executions e SET owes_parent = false WHERE e.id = ANY($1) AND e.owes_parent \
    AND EXISTS (SELECT 1 FROM partitions p WHERE p.partition = e.partition AND p.owner = $2)";
const TOTALS: &str =
    "UPDATE totals SET executions = executions + $1, tasks = tasks + $2 WHERE writer = $3 RETURNING executions, tasks";

/// Why nothing of a group is known to be there.
#[derive(Debug)]
pub(super) enum Failed {
    /// Rolled back, because of one of its requests.
    Refused(StoreError),
    /// The connection, or the server: the commit may have landed.
    Unknown(StoreError),
    /// Rolled back: others have buried this node.
    Buried,
}

/// A statement with the values of its parameters.
pub(super) struct Statement<'a> {
    pub sql: &'static str,
    values: Vec<(Box<dyn ToSql + Send + Sync + 'a>, Type)>,
}

impl<'a> Statement<'a> {
    pub(super) fn new(sql: &'static str) -> Self {
        Self { sql, values: Vec::new() }
    }

    pub(super) fn with(mut self, value: impl ToSql + Send + Sync + 'a, of: Type) -> Self {
        self.values.push((Box::new(value), of));
        self
    }

    pub(super) fn params(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.values.iter().map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone())).collect()
    }
}

/// One value of each row.
pub(super) fn column<'a, R, T>(rows: &[&'a R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(|row| of(row)).collect()
}

/// The sums over all open executions after the commit.
type Totals = (i64, i64);

/// Commits a group, whole or not at all. The last statement gives the sums. A statement that stands alone is its own
/// transaction, where the planner's settings are those of the session.
pub(super) async fn commit(session: &Session, writer: &Writer, node: Node, group: &[Write]) -> Result<Totals, Failed> {
    let statements = statements(node, writer.seat.packs(), group);
    let params: Vec<_> = statements.iter().map(Statement::params).collect();
    let all = || statements.iter().zip(&params).map(|(statement, values)| (statement.sql, values.as_slice()));
    if let Err(error) = session.name(all()).await {
        return Err(Failed::Unknown(classify(&error)));
    }
    let sent = join_all(all().map(|(sql, values)| session.run(sql, values)));
    let (begun, answers, ended) = if statements.len() == 1 && session.is_own() {
        (Ok(()), sent.await, Ok(()))
    } else {
        let begin = session.batch_execute(begin(session, writer.durable));
        // Polled in this order, so sent in this order, before any of them is answered.
        futures_util::join!(begin, sent, session.batch_execute("COMMIT"))
    };
    let mut last = None;
    let mut failed = begun.err();
    for answer in answers {
        match answer {
            Ok(rows) => last = rows.into_iter().next(),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    // After a failed statement PostgreSQL answers COMMIT with a rollback, which is no error.
    match failed.or(ended.err()) {
        None => {}
        Some(error) if is_buried(&error) => return Err(Failed::Buried),
        Some(error) if concerns_all(&error) => return Err(Failed::Unknown(classify(&error))),
        Some(error) => return Err(Failed::Refused(classify(&error))),
    }
    let sums = last.and_then(|row| Some((row.try_get("executions").ok()?, row.try_get("tasks").ok()?)));
    sums.ok_or_else(|| Failed::Unknown(StoreError::Unavailable("the row of `totals` is missing".into())))
}

/// The statements of a group, in the order in which they must run. `packs`: batches are packed.
pub(super) fn statements(node: Node, packs: bool, group: &[Write]) -> Vec<Statement<'_>> {
    let creates: Vec<&Create> = group.iter().filter_map(Write::as_create).collect();
    let appends: Vec<&Append> = group.iter().filter_map(Write::as_append).collect();
    let told: Vec<Uuid> = group.iter().filter_map(Write::as_told).map(|id| id.0).collect();
    if appends.len() == group.len() && appends.iter().all(|append| goes_on(append)) {
        return vec![on(node, packs, &appends)];
    }
    let all: Vec<&Append> = creates.iter().map(|create| &create.first).chain(appends.iter().copied()).collect();
    let mut statements = vec![held(Statement::new(HOLD_PARTITIONS), node, &all)];
    if !creates.is_empty() {
        created(&creates, &mut statements);
    }
    let replacing: Vec<&Append> = appends.iter().copied().filter(|append| append.replaces > 0).collect();
    if !replacing.is_empty() {
        let taken = Statement::new(TAKE_NEWEST)
            .with(column(&replacing, |a| a.execution.0), Type::UUID_ARRAY)
            .with(column(&replacing, |a| int(a.batch.after.0)), Type::INT8_ARRAY)
            .with(column(&replacing, |a| i64::from(a.replaces)), Type::INT8_ARRAY)
            .with(count(&replacing), Type::INT8);
        statements.push(taken);
    }
    // An append without events leaves the journal as it is.
    let born = creates.iter().map(|create| &create.first);
    let written: Vec<&Append> = born.chain(appends.iter().copied().filter(|a| a.batch.events > 0)).collect();
    if !written.is_empty() {
        statements.push(batches(Statement::new(INSERT_BATCHES), packs, &written));
    }
    ended(&all, &mut statements);
    waits::changed(&all, &mut statements);
    if !told.is_empty() {
        let told = Statement::new(PARENTS_TOLD).with(told, Type::UUID_ARRAY).with(node.id.0, Type::UUID);
        statements.push(told);
    }
    // Last: its row is that of the whole commit. A parent that is told in the same group as an append is told first,
    // and the append says the same of it.
    statements.push(summed(node, &creates, &appends));
    statements
}

/// It changes the journal and the index of its execution, and nothing else.
fn goes_on(append: &Append) -> bool {
    append.replaces == 0 && append.waits.is_empty() && append.summary.closed.is_none()
}

fn on<'a>(node: Node, packs: bool, appends: &[&'a Append]) -> Statement<'a> {
    let statement = advanced(Statement::new(GO_ON), node, (0, 0), appends);
    let written: Vec<&Append> = appends.iter().copied().filter(|append| append.batch.events > 0).collect();
    held(batches(statement, packs, &written), node, appends)
}

/// This node's row and those of the partitions that the group touches, until the commit.
fn held<'a>(statement: Statement<'a>, node: Node, appends: &[&Append]) -> Statement<'a> {
    let mut touched: Vec<(i32, i64)> =
        appends.iter().map(|append| (i32::from(append.partition.0), int(append.epoch.0))).collect();
    touched.sort_unstable();
    touched.dedup();
    let (partitions, epochs): (Vec<i32>, Vec<i64>) = touched.into_iter().unzip();
    statement.with(node.id.0, Type::UUID).with(partitions, Type::INT4_ARRAY).with(epochs, Type::INT8_ARRAY)
}

fn count<T>(rows: &[T]) -> i64 {
    i64::try_from(rows.len()).unwrap_or(i64::MAX)
}

fn closed_at(append: &Append) -> Option<i64> {
    append.summary.closed.as_ref().map(|closing| closing.at.millis())
}

fn created<'a>(rows: &[&'a Create], statements: &mut Vec<Statement<'a>>) {
    let mut revisions = column(rows, |row| row.header.revision.0);
    revisions.sort_unstable();
    revisions.dedup();
    let known = count(&revisions);
    statements.push(Statement::new(REVISIONS).with(revisions, Type::UUID_ARRAY).with(known, Type::INT8));
    let released: Vec<Uuid> = rows.iter().filter_map(|row| row.releases).collect();
    if !released.is_empty() {
        let n = count(&released);
        statements.push(Statement::new(RELEASE_NAMES).with(released, Type::UUID_ARRAY).with(n, Type::INT8));
    }
    let headers = Statement::new(INSERT_HEADERS)
        .with(column(rows, |row| row.header.id.0), Type::UUID_ARRAY)
        .with(column(rows, |row| arn_key(&row.header.arn)), Type::UUID_ARRAY)
        .with(column(rows, |row| row.header.revision.0), Type::UUID_ARRAY)
        .with(column(rows, |row| row.header.parent.map(|parent| parent.execution.0)), Type::UUID_ARRAY)
        .with(column(rows, |row| row.header.parent.map(|parent| int(parent.scheduled.0))), Type::INT8_ARRAY)
        .with(column(rows, |row| row.header.item_index.map(int)), Type::INT8_ARRAY)
        .with(column(rows, |row| row.header.arn.as_str()), Type::TEXT_ARRAY)
        .with(column(rows, |row| row.header.name.as_str()), Type::TEXT_ARRAY)
        .with(column(rows, |row| row.header.state_machine.as_str()), Type::TEXT_ARRAY)
        .with(column(rows, |row| row.header.version_arn.as_ref().map(Arn::as_str)), Type::TEXT_ARRAY)
        .with(column(rows, |row| row.header.alias_arn.as_ref().map(Arn::as_str)), Type::TEXT_ARRAY)
        .with(column(rows, |row| row.header.map_run.as_ref().map(Arn::as_str)), Type::TEXT_ARRAY)
        .with(column(rows, |row| row.header.trace_header.as_ref().map(String::as_bytes)), Type::BYTEA_ARRAY)
        .with(column(rows, |row| row.header.input.as_str()), Type::TEXT_ARRAY)
        .with(column(rows, |row| row.header.forked.map(|source| source.0)), Type::UUID_ARRAY);
    statements.push(headers);
    let executions = Statement::new(INSERT_EXECUTIONS)
        .with(column(rows, |row| row.header.id.0), Type::UUID_ARRAY)
        .with(column(rows, |row| i64::from(row.first.batch.events)), Type::INT8_ARRAY)
        .with(column(rows, |row| row.first.summary.due.map(Timestamp::millis)), Type::INT8_ARRAY)
        .with(column(rows, |row| closed_at(&row.first)), Type::INT8_ARRAY)
        .with(column(rows, |row| row.first.summary.redriven_at.map(Timestamp::millis)), Type::INT8_ARRAY)
        .with(column(rows, |row| row.header.started.millis()), Type::INT8_ARRAY)
        .with(column(rows, |row| key(&row.header.state_machine)), Type::UUID_ARRAY)
        .with(column(rows, |row| row.header.version_arn.as_ref().map(key)), Type::UUID_ARRAY)
        .with(column(rows, |row| row.header.alias_arn.as_ref().map(key)), Type::UUID_ARRAY)
        .with(column(rows, |row| row.header.map_run.as_ref().map(key)), Type::UUID_ARRAY)
        .with(column(rows, |row| i64::from(row.first.summary.tasks)), Type::INT8_ARRAY)
        .with(column(rows, |row| i64::from(row.first.summary.redrive_count)), Type::INT8_ARRAY)
        .with(column(rows, |row| i32::from(row.header.partition.0)), Type::INT4_ARRAY)
        .with(column(rows, |row| status_code(row.first.summary.status)), Type::INT2_ARRAY)
        .with(column(rows, |row| row.first.summary.owes_parent), Type::BOOL_ARRAY)
        .with(column(rows, |row| row.first.summary.owes), Type::BOOL_ARRAY);
    statements.push(executions);
}

fn batches<'a>(statement: Statement<'a>, packs: bool, rows: &[&'a Append]) -> Statement<'a> {
    let statement = statement
        .with(column(rows, |row| row.execution.0), Type::UUID_ARRAY)
        .with(column(rows, |row| int(row.batch.after.0)), Type::INT8_ARRAY)
        .with(column(rows, |row| i64::from(row.batch.events)), Type::INT8_ARRAY)
        .with(column(rows, |row| int(row.epoch.0)), Type::INT8_ARRAY);
    if packs {
        return statement.with(column(rows, |row| pack(&row.batch.bytes).into_owned()), Type::BYTEA_ARRAY);
    }
    statement.with(column(rows, |row| row.batch.bytes.as_slice()), Type::BYTEA_ARRAY)
}

fn ended<'a>(rows: &[&'a Append], statements: &mut Vec<Statement<'a>>) {
    let ends: Vec<(Uuid, &Closing)> =
        rows.iter().filter_map(|row| Some((row.execution.0, row.summary.closed.as_ref()?))).collect();
    if !ends.is_empty() {
        let bytes = |text: &'a Option<String>| text.as_ref().map(String::as_bytes);
        let closings = Statement::new(PUT_CLOSINGS)
            .with(ends.iter().map(|(id, _)| *id).collect::<Vec<_>>(), Type::UUID_ARRAY)
            .with(ends.iter().map(|(_, end)| bytes(&end.error)).collect::<Vec<_>>(), Type::BYTEA_ARRAY)
            .with(ends.iter().map(|(_, end)| bytes(&end.cause)).collect::<Vec<_>>(), Type::BYTEA_ARRAY)
            .with(ends.iter().map(|(_, end)| end.output.as_deref()).collect::<Vec<_>>(), Type::TEXT_ARRAY);
        statements.push(closings);
    }
}

/// The index of the appends, and the sums.
fn summed<'a>(node: Node, creates: &[&'a Create], rows: &[&'a Append]) -> Statement<'a> {
    let open = creates.iter().map(|create| &create.first.summary).filter(|summary| summary.closed.is_none());
    let born = open.fold((0_i64, 0_i64), |(n, tasks), of| (n + 1, tasks + i64::from(of.tasks)));
    if rows.is_empty() {
        return of_node(Statement::new(TOTALS), node, born);
    }
    advanced(Statement::new(ADVANCE), node, born, rows)
}

/// `born`: new executions, and their tasks.
fn advanced<'a>(statement: Statement<'a>, node: Node, born: (i64, i64), rows: &[&'a Append]) -> Statement<'a> {
    let version = |row: &Append| int(row.batch.after.0) + i64::from(row.batch.events);
    let statement = statement
        .with(column(rows, |row| row.execution.0), Type::UUID_ARRAY)
        .with(column(rows, |row| int(row.expects().0)), Type::INT8_ARRAY)
        .with(column(rows, version), Type::INT8_ARRAY)
        .with(column(rows, |row| row.summary.due.map(Timestamp::millis)), Type::INT8_ARRAY)
        .with(column(rows, closed_at), Type::INT8_ARRAY)
        .with(column(rows, |row| row.summary.redriven_at.map(Timestamp::millis)), Type::INT8_ARRAY)
        .with(column(rows, |row| i64::from(row.summary.tasks)), Type::INT8_ARRAY)
        .with(column(rows, |row| i64::from(row.summary.redrive_count)), Type::INT8_ARRAY)
        .with(column(rows, |row| status_code(row.summary.status)), Type::INT2_ARRAY)
        .with(column(rows, |row| row.summary.owes_parent), Type::BOOL_ARRAY)
        .with(column(rows, |row| row.summary.owes), Type::BOOL_ARRAY)
        .with(count(rows), Type::INT8);
    of_node(statement, node, born)
}

fn of_node(statement: Statement<'_>, node: Node, (executions, tasks): (i64, i64)) -> Statement<'_> {
    statement.with(executions, Type::INT8).with(tasks, Type::INT8).with(i32::from(node.slot), Type::INT4)
}
