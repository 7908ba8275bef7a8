//! The store in memory, for tests and for runs that need no disk. It gives the same answers as the other stores and
//! lives as long as its last handle.

mod catalog;
mod cluster;
mod waits;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId, PartitionId, Version};
use crate::store::{
    Append, Batch, DestinationWaits, ExecutionFilter, ExecutionHeader, ExecutionRow, ExecutionStatus, Figures, Journal,
    Kinship, StoreError, StoreFuture, StoreResult, Summary, WaitFilter, WaitRow, WaitingStates,
};

/// Calls of a port that go through to a store in memory: of a test double that is about the others.
#[cfg(test)]
macro_rules! through {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> StoreFuture<'_, $answer> { self.memory.$name($($argument),*) })*
    };
}
#[cfg(test)]
pub(crate) use through;

/// A handle, cheap to clone; all clones are one store, and one process.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
    /// Where several nodes share the store: which this one is. `None`: the only owner.
    node: Option<cluster::Seat>,
}

#[derive(Debug, Default)]
struct State {
    executions: BTreeMap<ExecutionId, Entry>,
    /// The execution that holds each name.
    names: HashMap<Arn, ExecutionId>,
    /// Newest start last.
    by_start: BTreeSet<(Timestamp, ExecutionId)>,
    owes: BTreeSet<(PartitionId, ExecutionId)>,
    due: BTreeSet<(PartitionId, Timestamp, ExecutionId)>,
    owing: BTreeSet<(PartitionId, ExecutionId)>,
    closed: BTreeSet<(Timestamp, ExecutionId)>,
    waits: waits::Waits,
    cluster: cluster::State,
    catalog: catalog::State,
}

#[derive(Debug)]
struct Entry {
    row: ExecutionRow,
    batches: Vec<Batch>,
}

impl Memory {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below is whole before it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut State) -> StoreResult<T>) -> StoreFuture<'_, T> {
        Box::pin(std::future::ready(work(&mut self.lock())))
    }
}

impl State {
    /// Puts a row into every index that it belongs to. The reverse is [`Self::unindex`].
    fn index(&mut self, header: &ExecutionHeader, summary: &Summary) {
        let (partition, id) = (header.partition, header.id);
        if summary.status.is_open() {
            if summary.owes {
                self.owes.insert((partition, id));
            }
            if let Some(due) = summary.due {
                self.due.insert((partition, due, id));
            }
        }
        if summary.owes_parent {
            self.owing.insert((partition, id));
        }
        if let Some(closing) = &summary.closed {
            self.closed.insert((closing.at, id));
        }
    }

    fn unindex(&mut self, header: &ExecutionHeader, summary: &Summary) {
        let (partition, id) = (header.partition, header.id);
        self.owes.remove(&(partition, id));
        if let Some(due) = summary.due {
            self.due.remove(&(partition, due, id));
        }
        self.owing.remove(&(partition, id));
        if let Some(closing) = &summary.closed {
            self.closed.remove(&(closing.at, id));
        }
    }

    fn create(&mut self, header: ExecutionHeader, first: Append, reusable_before: Timestamp) -> StoreResult<()> {
        let Append { batch, summary, waits, .. } = first;
        if batch.after != Version(0) {
            return Err(StoreError::VersionConflict {
                execution: header.id,
                expected: batch.after,
                actual: Version(0),
            });
        }
        if self.executions.contains_key(&header.id) {
            return Err(StoreError::AlreadyExists { what: "execution id", key: header.id.to_string() });
        }
        if let Some(holder) = self.names.get(&header.arn).and_then(|holder| self.executions.get(holder)) {
            let closed = holder.row.summary.closed.as_ref().map(|closing| closing.at);
            if closed.is_none_or(|closed| closed >= reusable_before) {
                return Err(StoreError::AlreadyExists { what: "execution", key: header.arn.to_string() });
            }
        }
        self.catalog.use_revision(header.revision)?;
        self.names.insert(header.arn.clone(), header.id);
        self.by_start.insert((header.started, header.id));
        self.index(&header, &summary);
        let version = Version(u64::from(batch.events));
        self.waits.change(header.id, waits);
        let entry = Entry { row: ExecutionRow { header, version, summary }, batches: vec![batch] };
        self.executions.insert(entry.row.header.id, entry);
        Ok(())
    }

    fn append(&mut self, append: Append) -> StoreResult<()> {
        let expected = append.expects();
        let Append { execution, batch, replaces, summary, waits, .. } = append;
        let mut entry = self.executions.remove(&execution).ok_or_else(|| no_execution(execution))?;
        let actual = entry.row.version;
        let is_newest = |tail: &Batch| tail.after == batch.after && tail.events == replaces;
        let broken = replaces > 0 && (entry.batches.len() < 2 || !entry.batches.last().is_some_and(is_newest));
        if actual == expected && !broken {
            self.unindex(&entry.row.header, &entry.row.summary);
            self.index(&entry.row.header, &summary);
            entry.row.summary = summary;
            entry.row.version = Version(batch.after.0 + u64::from(batch.events));
            if replaces > 0 {
                entry.batches.pop();
            }
            if batch.events > 0 {
                entry.batches.push(batch);
            }
            self.waits.change(execution, waits);
        }
        self.executions.insert(execution, entry);
        match (actual == expected, broken) {
            (true, false) => Ok(()),
            (true, true) => Err(super::not_the_newest(execution)),
            (false, _) => Err(StoreError::VersionConflict { execution, expected, actual }),
        }
    }

    fn brief_rows(&self, ids: impl Iterator<Item = ExecutionId>, limit: u32) -> Vec<ExecutionRow> {
        let entries = ids.take(limit as usize).filter_map(|id| self.executions.get(&id));
        entries.map(|entry| entry.row.clone().brief()).collect()
    }

    fn purge(&mut self, before: Timestamp, limit: u32) -> u64 {
        let victims: Vec<ExecutionId> = self
            .closed
            .iter()
            .take_while(|(at, _)| *at < before)
            .map(|(_, id)| *id)
            .filter(|id| self.executions.get(id).is_some_and(|entry| !entry.row.summary.owes_parent))
            .take(limit as usize)
            .collect();
        for id in &victims {
            let Some(Entry { row, .. }) = self.executions.remove(id) else { continue };
            self.unindex(&row.header, &row.summary);
            self.by_start.remove(&(row.header.started, *id));
            self.waits.drop_all(*id);
            if self.names.get(&row.header.arn) == Some(id) {
                self.names.remove(&row.header.arn);
            }
            self.catalog.execution_purged(*id, row.header.revision);
        }
        self.catalog.drop_unused_revisions();
        victims.len() as u64
    }
}

/// The executions of a partition in an index, from after `after`.
fn behind(
    index: &BTreeSet<(PartitionId, ExecutionId)>,
    partition: PartitionId,
    after: Option<ExecutionId>,
) -> impl Iterator<Item = ExecutionId> {
    let from = (partition, after.unwrap_or(ExecutionId(uuid::Uuid::nil())));
    let of_it = index.range(from..).take_while(move |(of, _)| *of == partition).map(|(_, id)| *id);
    of_it.filter(move |id| after != Some(*id))
}

fn no_execution(id: ExecutionId) -> StoreError {
    StoreError::NotFound { what: "execution", key: id.to_string() }
}

fn status(row: &ExecutionRow, filter: &ExecutionFilter) -> ExecutionStatus {
    row.summary.status.of_child(row.summary.closed.as_ref().map(|closing| closing.at), filter.run_redriven)
}

fn matches(row: &ExecutionRow, filter: &ExecutionFilter) -> bool {
    let header = &row.header;
    filter.state_machine.as_ref().is_none_or(|machine| header.state_machine == *machine)
        && filter
            .qualified
            .as_ref()
            .is_none_or(|arn| header.version_arn.as_ref() == Some(arn) || header.alias_arn.as_ref() == Some(arn))
        && filter.map_run.as_ref().is_none_or(|run| header.map_run.as_ref() == Some(run))
        && !(filter.is_outside_map_runs() && header.state_machine.last().contains('/'))
        && filter.status.is_none_or(|wanted| status(row, filter) == wanted)
        && filter.redriven.is_none_or(|redriven| (row.summary.redrive_count > 0) == redriven)
}

fn shown(row: &ExecutionRow, filter: &ExecutionFilter) -> ExecutionRow {
    let mut row = row.clone();
    row.summary.status = status(&row, filter);
    if filter.brief { row.brief() } else { row }
}

impl Journal for Memory {
    fn create(&self, header: ExecutionHeader, first: Append, reusable_before: Timestamp) -> StoreFuture<'_, ()> {
        assert_eq!(header.id, first.execution, "the first append belongs to the execution that is created");
        self.with(|state| {
            self.hold(state, first.execution, first.tenure())?;
            state.create(header, first, reusable_before)
        })
    }

    fn append(&self, append: Append) -> StoreFuture<'_, ()> {
        self.with(|state| {
            self.hold(state, append.execution, append.tenure())?;
            state.append(append)
        })
    }

    fn load(&self, execution: ExecutionId) -> StoreFuture<'_, Vec<Batch>> {
        self.with(|state| {
            state.executions.get(&execution).map(|entry| entry.batches.clone()).ok_or_else(|| no_execution(execution))
        })
    }

    fn owing(
        &self,
        partition: PartitionId,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>> {
        self.with(|state| Ok(state.brief_rows(behind(&state.owes, partition, after), limit)))
    }

    fn due(
        &self,
        partition: PartitionId,
        before: Timestamp,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(ExecutionId, Timestamp)>> {
        self.with(|state| {
            let first = (partition, Timestamp::from_millis(i64::MIN), ExecutionId(uuid::Uuid::nil()));
            let soon = state.due.range(first..).take_while(|(of, at, _)| *of == partition && *at < before);
            Ok(soon.take(limit as usize).map(|(_, at, id)| (*id, *at)).collect())
        })
    }

    fn execution(&self, id: ExecutionId) -> StoreFuture<'_, Option<ExecutionRow>> {
        self.with(|state| Ok(state.executions.get(&id).map(|entry| entry.row.clone())))
    }

    fn execution_by_arn(&self, arn: &Arn) -> StoreFuture<'_, Option<ExecutionRow>> {
        self.with(|state| {
            Ok(state.names.get(arn).and_then(|id| state.executions.get(id)).map(|entry| entry.row.clone()))
        })
    }

    fn executions(&self, ids: Vec<ExecutionId>) -> StoreFuture<'_, Vec<ExecutionRow>> {
        self.with(|state| {
            Ok(ids.iter().filter_map(|id| state.executions.get(id)).map(|entry| entry.row.clone()).collect())
        })
    }

    fn executions_by_arn(&self, arns: Vec<Arn>) -> StoreFuture<'_, Vec<ExecutionRow>> {
        self.with(|state| {
            let found = arns.iter().filter_map(|arn| state.executions.get(state.names.get(arn)?));
            Ok(found.map(|entry| entry.row.clone()).collect())
        })
    }

    fn list(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<ExecutionRow>> {
        self.with(|state| {
            let newest_first = state.by_start.iter().rev();
            let page = newest_first.filter(|place| filter.after.is_none_or(|after| **place < after));
            let rows = page.filter_map(|(_, id)| state.executions.get(id)).map(|entry| &entry.row);
            Ok(rows
                .filter(|row| matches(row, &filter))
                .take(filter.limit as usize)
                .map(|row| shown(row, &filter))
                .collect())
        })
    }

    fn kin(
        &self,
        of: ExecutionId,
        kinship: Kinship,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>> {
        self.with(|state| {
            let came = |row: &&ExecutionRow| match kinship {
                Kinship::Child => row.header.parent.is_some_and(|parent| parent.execution == of),
                Kinship::Fork => row.header.forked == Some(of),
            };
            let rows = state.executions.values().map(|entry| &entry.row).filter(came);
            let behind = rows.filter(|row| after.is_none_or(|after| row.header.id > after));
            Ok(behind.take(limit as usize).map(|row| row.clone().brief()).collect())
        })
    }

    fn count(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<(ExecutionStatus, u64)>> {
        self.with(|state| {
            let mut counts: HashMap<ExecutionStatus, u64> = HashMap::new();
            for entry in state.executions.values().filter(|entry| matches(&entry.row, &filter)) {
                *counts.entry(status(&entry.row, &filter)).or_default() += 1;
            }
            let most = if filter.limit == 0 { u64::MAX } else { u64::from(filter.limit) };
            let counted = |status| Some((status, *counts.get(&status)?.min(&most)));
            Ok(ExecutionStatus::ALL.into_iter().filter_map(counted).collect())
        })
    }

    fn waits(&self, filter: WaitFilter) -> StoreFuture<'_, Vec<WaitRow>> {
        self.with(|state| Ok(state.waits_behind(&filter).take(filter.limit as usize).collect()))
    }

    fn waiting_states(&self, executions: Vec<ExecutionId>, each: u32) -> StoreFuture<'_, WaitingStates> {
        self.with(|state| Ok(state.waits.states(&executions, each as usize)))
    }

    fn count_waits(&self, filter: WaitFilter) -> StoreFuture<'_, u64> {
        self.with(|state| Ok(state.waits_behind(&filter).take(filter.limit as usize).count() as u64))
    }

    fn waits_by_destination(&self, limit: u32) -> StoreFuture<'_, Vec<DestinationWaits>> {
        self.with(|state| Ok(state.waits.by_destination(limit as usize)))
    }

    fn owing_parents(
        &self,
        partition: PartitionId,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>> {
        self.with(|state| Ok(state.brief_rows(behind(&state.owing, partition, after), limit)))
    }

    fn parent_told(&self, execution: ExecutionId) -> StoreFuture<'_, ()> {
        self.with(|state| {
            if let Some(entry) = state.executions.get_mut(&execution)
                && self.node.as_ref().is_none_or(|node| state.cluster.owns(node, entry.row.header.partition))
            {
                entry.row.summary.owes_parent = false;
                state.owing.remove(&(entry.row.header.partition, execution));
            }
            Ok(())
        })
    }

    fn purge(&self, before: Timestamp, limit: u32) -> StoreFuture<'_, u64> {
        self.with(|state| Ok(state.purge(before, limit)))
    }

    fn figures(&self) -> Figures {
        let state = self.lock();
        let open = || state.executions.values().map(|entry| &entry.row.summary).filter(|s| s.closed.is_none());
        Figures {
            open_executions: open().count() as u64,
            open_tasks: open().map(|s| u64::from(s.tasks)).sum(),
            ..Figures::default()
        }
    }
}
