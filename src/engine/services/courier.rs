//! The one way to an execution that is not in this actor: its partition is found by the execution's id. Where it is not
//! here, its owner is asked ([`super::away`]).

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use actix::{MailboxError, Recipient};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::engine::types::{Applied, AwaitEnd, Deliver, DeliverError, Delivered, Input, RunToEnd, Start};
use crate::ids::{ExecutionId, PartitionId};
use crate::interpreter::state::Outcome;
use crate::interpreter::stimulus::StimulusKind;

use crate::engine::types::RETRY_AFTER;
use crate::store::{Epoch, Tenure};

use super::away::Away;
use super::seat::Seat;

/// Where a partition takes messages.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Route {
    /// Under which this engine owns the partition.
    pub epoch: Epoch,
    pub deliver: Recipient<Deliver>,
    pub start: Recipient<Start>,
    pub run_to_end: Recipient<RunToEnd>,
    pub await_end: Recipient<AwaitEnd>,
}

/// Routes of the partitions that this engine owns now.
#[derive(Debug)]
pub(in crate::engine) struct Courier {
    routes: Vec<RwLock<Option<Arc<Route>>>>,
    /// This node's own, for express executions.
    express: RwLock<HashMap<PartitionId, Arc<Route>>>,
    /// Something is reached here that was not.
    opened: Notify,
    seat: Arc<Seat>,
    away: Arc<Away>,
}

impl Courier {
    pub fn new(partitions: u16, seat: Arc<Seat>, away: Arc<Away>) -> Self {
        let routes = (0..partitions).map(|_| RwLock::default()).collect();
        Self { routes, express: RwLock::default(), opened: Notify::new(), seat, away }
    }

    /// From now on this partition is reached here; `None`: no more.
    pub fn route(&self, partition: PartitionId, route: Option<Route>) {
        let (opens, route) = (route.is_some(), route.map(Arc::new));
        if partition.is_express() {
            let mut express = self.express.write().unwrap_or_else(PoisonError::into_inner);
            match route {
                Some(route) => _ = express.insert(partition, route),
                None => _ = express.remove(&partition),
            }
        } else if let Some(slot) = self.routes.get(usize::from(partition.0)) {
            *slot.write().unwrap_or_else(PoisonError::into_inner) = route;
        }
        if opens {
            self.opened.notify_waiters();
        }
    }

    /// Ready when something is reached here that was not when this was called.
    pub fn opened(&self) -> Notified<'_> {
        self.opened.notified()
    }

    /// The express partitions of this node.
    pub fn express_partitions(&self) -> Vec<PartitionId> {
        let express = self.express.read().unwrap_or_else(PoisonError::into_inner);
        let mut partitions: Vec<PartitionId> = express.keys().copied().collect();
        partitions.sort_unstable();
        partitions
    }

    /// True where some partition is here.
    pub fn has_partition(&self) -> bool {
        let is_here = |slot: &RwLock<Option<_>>| slot.read().unwrap_or_else(PoisonError::into_inner).is_some();
        self.routes.iter().any(is_here)
    }

    /// The partition of an execution: fixed by its id.
    pub fn partition_of(&self, execution: ExecutionId) -> PartitionId {
        let by_hash = || PartitionId::of(execution, u16::try_from(self.routes.len()).unwrap_or(u16::MAX));
        execution.express_partition().unwrap_or_else(by_hash)
    }

    fn find(&self, partition: PartitionId) -> Result<Arc<Route>, DeliverError> {
        if partition.is_express() {
            // Nothing of it is in the store, so no other node can have taken it.
            let express = self.express.read().unwrap_or_else(PoisonError::into_inner);
            return express.get(&partition).cloned().ok_or(DeliverError::NotHere(partition));
        }
        self.route_of(partition).filter(|_| !self.seat.is_fenced()).ok_or(DeliverError::NotHere(partition))
    }

    fn route_of(&self, partition: PartitionId) -> Option<Arc<Route>> {
        let slot = self.routes.get(usize::from(partition.0))?;
        slot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The epoch of a partition that is here; `None`: another node has it, or it is on its way.
    pub fn epoch_of(&self, partition: PartitionId) -> Option<Epoch> {
        self.find(partition).ok().map(|route| route.epoch)
    }

    /// This engine's tenure over the partition of an execution, where it is here.
    pub fn tenure_over(&self, execution: ExecutionId) -> Result<Tenure, DeliverError> {
        let partition = self.partition_of(execution);
        self.find(partition).map(|route| Tenure { partition, epoch: route.epoch })
    }

    /// The partition is here, though perhaps nothing is taken in just now.
    pub fn holds(&self, partition: PartitionId) -> bool {
        self.route_of(partition).is_some()
    }

    /// Delivers an input to an execution, which is revived where it is not in memory. Its partition is found by its id;
    /// a token may name another one, where the store was copied into more partitions.
    pub async fn deliver(&self, execution: ExecutionId, input: Input) -> Delivered {
        let partition = self.partition_of(execution);
        let Ok(route) = self.find(partition) else { return self.away.deliver(partition, execution, input).await };
        if !self.away.has_others() {
            return route.deliver.send(Deliver { execution, input }).await.unwrap_or_else(closed).into();
        }
        match route.deliver.send(Deliver { execution, input: input.clone() }).await.unwrap_or_else(closed) {
            // It was handed over meanwhile, and nothing was written.
            Err(error) if error.is_handover() => self.away.deliver(partition, execution, input).await,
            applied => applied.into(),
        }
    }

    /// Words for the partitions of other nodes.
    pub fn away(&self) -> &Arc<Away> {
        &self.away
    }

    /// Delivers a stimulus again and again until the execution has taken or refused it, or is gone.
    pub async fn deliver_until_taken(&self, execution: ExecutionId, kind: StimulusKind) {
        loop {
            let delivered = self.deliver(execution, Input::Stimulus(kind.clone())).await;
            if delivered.is_final() {
                return;
            }
            match delivered.into_result() {
                // The next start delivers it, or the partition's next owner: the execution owes it.
                Ok(_) | Err(DeliverError::Closed | DeliverError::NotHere(_)) => return,
                Err(e) => {
                    tracing::warn!(
                        execution.id = %execution,
                        error = %e,
                        "an execution could not be told of its children's end; trying again"
                    );
                }
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// A new execution; durable when it returns `Ok`.
    pub async fn start(&self, start: Start) -> Result<Applied, DeliverError> {
        let route = self.find(start.header.partition)?;
        route.start.send(start).await.unwrap_or_else(closed)
    }

    /// A new execution, and its end.
    pub async fn run_to_end(&self, start: Start) -> Result<Outcome, DeliverError> {
        let route = self.find(start.header.partition)?;
        route.run_to_end.send(RunToEnd(start)).await.unwrap_or_else(closed)
    }

    /// The end of an execution, when it comes.
    pub async fn await_end(&self, execution: ExecutionId) -> Result<Outcome, DeliverError> {
        let route = self.find(self.partition_of(execution))?;
        route.await_end.send(AwaitEnd { execution }).await.unwrap_or_else(closed)
    }
}

/// A mailbox that takes nothing any more.
fn closed<T>(_: MailboxError) -> Result<T, DeliverError> {
    Err(DeliverError::Closed)
}
