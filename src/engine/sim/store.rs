//! The store, with faults: it refuses, lands and denies it, or tells of conflicts.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId, PartitionId};
use crate::store::memory::{Memory, through};
use crate::store::{
    Append, Batch, DestinationWaits, Epoch, ExecutionFilter, ExecutionHeader, ExecutionRow, ExecutionStatus, Figures,
    Gift, Journal, Kinship, Node, NodeCard, NodeId, NodeRow, Ownership, StoreError, StoreFuture, View, WaitFilter,
    WaitRow, WaitingStates,
};

use super::world::World;

#[derive(Debug, Clone)]
pub struct SimStore {
    pub memory: Memory,
    pub world: Arc<World>,
    /// Of several nodes: which one it is.
    pub node: Option<usize>,
}

pub(super) enum Fault {
    None,
    Refused,
    AnswerLost,
    Conflict,
    /// Of several nodes: a commit that was given up goes on at the server, and lands so much later.
    Late(u64),
}

impl SimStore {
    pub(super) fn fault(&self) -> Fault {
        let mut inner = self.world.lock();
        let percent = inner.faults.store;
        if !inner.rng.chance(percent) {
            return Fault::None;
        }
        match inner.rng.below(if self.node.is_some() { 4 } else { 3 }) {
            0 => Fault::Refused,
            1 => Fault::AnswerLost,
            2 => Fault::Conflict,
            _ => Fault::Late(100 + inner.rng.below(15_000)),
        }
    }

    pub(super) fn unavailable<T>() -> Result<T, StoreError> {
        Err(StoreError::Unavailable("the simulation says so".to_owned()))
    }

    async fn made(&self, header: ExecutionHeader, first: Append, reusable_before: Timestamp) -> Result<(), StoreError> {
        self.memory.create(header.clone(), first.clone(), reusable_before).await?;
        {
            let mut inner = self.world.lock();
            inner.born(&header);
            inner.landed(&first);
        }
        self.listed(header.id).await
    }

    async fn appended(&self, append: Append) -> Result<(), StoreError> {
        self.memory.append(append.clone()).await?;
        self.world.lock().landed(&append);
        self.listed(append.execution).await
    }

    /// The rows of waiting tasks, after an append.
    async fn listed(&self, execution: ExecutionId) -> Result<(), StoreError> {
        let filter = WaitFilter { execution: Some(execution), limit: u32::MAX, ..WaitFilter::default() };
        let rows = self.memory.waits(filter).await?;
        self.world.lock().listed(execution, &rows);
        Ok(())
    }

    /// Reads fail too, now and then.
    async fn reading(&self) -> Result<(), StoreError> {
        self.world.port(self.node).await;
        let mut inner = self.world.lock();
        let percent = inner.faults.store / 2;
        if inner.rng.chance(percent) { Self::unavailable() } else { Ok(()) }
    }
}

/// Each call fails now and then, before it does anything.
macro_rules! reading {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> StoreFuture<'_, $answer> {
            Box::pin(async move {
                self.reading().await?;
                self.memory.$name($($argument),*).await
            })
        })*
    };
}

impl Journal for SimStore {
    fn create(&self, header: ExecutionHeader, first: Append, reusable_before: Timestamp) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.world.port(self.node).await;
            let fault = self.fault();
            if matches!(fault, Fault::Refused | Fault::Conflict) {
                return Self::unavailable();
            }
            if let Fault::Late(ms) = fault {
                let store = self.clone();
                actix_rt::spawn(async move {
                    store.world.pass(ms).await;
                    let _ = store.made(header, first, reusable_before).await;
                });
                self.world.port(self.node).await;
                return Self::unavailable();
            }
            self.made(header, first, reusable_before).await?;
            self.world.port(self.node).await;
            if matches!(fault, Fault::AnswerLost) { Self::unavailable() } else { Ok(()) }
        })
    }

    fn append(&self, append: Append) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.world.port(self.node).await;
            let fault = self.fault();
            match fault {
                Fault::Refused => return Self::unavailable(),
                Fault::Conflict => {
                    let (execution, expected) = (append.execution, append.batch.after);
                    return Err(StoreError::VersionConflict { execution, expected, actual: expected });
                }
                Fault::Late(ms) => {
                    let store = self.clone();
                    actix_rt::spawn(async move {
                        store.world.pass(ms).await;
                        let _ = store.appended(append).await;
                    });
                    self.world.port(self.node).await;
                    return Self::unavailable();
                }
                Fault::None | Fault::AnswerLost => {}
            }
            self.appended(append).await?;
            self.world.port(self.node).await;
            if matches!(fault, Fault::AnswerLost) { Self::unavailable() } else { Ok(()) }
        })
    }

    reading! {
        load(execution: ExecutionId) -> Vec<Batch>;
        owing(partition: PartitionId, after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionRow>;
        execution(id: ExecutionId) -> Option<ExecutionRow>;
        executions(ids: Vec<ExecutionId>) -> Vec<ExecutionRow>;
        executions_by_arn(arns: Vec<Arn>) -> Vec<ExecutionRow>;
        list(filter: ExecutionFilter) -> Vec<ExecutionRow>;
        count(filter: ExecutionFilter) -> Vec<(ExecutionStatus, u64)>;
        owing_parents(partition: PartitionId, after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionRow>;
        parent_told(execution: ExecutionId) -> ();
    }

    through! {
        kin(of: ExecutionId, kinship: Kinship, after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionRow>;
        waits(filter: WaitFilter) -> Vec<WaitRow>;
        waiting_states(executions: Vec<ExecutionId>, each: u32) -> WaitingStates;
        count_waits(filter: WaitFilter) -> u64;
        waits_by_destination(limit: u32) -> Vec<DestinationWaits>;
        purge(before: Timestamp, limit: u32) -> u64;
    }

    fn due(
        &self,
        partition: PartitionId,
        before: Timestamp,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(ExecutionId, Timestamp)>> {
        Box::pin(async move {
            if self.world.lock().steps > 0 {
                self.reading().await?;
            }
            self.memory.due(partition, before, limit).await
        })
    }

    fn execution_by_arn(&self, arn: &Arn) -> StoreFuture<'_, Option<ExecutionRow>> {
        let arn = arn.clone();
        Box::pin(async move {
            self.reading().await?;
            self.memory.execution_by_arn(&arn).await
        })
    }

    fn figures(&self) -> Figures {
        self.memory.figures()
    }
}

/// Each call may be lost before or after it did its work. The arguments before a semicolon are references.
macro_rules! shaky {
    ($($name:ident($(&$borrowed:ident: $of:ty),*; $($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($borrowed: &$of,)* $($argument: $kind),*) -> StoreFuture<'_, $answer> {
            $(let $borrowed = $borrowed.to_owned();)*
            Box::pin(async move {
                self.world.port(self.node).await;
                let fault = self.fault();
                if matches!(fault, Fault::Refused | Fault::Conflict) {
                    return Self::unavailable();
                }
                let done = self.memory.$name($(&$borrowed,)* $($argument),*).await?;
                self.world.port(self.node).await;
                if matches!(fault, Fault::AnswerLost | Fault::Late(_)) { Self::unavailable() } else { Ok(done) }
            })
        })*
    };
}
pub(super) use shaky;

impl Ownership for SimStore {
    shaky! {
        join(; card: NodeCard) -> Result<Node, NodeRow>;
        beat(;) -> View;
        bury(; node: NodeId, beat: u64) -> bool;
        give(; gifts: Vec<Gift>) -> ();
        announce_leave(;) -> ();
        announce_deaf(; deaf: bool) -> ();
        leave(;) -> ();
    }

    fn claim(&self, wanted: Vec<(PartitionId, Epoch)>) -> StoreFuture<'_, Vec<(PartitionId, Epoch)>> {
        Box::pin(async move {
            self.world.port(self.node).await;
            let taken = self.memory.claim(wanted).await?;
            for (partition, epoch) in &taken {
                self.world.lock().taken(self.node, *partition, *epoch);
            }
            self.world.port(self.node).await;
            Ok(taken)
        })
    }
}
