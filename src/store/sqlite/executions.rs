//! The writer's statements on `executions`, `headers`, `closings`, `journal`, `resources`, `revision_uses` and
//! `totals`.
//!
//! This is the hot path: two appends per callback. Statements stay prepared, row numbers are counted here (there is one
//! writer), and an append updates only the columns that changed, because SQLite rewrites an index whenever an UPDATE
//! names one of its columns.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Statement, params};

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId, Version};
use crate::store::{Append, Batch, Closing, ExecutionHeader, RevisionId, StoreError, Summary, not_the_newest};

use super::error::{Fault, Outcome, already_exists, not_found};
use super::names::arn_key;
use super::values::{blob, int, revision_blob, status_code};
use super::waits;

/// Names, revisions and executions kept in memory, each; a full cache is emptied and filled again. All machines and map
/// runs that are busy at one time fit.
const CACHED_MAX: usize = 8_192;

const FIND: &str = "SELECT n, version, tail, status, due, closed, owes_parent, redrive_count, redriven, owes, tasks \
    FROM executions WHERE id = ?1";
const INSERT_EXECUTION: &str = "INSERT INTO executions (id, n, partition, version, tail, status, due, closed, \
    owes_parent, redrive_count, redriven, started, machine, machine_version, machine_alias, map_run, owes, tasks) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";
const ADVANCE: &str = "UPDATE executions SET version = ?2, tail = ?3 WHERE id = ?1";
const ADVANCE_TASKS: &str = "UPDATE executions SET version = ?2, tail = ?3, tasks = ?4 WHERE id = ?1";
const ADVANCE_DUE: &str = "UPDATE executions SET version = ?2, tail = ?3, tasks = ?4, due = ?5 WHERE id = ?1";
const ADVANCE_ALL: &str = "UPDATE executions SET version = ?2, tail = ?3, due = ?4, status = ?5, closed = ?6, \
    owes_parent = ?7, redrive_count = ?8, redriven = ?9, owes = ?10, tasks = ?11 WHERE id = ?1";
const INSERT_BATCH: &str =
    "INSERT INTO journal (n, execution, previous, after, events, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
/// Mostly for heartbeats, which are rare beside appends.
const TAKE_TAIL: &str = "DELETE FROM journal WHERE n = ?1 AND execution = ?2 AND after = ?3 AND events = ?4 AND \
    previous IS NOT NULL RETURNING previous";
const INSERT_HEADER: &str = "INSERT INTO headers (n, id, arn_key, named, arn, name, revision, trace_header, parent, \
    parent_event, item_index, input) VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const INSERT_FORK: &str = "INSERT INTO forks (id, source) VALUES (?1, ?2)";
const HOLDERS_OF_NAME: &str =
    "SELECT h.n, h.arn, e.closed FROM headers h JOIN executions e ON e.id = h.id WHERE h.arn_key = ?1 AND h.named = 1";
const RELEASE_NAME: &str = "UPDATE headers SET named = 0 WHERE n = ?1";
const PUT_CLOSING: &str = "INSERT OR REPLACE INTO closings (n, error, cause, output) VALUES (?1, ?2, ?3, ?4)";
const DELETE_CLOSING: &str = "DELETE FROM closings WHERE n = ?1";
const FIND_RESOURCE: &str = "SELECT n FROM resources WHERE arn = ?1";
const INSERT_RESOURCE: &str = "INSERT INTO resources (arn) VALUES (?1)";
const REVISION_KNOWN: &str = "SELECT 1 FROM revision_uses WHERE revision = ?1";
const TOTALS: &str = "SELECT executions, tasks FROM totals";
const ADD_TOTALS: &str = "UPDATE totals SET executions = executions + ?1, tasks = tasks + ?2";
const ADD_USES: &str = "UPDATE revision_uses SET uses = uses + ?2 WHERE revision = ?1";

/// The columns of an execution that appends change.
#[derive(Clone, Copy, PartialEq)]
struct Standing {
    n: i64,
    version: i64,
    tail: i64,
    status: i64,
    due: Option<i64>,
    closed: Option<i64>,
    owes_parent: bool,
    redrive_count: i64,
    redriven: Option<i64>,
    owes: bool,
    tasks: i64,
}

impl Standing {
    /// The share of this execution in the sums over all open ones.
    fn share(&self) -> Totals {
        let open = self.closed.is_none();
        Totals { executions: i64::from(open), tasks: if open { self.tasks } else { 0 } }
    }

    fn of(n: i64, version: i64, tail: i64, summary: &Summary) -> Self {
        Self {
            n,
            version,
            tail,
            status: status_code(summary.status),
            due: summary.due.map(Timestamp::millis),
            closed: closed_at(summary),
            owes_parent: summary.owes_parent,
            redrive_count: i64::from(summary.redrive_count),
            redriven: summary.redriven_at.map(Timestamp::millis),
            owes: summary.owes,
            tasks: i64::from(summary.tasks),
        }
    }
}

/// Sums over all open executions, or a change of them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Totals {
    pub executions: i64,
    pub tasks: i64,
}

impl Totals {
    fn change(&mut self, from: Totals, to: Totals) {
        self.executions += to.executions - from.executions;
        self.tasks += to.tasks - from.tasks;
    }
}

struct Statements<'c> {
    find: Statement<'c>,
    insert_execution: Statement<'c>,
    advance: Statement<'c>,
    advance_tasks: Statement<'c>,
    advance_due: Statement<'c>,
    advance_all: Statement<'c>,
    insert_batch: Statement<'c>,
    insert_header: Statement<'c>,
    holders_of_name: Statement<'c>,
    put_closing: Statement<'c>,
}

#[derive(Clone, Copy)]
struct Numbers {
    execution: i64,
    batch: i64,
}

pub(super) struct Executions<'c> {
    connection: &'c Connection,
    statements: Statements<'c>,
    next: Numbers,
    /// The numbers when the transaction began.
    next_before: Numbers,
    resources: HashMap<Arn, i64>,
    /// The rows of open executions that were written last: their next append need not read them.
    standing: HashMap<ExecutionId, Standing>,
    /// Revisions known to exist, with the executions that this transaction added.
    revisions: HashMap<RevisionId, i64>,
    /// The sums of the last commit.
    totals: Totals,
    /// The change of the sums in this transaction.
    changed: Totals,
}

impl<'c> Executions<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let statements = Statements {
            find: connection.prepare(FIND)?,
            insert_execution: connection.prepare(INSERT_EXECUTION)?,
            advance: connection.prepare(ADVANCE)?,
            advance_tasks: connection.prepare(ADVANCE_TASKS)?,
            advance_due: connection.prepare(ADVANCE_DUE)?,
            advance_all: connection.prepare(ADVANCE_ALL)?,
            insert_batch: connection.prepare(INSERT_BATCH)?,
            insert_header: connection.prepare(INSERT_HEADER)?,
            holders_of_name: connection.prepare(HOLDERS_OF_NAME)?,
            put_closing: connection.prepare(PUT_CLOSING)?,
        };
        let last = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        let next = Numbers {
            execution: last("SELECT max(n) FROM headers")?.unwrap_or(0) + 1,
            batch: last("SELECT max(n) FROM journal")?.unwrap_or(0) + 1,
        };
        Ok(Self {
            connection,
            statements,
            next,
            next_before: next,
            resources: HashMap::new(),
            standing: HashMap::new(),
            revisions: HashMap::new(),
            totals: connection
                .query_row(TOTALS, [], |row| Ok(Totals { executions: row.get(0)?, tasks: row.get(1)? }))?,
            changed: Totals::default(),
        })
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn committed(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        self.totals.change(Totals::default(), changed);
    }

    pub(super) fn begin(&mut self) {
        self.next_before = self.next;
        if self.resources.len() > CACHED_MAX {
            self.resources.clear();
        }
        if self.standing.len() > CACHED_MAX {
            self.standing.clear();
        }
        if self.revisions.len() > CACHED_MAX {
            self.revisions.clear();
        }
    }

    /// Forgets everything that the transaction counted and learned.
    pub(super) fn rolled_back(&mut self) {
        self.next = self.next_before;
        self.changed = Totals::default();
        self.forget();
    }

    /// Empties the caches, because other statements may have changed the rows.
    pub(super) fn forget(&mut self) {
        self.resources.clear();
        self.standing.clear();
        self.revisions.clear();
    }

    /// Writes the counted sums, just before the commit.
    pub(super) fn finish(&mut self) -> Outcome<()> {
        self.flush()?;
        let Totals { executions, tasks } = self.changed;
        if self.changed != Totals::default() {
            self.connection.prepare_cached(ADD_TOTALS)?.execute([executions, tasks])?;
        }
        Ok(())
    }

    /// Writes the uses of revisions that were counted: one update per revision and commit, not per execution.
    pub(super) fn flush(&mut self) -> Outcome<()> {
        for (revision, added) in self.revisions.iter_mut().filter(|(_, added)| **added != 0) {
            self.connection.prepare_cached(ADD_USES)?.execute(params![revision_blob(*revision), *added])?;
            *added = 0;
        }
        Ok(())
    }

    pub(super) fn create(
        &mut self,
        header: &ExecutionHeader,
        first: &Append,
        reusable_before: Timestamp,
    ) -> Outcome<()> {
        first.tenure().is_of_the_only_owner(first.execution)?;
        // All refusals stand before the first write, so that a refused one leaves nothing to undo in the common
        // transaction. The last of them is that write: SQLite itself sees that an id is taken.
        if first.batch.after != Version(0) {
            return Err(conflict(header.id, first.batch.after, 0));
        }
        let key = arn_key(&header.arn);
        let holder = self.holder_of_name(key, &header.arn)?;
        if let Some((_, closed)) = holder
            && closed.is_none_or(|closed| closed >= reusable_before.millis())
        {
            return self.refuse(header, already_exists("execution", &header.arn));
        }
        if !self.revision_is_known(header.revision)? {
            return self.refuse(header, not_found("revision", &header.revision));
        }

        let (n, tail) = (self.next.execution, self.next.batch);
        let machine = self.resource(&header.state_machine)?;
        let machine_version = self.optional_resource(header.version_arn.as_ref())?;
        let machine_alias = self.optional_resource(header.alias_arn.as_ref())?;
        let map_run = self.optional_resource(header.map_run.as_ref())?;
        let summary = &first.summary;
        let inserted = self.statements.insert_execution.execute(params![
            blob(header.id),
            n,
            header.partition.0,
            i64::from(first.batch.events),
            tail,
            status_code(summary.status),
            summary.due.map(Timestamp::millis),
            closed_at(summary),
            summary.owes_parent,
            summary.redrive_count,
            summary.redriven_at.map(Timestamp::millis),
            header.started.millis(),
            machine,
            machine_version,
            machine_alias,
            map_run,
            summary.owes,
            summary.tasks,
        ]);
        if let Err(error) = inserted {
            let taken =
                error.sqlite_error().is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY);
            return Err(if taken { already_exists("execution id", &header.id) } else { error.into() });
        }
        self.next.execution += 1;
        self.insert_batch(n, None, &first.batch)?;
        if let Some((old, _)) = holder {
            self.connection.prepare_cached(RELEASE_NAME)?.execute([old])?;
        }
        self.statements.insert_header.execute(params![
            n,
            blob(header.id),
            key,
            header.arn.as_str(),
            header.name,
            revision_blob(header.revision),
            header.trace_header,
            header.parent.map(|parent| blob(parent.execution)),
            header.parent.map(|parent| int(parent.scheduled.0)),
            header.item_index.map(int),
            header.input,
        ])?;
        if let Some(source) = header.forked {
            self.connection.prepare_cached(INSERT_FORK)?.execute([blob(header.id), blob(source)])?;
        }
        if let Some(closing) = &summary.closed {
            self.put_closing(n, closing)?;
        }
        let standing = Standing::of(n, i64::from(first.batch.events), tail, summary);
        self.changed.change(Totals::default(), standing.share());
        self.remember(header.id, standing);
        *self.revisions.entry(header.revision).or_default() += 1;
        waits::change(self.connection, header.id, &first.waits)
    }

    /// Answers a refused creation. A taken id is reported before any other fault.
    fn refuse(&mut self, header: &ExecutionHeader, fault: Fault) -> Outcome<()> {
        Err(if self.find(header.id)?.is_some() { already_exists("execution id", &header.id) } else { fault })
    }

    pub(super) fn append(&mut self, append: &Append) -> Outcome<()> {
        append.tenure().is_of_the_only_owner(append.execution)?;
        let Append { execution: id, batch, summary, replaces, .. } = append;
        let known = self.standing.get(id).copied();
        let standing = known
            .map_or_else(|| self.find(*id), |standing| Ok(Some(standing)))?
            .ok_or_else(|| not_found("execution", id))?;
        if int(append.expects().0) != standing.version {
            return Err(conflict(*id, append.expects(), standing.version));
        }

        let previous = if *replaces > 0 { self.take_tail(append, &standing)? } else { Some(standing.tail) };
        let tail = if batch.events == 0 { standing.tail } else { self.insert_batch(standing.n, previous, batch)? };
        let version = int(batch.after.0) + i64::from(batch.events);
        let next = Standing::of(standing.n, version, tail, summary);
        let Standing { due, tasks, .. } = standing;
        let only_due = Standing { version: standing.version, tail: standing.tail, due, tasks, ..next } == standing;
        let statements = &mut self.statements;
        if !only_due {
            let Standing { status, due, closed, owes_parent, redrive_count, redriven, owes, tasks, .. } = next;
            statements.advance_all.execute(params![
                blob(*id),
                version,
                tail,
                due,
                status,
                closed,
                owes_parent,
                redrive_count,
                redriven,
                owes,
                tasks
            ])?;
        } else if next.due != due {
            statements.advance_due.execute(params![blob(*id), version, tail, next.tasks, next.due])?;
        } else if next.tasks != tasks {
            statements.advance_tasks.execute(params![blob(*id), version, tail, next.tasks])?;
        } else {
            statements.advance.execute(params![blob(*id), version, tail])?;
        }
        self.changed.change(standing.share(), next.share());
        self.remember(*id, next);
        match &summary.closed {
            Some(closing) => self.put_closing(standing.n, closing)?,
            None if standing.closed.is_some() => {
                self.connection.prepare_cached(DELETE_CLOSING)?.execute([standing.n])?;
            }
            None => {}
        }
        waits::change(self.connection, *id, &append.waits)
    }

    /// Keeps the row of an open execution. A closed one is rarely written again.
    fn remember(&mut self, id: ExecutionId, standing: Standing) {
        if standing.closed.is_none() {
            self.standing.insert(id, standing);
        } else {
            self.standing.remove(&id);
        }
    }

    fn find(&mut self, id: ExecutionId) -> Outcome<Option<Standing>> {
        let found = self.statements.find.query_row([blob(id)], |row| {
            Ok(Standing {
                n: row.get(0)?,
                version: row.get(1)?,
                tail: row.get(2)?,
                status: row.get(3)?,
                due: row.get(4)?,
                closed: row.get(5)?,
                owes_parent: row.get(6)?,
                redrive_count: row.get(7)?,
                redriven: row.get(8)?,
                owes: row.get(9)?,
                tasks: row.get(10)?,
            })
        });
        Ok(found.optional()?)
    }

    /// The number of the execution that holds this name, and when it closed.
    fn holder_of_name(&mut self, key: i64, arn: &Arn) -> Outcome<Option<(i64, Option<i64>)>> {
        let mut rows = self.statements.holders_of_name.query([key])?;
        while let Some(row) = rows.next()? {
            if row.get_ref(1)?.as_str().is_ok_and(|text| text == arn.as_str()) {
                return Ok(Some((row.get(0)?, row.get(2)?)));
            }
        }
        Ok(None)
    }

    fn insert_batch(&mut self, execution: i64, previous: Option<i64>, batch: &Batch) -> Outcome<i64> {
        let n = self.next.batch;
        self.statements.insert_batch.execute(params![
            n,
            execution,
            previous,
            int(batch.after.0),
            batch.events,
            batch.bytes
        ])?;
        self.next.batch += 1;
        Ok(n)
    }

    /// Removes the newest batch, which another replaces. Returns the number of the batch before it.
    fn take_tail(&self, append: &Append, standing: &Standing) -> Outcome<Option<i64>> {
        let Append { execution, batch, replaces, .. } = append;
        let mut statement = self.connection.prepare_cached(TAKE_TAIL)?;
        let taken = statement
            .query_row(params![standing.tail, standing.n, int(batch.after.0), replaces], |row| row.get(0))
            .optional()?;
        Ok(taken.ok_or_else(|| not_the_newest(*execution))?)
    }

    fn put_closing(&mut self, n: i64, closing: &Closing) -> Outcome<()> {
        self.statements.put_closing.execute(params![n, closing.error, closing.cause, closing.output])?;
        Ok(())
    }

    fn revision_is_known(&mut self, revision: RevisionId) -> Outcome<bool> {
        if self.revisions.contains_key(&revision) {
            return Ok(true);
        }
        let known = self.connection.prepare_cached(REVISION_KNOWN)?.exists([revision_blob(revision)])?;
        if known {
            self.revisions.insert(revision, 0);
        }
        Ok(known)
    }

    fn optional_resource(&mut self, arn: Option<&Arn>) -> Outcome<Option<i64>> {
        arn.map(|arn| self.resource(arn)).transpose()
    }

    /// The number of an ARN, assigned at its first use.
    fn resource(&mut self, arn: &Arn) -> Outcome<i64> {
        if let Some(n) = self.resources.get(arn) {
            return Ok(*n);
        }
        let n = match find_resource(self.connection, arn)? {
            Some(n) => n,
            None => self.connection.prepare_cached(INSERT_RESOURCE)?.insert([arn.as_str()])?,
        };
        self.resources.insert(arn.clone(), n);
        Ok(n)
    }
}

/// The number of an ARN that some execution names.
pub(super) fn find_resource(connection: &Connection, arn: &Arn) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached(FIND_RESOURCE)?.query_row([arn.as_str()], |row| row.get(0)).optional()
}

fn closed_at(summary: &Summary) -> Option<i64> {
    summary.closed.as_ref().map(|closing| closing.at.millis())
}

fn conflict(execution: ExecutionId, expected: Version, actual: i64) -> Fault {
    StoreError::VersionConflict { execution, expected, actual: Version(actual.cast_unsigned()) }.into()
}
