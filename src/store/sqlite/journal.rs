//! The port's journal, handed to the writer and the readers.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId, PartitionId};
use crate::store::{
    Append, Batch, CommitSizes, DestinationWaits, ExecutionFilter, ExecutionHeader, ExecutionRow, ExecutionStatus,
    Figures, Journal, Kinship, Opened, Place, StoreFuture, WaitFilter, WaitRow, WaitingStates,
};

use super::writer::Create;
use super::{Sqlite, listing, pieces, purge, rows, waits};

impl Journal for Sqlite {
    fn create(&self, header: ExecutionHeader, first: Append, reusable_before: Timestamp) -> StoreFuture<'_, ()> {
        assert_eq!(header.id, first.execution, "the first append belongs to the execution that is created");
        Box::pin(self.inner.writer.create(Create { header, first, reusable_before }))
    }

    fn append(&self, append: Append) -> StoreFuture<'_, ()> {
        Box::pin(self.inner.writer.append(append))
    }

    fn load(&self, execution: ExecutionId) -> StoreFuture<'_, Vec<Batch>> {
        Box::pin(self.reading(move |connection| rows::load(connection, execution)))
    }

    fn open(&self, execution: ExecutionId, whole: u64) -> StoreFuture<'_, Opened> {
        Box::pin(self.reading(move |connection| pieces::open(connection, execution, whole)))
    }

    fn read(&self, execution: ExecutionId, places: Vec<Place>) -> StoreFuture<'_, Vec<Batch>> {
        Box::pin(self.reading(move |connection| pieces::read(connection, execution, &places)))
    }

    fn owing(
        &self,
        partition: PartitionId,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(self.reading(move |connection| rows::owing(connection, partition, after, limit)))
    }

    fn due(
        &self,
        partition: PartitionId,
        before: Timestamp,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(ExecutionId, Timestamp)>> {
        Box::pin(self.reading(move |connection| rows::due(connection, partition, before, limit)))
    }

    fn execution(&self, id: ExecutionId) -> StoreFuture<'_, Option<ExecutionRow>> {
        Box::pin(self.reading(move |connection| rows::execution(connection, id, false)))
    }

    fn execution_by_arn(&self, arn: &Arn) -> StoreFuture<'_, Option<ExecutionRow>> {
        let arn = arn.clone();
        Box::pin(self.reading(move |connection| rows::execution_by_arn(connection, &arn)))
    }

    fn executions(&self, ids: Vec<ExecutionId>) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(self.reading(move |connection| {
            let rows = ids.iter().map(|id| rows::execution(connection, *id, false));
            rows.filter_map(Result::transpose).collect()
        }))
    }

    fn executions_by_arn(&self, arns: Vec<Arn>) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(self.reading(move |connection| {
            let rows = arns.iter().map(|arn| rows::execution_by_arn(connection, arn));
            rows.filter_map(Result::transpose).collect()
        }))
    }

    fn list(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(self.reading(move |connection| listing::list(connection, &filter)))
    }

    fn kin(
        &self,
        of: ExecutionId,
        kinship: Kinship,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(self.reading(move |connection| rows::kin(connection, of, kinship, after, limit)))
    }

    fn count(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<(ExecutionStatus, u64)>> {
        Box::pin(self.reading(move |connection| listing::count(connection, &filter)))
    }

    fn waits(&self, filter: WaitFilter) -> StoreFuture<'_, Vec<WaitRow>> {
        Box::pin(self.reading(move |connection| waits::list(connection, &filter)))
    }

    fn waiting_states(&self, executions: Vec<ExecutionId>, each: u32) -> StoreFuture<'_, WaitingStates> {
        Box::pin(self.reading(move |connection| waits::states(connection, &executions, each)))
    }

    fn count_waits(&self, filter: WaitFilter) -> StoreFuture<'_, u64> {
        Box::pin(self.reading(move |connection| waits::count(connection, &filter)))
    }

    fn waits_by_destination(&self, limit: u32) -> StoreFuture<'_, Vec<DestinationWaits>> {
        Box::pin(self.reading(move |connection| waits::destinations(connection, limit)))
    }

    fn owing_parents(
        &self,
        partition: PartitionId,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(self.reading(move |connection| rows::owing_parents(connection, partition, after, limit)))
    }

    fn parent_told(&self, execution: ExecutionId) -> StoreFuture<'_, ()> {
        Box::pin(self.write(move |connection| rows::parent_told(connection, execution)))
    }

    fn purge(&self, before: Timestamp, limit: u32) -> StoreFuture<'_, u64> {
        Box::pin(self.write(move |connection| purge::purge(connection, before, limit)))
    }

    fn figures(&self) -> Figures {
        let counters = &self.inner.writer.counters;
        let open = |counter: &AtomicI64| u64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(0);
        Figures {
            open_executions: open(&counters.open_executions),
            open_tasks: open(&counters.open_tasks),
            commits: CommitSizes {
                counts: std::array::from_fn(|place| counters.commit_sizes[place].load(Ordering::Relaxed)),
                events: counters.commit_events.load(Ordering::Relaxed),
            },
            writes: counters.appends.load(Ordering::Relaxed),
            checkpoints: counters.checkpoints.load(Ordering::Relaxed),
            bytes: self.bytes_beside(""),
            log_bytes: self.bytes_beside("-wal"),
            failovers: 0,
        }
    }
}
