//! The port's journal, handed to the writer and the readers.

use std::sync::atomic::Ordering;

use futures_util::future::try_join_all;

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId, PartitionId};
use crate::store::{
    Append, Batch, CommitSizes, DestinationWaits, ExecutionFilter, ExecutionHeader, ExecutionRow, ExecutionStatus,
    Figures, Journal, Kinship, Opened, Place, StoreFuture, WaitFilter, WaitRow, WaitingStates,
};

use super::writer::{Create, Write};
use super::{Postgres, listing, pieces, purge, rows, waits};

impl Journal for Postgres {
    fn create(&self, header: ExecutionHeader, first: Append, reusable_before: Timestamp) -> StoreFuture<'_, ()> {
        assert_eq!(header.id, first.execution, "the first append belongs to the execution that is created");
        Box::pin(async move {
            let create = Box::new(Create { header, first, reusable_before, releases: None });
            self.send(|answer| Write::Create { create, answer }).await
        })
    }

    fn append(&self, append: Append) -> StoreFuture<'_, ()> {
        Box::pin(self.send(|answer| Write::Append { append, answer }))
    }

    fn load(&self, execution: ExecutionId) -> StoreFuture<'_, Vec<Batch>> {
        Box::pin(async move {
            match self.open(execution, u64::MAX).await? {
                Opened::Whole(batches) => Ok(batches),
                Opened::Large(places) => self.read(execution, places).await,
            }
        })
    }

    fn open(&self, execution: ExecutionId, whole: u64) -> StoreFuture<'_, Opened> {
        Box::pin(self.reading(move |client| Box::pin(async move { pieces::open(&client, execution, whole).await })))
    }

    fn read(&self, execution: ExecutionId, places: Vec<Place>) -> StoreFuture<'_, Vec<Batch>> {
        Box::pin(self.reading(move |client| Box::pin(async move { pieces::read(&client, execution, &places).await })))
    }

    fn owing(
        &self,
        partition: PartitionId,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(
            self.reading(move |client| Box::pin(async move { rows::owing(&client, partition, after, limit).await })),
        )
    }

    fn due(
        &self,
        partition: PartitionId,
        before: Timestamp,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(ExecutionId, Timestamp)>> {
        Box::pin(
            self.reading(move |client| Box::pin(async move { rows::due(&client, partition, before, limit).await })),
        )
    }

    fn execution(&self, id: ExecutionId) -> StoreFuture<'_, Option<ExecutionRow>> {
        Box::pin(self.reading(move |client| Box::pin(async move { rows::execution(&client, id).await })))
    }

    fn execution_by_arn(&self, arn: &Arn) -> StoreFuture<'_, Option<ExecutionRow>> {
        let arn = arn.clone();
        Box::pin(self.reading(move |client| Box::pin(async move { rows::execution_by_arn(&client, &arn).await })))
    }

    fn executions(&self, ids: Vec<ExecutionId>) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(self.reading(move |client| {
            Box::pin(async move {
                let rows = try_join_all(ids.iter().map(|id| rows::execution(&client, *id))).await?;
                Ok(rows.into_iter().flatten().collect())
            })
        }))
    }

    fn executions_by_arn(&self, arns: Vec<Arn>) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(self.reading(move |client| {
            Box::pin(async move {
                // Sent at once, one after the other.
                let rows = try_join_all(arns.iter().map(|arn| rows::execution_by_arn(&client, arn))).await?;
                Ok(rows.into_iter().flatten().collect())
            })
        }))
    }

    fn list(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(self.reading(move |client| Box::pin(async move { listing::list(&client, &filter).await })))
    }

    fn kin(
        &self,
        of: ExecutionId,
        kinship: Kinship,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(
            self.reading(move |client| Box::pin(async move { rows::kin(&client, of, kinship, after, limit).await })),
        )
    }

    fn count(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<(ExecutionStatus, u64)>> {
        Box::pin(self.reading(move |client| Box::pin(async move { listing::count(&client, &filter).await })))
    }

    fn waits(&self, filter: WaitFilter) -> StoreFuture<'_, Vec<WaitRow>> {
        Box::pin(self.reading(move |client| Box::pin(async move { waits::list(&client, &filter).await })))
    }

    fn waiting_states(&self, executions: Vec<ExecutionId>, each: u32) -> StoreFuture<'_, WaitingStates> {
        Box::pin(self.reading(move |client| Box::pin(async move { waits::states(&client, &executions, each).await })))
    }

    fn count_waits(&self, filter: WaitFilter) -> StoreFuture<'_, u64> {
        Box::pin(self.reading(move |client| Box::pin(async move { waits::count(&client, &filter).await })))
    }

    fn waits_by_destination(&self, limit: u32) -> StoreFuture<'_, Vec<DestinationWaits>> {
        Box::pin(self.reading(move |client| Box::pin(async move { waits::destinations(&client, limit).await })))
    }

    fn owing_parents(
        &self,
        partition: PartitionId,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(self.reading(move |client| {
            Box::pin(async move { rows::owing_parents(&client, partition, after, limit).await })
        }))
    }

    fn parent_told(&self, execution: ExecutionId) -> StoreFuture<'_, ()> {
        Box::pin(self.send(move |answer| Write::ParentTold { execution, answer }))
    }

    fn purge(&self, before: Timestamp, limit: u32) -> StoreFuture<'_, u64> {
        Box::pin(self.write(move |client| Box::pin(async move { purge::purge(&client, before, limit).await })))
    }

    fn figures(&self) -> Figures {
        let counters = &self.inner.counters;
        let (open_executions, open_tasks) = counters.all_open();
        Figures {
            open_executions,
            open_tasks,
            commits: CommitSizes {
                counts: std::array::from_fn(|place| counters.commit_sizes[place].load(Ordering::Relaxed)),
                events: counters.commit_events.load(Ordering::Relaxed),
            },
            writes: counters.appends.load(Ordering::Relaxed) + counters.jobs.load(Ordering::Relaxed),
            failovers: self.inner.connector.failovers(),
            // The server's own files are its affair.
            ..Figures::default()
        }
    }
}
