//! A store in memory with gates.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::{pending, ready};
use tokio::sync::{Notify, Semaphore};

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId, PartitionId};
use crate::store::memory::{Memory, through};
use crate::store::{
    Append, Batch, DestinationWaits, ExecutionFilter, ExecutionHeader, ExecutionRow, ExecutionStatus, Journal, Kinship,
    StoreError, StoreFuture, WaitFilter, WaitRow, WaitingStates,
};

/// A store whose creations and looks at rows wait at gates, and whose appends may stand still. Everything else goes
/// through at once.
#[derive(Debug)]
pub struct Gated {
    pub memory: Memory,
    pub gate: Arc<Semaphore>,
    /// Word of an append that stands still.
    pub stands: Option<Arc<Notify>>,
    /// The gate of [`Journal::execution`]: open while it has a permit.
    pub looks: Arc<Semaphore>,
    /// Looks that wait at it.
    pub looking: Arc<AtomicUsize>,
    /// Looks that will fail.
    pub failing: Arc<AtomicUsize>,
    /// Creations are reported as failed, and land when this gate opens.
    pub late: Option<Arc<Semaphore>>,
    /// The same of the next append with events.
    pub late_append: Mutex<Option<Arc<Semaphore>>>,
}

impl Gated {
    /// All gates are open.
    pub fn over(memory: &Memory) -> Self {
        let open = || Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let (looking, failing) = Default::default();
        Self {
            memory: memory.clone(),
            gate: open(),
            stands: None,
            looks: open(),
            looking,
            failing,
            late: None,
            late_append: Mutex::default(),
        }
    }
}

impl Journal for Gated {
    fn create(&self, header: ExecutionHeader, first: Append, reusable_before: Timestamp) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            if let Some(late) = self.late.clone() {
                let memory = self.memory.clone();
                actix_rt::spawn(async move {
                    drop(late.acquire().await);
                    memory.create(header, first, reusable_before).await
                });
                return Err(StoreError::Unavailable("no answer in time".to_owned()));
            }
            self.gate.acquire().await.expect("the gate is never closed for good").forget();
            self.memory.create(header, first, reusable_before).await
        })
    }

    fn append(&self, append: Append) -> StoreFuture<'_, ()> {
        if append.batch.events > 0
            && let Some(late) = self.late_append.lock().unwrap().take()
        {
            let memory = self.memory.clone();
            actix_rt::spawn(async move {
                drop(late.acquire().await);
                memory.append(append).await
            });
            return ready(Err(StoreError::Unavailable("no answer in time".to_owned()))).boxed();
        }
        match &self.stands {
            None => self.memory.append(append),
            Some(word) => {
                word.notify_one();
                pending().boxed()
            }
        }
    }

    fn execution(&self, id: ExecutionId) -> StoreFuture<'_, Option<ExecutionRow>> {
        Box::pin(async move {
            self.looking.fetch_add(1, Ordering::AcqRel);
            drop(self.looks.acquire().await);
            self.looking.fetch_sub(1, Ordering::AcqRel);
            let less = |left: usize| left.checked_sub(1);
            if self.failing.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok() {
                return Err(StoreError::Unavailable("the test says so".to_owned()));
            }
            self.memory.execution(id).await
        })
    }

    through! {
        load(execution: ExecutionId) -> Vec<Batch>;
        owing(partition: PartitionId, after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionRow>;
        due(partition: PartitionId, before: Timestamp, limit: u32) -> Vec<(ExecutionId, Timestamp)>;
        execution_by_arn(arn: &Arn) -> Option<ExecutionRow>;
        executions(ids: Vec<ExecutionId>) -> Vec<ExecutionRow>;
        executions_by_arn(arns: Vec<Arn>) -> Vec<ExecutionRow>;
        list(filter: ExecutionFilter) -> Vec<ExecutionRow>;
        kin(of: ExecutionId, kinship: Kinship, after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionRow>;
        count(filter: ExecutionFilter) -> Vec<(ExecutionStatus, u64)>;
        waits(filter: WaitFilter) -> Vec<WaitRow>;
        waiting_states(executions: Vec<ExecutionId>, each: u32) -> WaitingStates;
        count_waits(filter: WaitFilter) -> u64;
        waits_by_destination(limit: u32) -> Vec<DestinationWaits>;
        owing_parents(partition: PartitionId, after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionRow>;
        parent_told(execution: ExecutionId) -> ();
        purge(before: Timestamp, limit: u32) -> u64;
    }
}
