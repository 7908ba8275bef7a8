//! A whole store, copied into an empty one of another kind while nothing runs on either.
//!
//! Executions, journals and waiting tasks are written through the port, as an engine writes them, so each store keeps
//! its own indexes and sums. The other tables are small, and alike in all stores: they are copied row by row
//! (`tables`). At the end everything is read again from the copy, and compared.

mod execution;
pub(super) mod tables;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use crate::ids::{ExecutionId, PartitionId};

use super::{Catalog, Epoch, ExecutionFilter, Journal, StoreError, StoreFuture, StoreResult};
use execution::Sums;
use tables::{Row, SETTINGS, TABLES, Table, Value};

/// Executions or rows read at once.
const PAGE: u32 = 256;
/// Executions that are under way at once: a commit of the target takes many.
const AT_ONCE: usize = 128;
/// The pause between two reports of progress.
const REPORT: Duration = Duration::from_millis(500);

/// The setting that tells a whole store from a copy that was cut short.
const STATE: &str = "copy";
const WHOLE: &str = "whole";
const UNFINISHED: &str = "unfinished";
const PARTITIONS: &str = "engine.partitions";

/// A store that can be read and written whole, by a process that has it for itself.
pub trait Portable: Journal + Catalog {
    /// Takes the store for this process alone, as one of so many partitions: the epoch of each.
    fn hold(&self, partitions: u16) -> StoreFuture<'_, Vec<Epoch>>;

    /// Whether it is still so: a process that was frozen may have lost it.
    fn is_held(&self) -> StoreFuture<'_, bool>;

    /// Rows in the order of their keys, from behind `after`.
    fn rows(&self, table: &'static Table, after: Option<Vec<Value>>, limit: u32) -> StoreFuture<'_, Vec<Row>>;

    /// Adds rows in one transaction.
    fn put_rows(&self, table: &'static Table, rows: Vec<Row>) -> StoreFuture<'_, ()>;

    /// Ids of all executions in their order, from behind `after`, and whether each still has its name.
    fn all_ids(&self, after: Option<ExecutionId>, limit: u32) -> StoreFuture<'_, Vec<(ExecutionId, bool)>>;
}

/// Checks that an engine may run on this store.
///
/// # Errors
/// `Unusable`: a copy that was cut short.
pub async fn must_be_whole(catalog: &dyn Catalog) -> StoreResult<()> {
    if catalog.fix_setting(STATE, WHOLE).await? == WHOLE {
        return Ok(());
    }
    Err(StoreError::Unusable(
        "the store is a copy that was not finished (`reveille store copy`): make it empty, and copy again".into(),
    ))
}

/// How far a copy has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The copy is being compared.
    pub compares: bool,
    pub executions: u64,
    pub of: u64,
}

/// The contents of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyMade {
    pub executions: u64,
    /// Of these, still open.
    pub open: u64,
    /// Batches of events in their journals.
    pub batches: u64,
    /// Rows of the other tables.
    pub rows: u64,
    pub partitions: u16,
}

/// How many partitions the store has.
///
/// # Errors
/// `Unusable`: none yet, or it is a copy that was cut short.
pub async fn partitions_of(store: &dyn Portable) -> StoreResult<u16> {
    let settings = page(store, &SETTINGS, None).await?;
    if value(&settings, STATE).is_some_and(|state| state != WHOLE) {
        return Err(StoreError::Unusable("the source is itself a copy that was not finished".into()));
    }
    let partitions = value(&settings, PARTITIONS).and_then(|n| n.parse().ok());
    partitions.ok_or_else(|| StoreError::Unusable("no server has ever run on the source: it is empty".into()))
}

/// Copies everything, and compares it. `partitions`: of the copy, not fewer than the source has.
///
/// # Errors
/// `Unusable`, for operators: a store in use, an empty source, a target that is not empty, a copy that differs.
/// `Corrupt`: something in the source cannot be read.
pub async fn copy(
    from: &dyn Portable,
    to: &dyn Portable,
    partitions: u16,
    report: &(dyn Fn(Progress) + Sync),
) -> StoreResult<CopyMade> {
    let held = partitions_of(from).await?;
    if partitions < held {
        return Err(StoreError::Unusable(format!(
            "the source has {held} partitions, and waiting workers answer to the queues of each: the copy needs as many"
        )));
    }
    from.hold(held).await?;
    let epochs = to.hold(partitions).await?;
    must_be_empty(to).await?;
    to.put_setting(STATE, UNFINISHED).await?;

    let mut rows = 0;
    for table in TABLES {
        rows += copy_table(from, to, table).await?;
    }
    let home = Home { partitions, epochs: &epochs };
    let total: u64 = from.count(ExecutionFilter::default()).await?.iter().map(|(_, n)| n).sum();
    let mut reports = Reports { report, last: None, now: Progress { compares: false, executions: 0, of: total } };
    let mut written = Sums::default();
    // A younger execution takes a name over: those that had to give it up come first, and one after the other.
    for (named, at_once) in [(false, 1), (true, AT_ONCE)] {
        let carry = |id| execution::carry(from, to, id, &home);
        each(from, named_as(named), at_once, carry, |sums| {
            written.add(&sums);
            reports.told(written.executions);
        })
        .await?;
    }

    let settings = moved(page(from, &SETTINGS, None).await?, partitions);
    to.put_rows(&SETTINGS, settings.clone()).await?;
    rows += settings.len() as u64;
    reports.now = Progress { compares: true, executions: 0, of: written.executions };
    for table in TABLES {
        same(table.name, &digest(from, table).await?, &digest(to, table).await?)?;
    }
    let mut there = page(to, &SETTINGS, None).await?;
    there.retain(|row| key(row) != Some(STATE));
    same(SETTINGS.name, &settings, &there)?;
    let mut read = Sums::default();
    each(
        to,
        |_| true,
        AT_ONCE,
        |id| execution::look(to, id, &home),
        |sums| {
            read.add(&sums);
            reports.told(read.executions);
        },
    )
    .await?;
    same("executions", &written, &read)?;
    if !(from.is_held().await? && to.is_held().await?) {
        return Err(StoreError::Unusable(
            "another process took one of the stores while it was copied: stop it, and copy again into an empty store"
                .into(),
        ));
    }
    to.put_setting(STATE, WHOLE).await?;
    let Sums { executions, open, batches, .. } = written;
    Ok(CopyMade { executions, open, batches, rows, partitions })
}

/// The partitions of the copy.
struct Home<'a> {
    partitions: u16,
    epochs: &'a [Epoch],
}

impl Home<'_> {
    fn partition_of(&self, id: ExecutionId) -> (PartitionId, Epoch) {
        let partition = PartitionId::of(id, self.partitions);
        (partition, self.epochs.get(usize::from(partition.0)).copied().unwrap_or(Epoch::FIRST))
    }
}

/// Progress, told now and then.
struct Reports<'a> {
    report: &'a (dyn Fn(Progress) + Sync),
    last: Option<Instant>,
    now: Progress,
}

impl Reports<'_> {
    fn told(&mut self, executions: u64) {
        self.now.executions = executions;
        if executions == self.now.of || self.last.is_none_or(|last| last.elapsed() >= REPORT) {
            self.last = Some(Instant::now());
            (self.report)(self.now);
        }
    }
}

fn named_as(wanted: bool) -> impl Fn(bool) -> bool {
    move |named| named == wanted
}

/// Does something with each execution, in pages.
async fn each<F, R>(
    store: &dyn Portable,
    wanted: impl Fn(bool) -> bool,
    at_once: usize,
    work: F,
    mut done: impl FnMut(Sums),
) -> StoreResult<()>
where
    F: Fn(ExecutionId) -> R,
    R: Future<Output = StoreResult<Sums>>,
{
    let mut after = None;
    loop {
        let ids = store.all_ids(after, PAGE).await?;
        let Some((last, _)) = ids.last().copied() else { return Ok(()) };
        let of_page = ids.into_iter().filter(|(_, named)| wanted(*named)).map(|(id, _)| work(id));
        let mut sums = stream::iter(of_page).buffer_unordered(at_once);
        while let Some(sums) = sums.try_next().await? {
            done(sums);
        }
        after = Some(last);
    }
}

async fn page(store: &dyn Portable, table: &'static Table, after: Option<Vec<Value>>) -> StoreResult<Vec<Row>> {
    store.rows(table, after, PAGE).await
}

async fn copy_table(from: &dyn Portable, to: &dyn Portable, table: &'static Table) -> StoreResult<u64> {
    let (mut after, mut copied) = (None, 0);
    loop {
        let rows = page(from, table, after).await?;
        let Some(last) = rows.last() else { return Ok(copied) };
        after = Some(last.key.clone());
        copied += rows.len() as u64;
        to.put_rows(table, rows).await?;
    }
}

/// How many rows a table has, and what stands in them, in their order.
async fn digest(store: &dyn Portable, table: &'static Table) -> StoreResult<(u64, [u8; 32])> {
    let (mut after, mut rows, mut digest) = (None, 0, Sha256::new());
    loop {
        let found = page(store, table, after).await?;
        let Some(last) = found.last() else { return Ok((rows, digest.finalize().into())) };
        after = Some(last.key.clone());
        rows += found.len() as u64;
        for row in &found {
            digest.update(format!("{:?}", row.values));
        }
    }
}

async fn must_be_empty(to: &dyn Portable) -> StoreResult<()> {
    let taken = |what: &str| {
        Err(StoreError::Unusable(format!(
            "the target is not empty (it has {what}): give an empty database or a new file, so that nothing is mixed"
        )))
    };
    let settings = page(to, &SETTINGS, None).await?;
    if value(&settings, STATE).is_some_and(|state| state != WHOLE) {
        return taken("a copy that was not finished");
    }
    if !to.all_ids(None, 1).await?.is_empty() {
        return taken("executions");
    }
    if !settings.is_empty() {
        return taken("settings of a server");
    }
    for table in TABLES {
        if !to.rows(table, None, 1).await?.is_empty() {
            return taken(table.name);
        }
    }
    Ok(())
}

fn key(row: &Row) -> Option<&str> {
    match row.values.first() {
        Some(Value::Text(key)) => Some(key),
        _ => None,
    }
}

/// The value of a setting.
fn value<'r>(settings: &'r [Row], name: &str) -> Option<&'r str> {
    let row = settings.iter().find(|row| key(row) == Some(name))?;
    match row.values.get(1) {
        Some(Value::Text(value)) => Some(value),
        _ => None,
    }
}

/// The settings of the copy.
fn moved(mut settings: Vec<Row>, partitions: u16) -> Vec<Row> {
    settings.retain(|row| key(row) != Some(STATE));
    for row in &mut settings {
        if key(row) == Some(PARTITIONS) {
            row.values[1] = Value::Text(partitions.to_string());
        }
    }
    settings
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, source: &T, copy: &T) -> StoreResult<()> {
    if source == copy {
        return Ok(());
    }
    Err(StoreError::Unusable(format!(
        "the copy differs from its source in {what} ({copy:?} instead of {source:?}): do not use it, and report this"
    )))
}
