//! The ports, with faults: a store that refuses, lands and denies it, or tells of conflicts; a bus that loses, doubles
//! and returns.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};

use crate::bus::{
    Address, BusError, BusHealth, Delivery, ExchangeSpec, Message, Names, Publication, QueueSpec, QueueView, Receipt,
    Settlement, TaskBus,
};
use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId, PartitionId};
use crate::store::memory::Memory;
use crate::store::{
    Append, Batch, DestinationWaits, Epoch, ExecutionFilter, ExecutionHeader, ExecutionRow, ExecutionStatus, Figures,
    Gift, Journal, Kinship, Node, NodeCard, NodeId, NodeRow, Ownership, StoreError, StoreFuture, View, WaitFilter,
    WaitRow,
};

use super::world::{World, is_node_queue};

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

    fn load(&self, execution: ExecutionId) -> StoreFuture<'_, Vec<Batch>> {
        Box::pin(async move {
            self.reading().await?;
            self.memory.load(execution).await
        })
    }

    fn owing(
        &self,
        partition: PartitionId,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(async move {
            self.reading().await?;
            self.memory.owing(partition, after, limit).await
        })
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

    fn execution(&self, id: ExecutionId) -> StoreFuture<'_, Option<ExecutionRow>> {
        Box::pin(async move {
            self.reading().await?;
            self.memory.execution(id).await
        })
    }

    fn execution_by_arn(&self, arn: &Arn) -> StoreFuture<'_, Option<ExecutionRow>> {
        let arn = arn.clone();
        Box::pin(async move {
            self.reading().await?;
            self.memory.execution_by_arn(&arn).await
        })
    }

    fn executions_by_arn(&self, arns: Vec<Arn>) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(async move {
            self.reading().await?;
            self.memory.executions_by_arn(arns).await
        })
    }

    fn list(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(async move {
            self.reading().await?;
            self.memory.list(filter).await
        })
    }

    fn kin(
        &self,
        of: ExecutionId,
        kinship: Kinship,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>> {
        self.memory.kin(of, kinship, after, limit)
    }

    fn count(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<(ExecutionStatus, u64)>> {
        Box::pin(async move {
            self.reading().await?;
            self.memory.count(filter).await
        })
    }

    fn waits(&self, filter: WaitFilter) -> StoreFuture<'_, Vec<WaitRow>> {
        self.memory.waits(filter)
    }

    fn count_waits(&self, filter: WaitFilter) -> StoreFuture<'_, u64> {
        self.memory.count_waits(filter)
    }

    fn waits_by_destination(&self, limit: u32) -> StoreFuture<'_, Vec<DestinationWaits>> {
        self.memory.waits_by_destination(limit)
    }

    fn owing_parents(
        &self,
        partition: PartitionId,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>> {
        Box::pin(async move {
            self.reading().await?;
            self.memory.owing_parents(partition, after, limit).await
        })
    }

    fn parent_told(&self, execution: ExecutionId) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.reading().await?;
            self.memory.parent_told(execution).await
        })
    }

    fn purge(&self, before: Timestamp, limit: u32) -> StoreFuture<'_, u64> {
        self.memory.purge(before, limit)
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

#[derive(Debug, Clone)]
pub struct SimBus {
    pub world: Arc<World>,
    pub node: Option<usize>,
}

impl SimBus {
    async fn send(&self, to: Address, message: Message) -> Publication {
        let task = to.exchange.is_empty() && matches!(to.routing_key.as_str(), "work" | "notes");
        if task {
            self.world.lock().leaving(&message, &self.world.tokens);
        }
        loop {
            self.world.port(self.node).await;
            self.world.reach(self.node).await;
            let (lost, unheard, doubled, refused) = {
                let mut inner = self.world.lock();
                let (bus, rough) = (inner.faults.bus, inner.faults.rough);
                let rng = &mut inner.rng;
                (rng.chance(bus), rng.chance(bus), rng.chance(bus), task && rng.chance(rough))
            };
            if lost {
                // The connection went with it; the bus connects again and sends again.
                self.world.pass(700).await;
                continue;
            }
            if refused {
                let nacked = self.world.lock().rng.chance(50);
                return if nacked {
                    Publication::Nacked
                } else {
                    Publication::Unroutable { code: 312, text: "NO_ROUTE".to_owned() }
                };
            }
            self.arrived(&to, &message, if doubled { 2 } else { 1 });
            self.world.port(self.node).await;
            if unheard {
                self.world.pass(1_500).await;
                continue;
            }
            return Publication::Confirmed;
        }
    }

    fn deliveries(&self, queue: String) -> BoxStream<'static, Delivery> {
        let (world, node) = (Arc::clone(&self.world), self.node);
        stream::unfold((world, queue), move |(world, queue)| async move {
            let found = loop {
                world.reach(node).await;
                let changed = world.changed.notified();
                let taken = {
                    let mut inner = world.lock();
                    let taken = if inner.dead {
                        None
                    } else {
                        inner.queues.get_mut(&queue).and_then(std::collections::VecDeque::pop_front)
                    };
                    taken.map(|(redelivered, message)| {
                        let number = inner.next_number();
                        inner.unsettled.insert(number, (queue.clone(), message.clone()));
                        inner.taken_by.extend(node.map(|node| (number, node)));
                        (redelivered, message, number)
                    })
                };
                if let Some(found) = taken {
                    break found;
                }
                changed.await;
            };
            let (redelivered, message, number) = found;
            let receipt = Box::new(SimReceipt { world: Arc::clone(&world), number, settled: false });
            Some((Delivery { message, redelivered, mended: None, receipt }, (world, queue)))
        })
        .boxed()
    }

    fn arrived(&self, to: &Address, message: &Message, copies: u32) {
        let mut inner = self.world.lock();
        for _ in 0..copies {
            match to.routing_key.as_str() {
                "work" => inner.worked(message, &self.world.tokens),
                parked if *parked == *Names::shipped().parked() => inner.parked(message, &self.world.tokens),
                // Words between nodes, and their answers.
                words if Names::shipped().is_reply_queue(words) || is_node_queue(words) => {
                    inner.queues.entry(words.to_owned()).or_default().push_back((false, message.clone()));
                    inner.words += 1;
                }
                _ => {}
            }
        }
        drop(inner);
        self.world.changed.notify_waiters();
    }
}

#[derive(Debug)]
struct SimReceipt {
    world: Arc<World>,
    number: u64,
    settled: bool,
}

impl SimReceipt {
    fn again(&self) {
        let mut inner = self.world.lock();
        if inner.dead {
            return; // the next process gets it
        }
        if let Some((queue, message)) = inner.unsettled.remove(&self.number) {
            if inner.taken_by.remove(&self.number).is_some() {
                // After a while: a node that takes nothing in now would be handed it again and again.
                inner.comes_again(queue, message);
            } else {
                inner.queues.entry(queue).or_default().push_back((true, message));
            }
        }
        drop(inner);
        self.world.changed.notify_waiters();
    }
}

impl Receipt for SimReceipt {
    fn settle(mut self: Box<Self>, settlement: Settlement) {
        self.settled = true;
        if settlement == Settlement::Requeue {
            self.again();
            return;
        }
        let mut inner = self.world.lock();
        if inner.dead {
            return;
        }
        let Some((_, message)) = inner.unsettled.get(&self.number).cloned() else { return };
        inner.acknowledged(&message, &self.world.tokens);
        let percent = inner.faults.bus;
        if inner.rng.chance(percent) {
            // The acknowledgement is lost with its connection: it comes again.
            drop(inner);
            self.again();
        } else {
            inner.unsettled.remove(&self.number);
            inner.taken_by.remove(&self.number);
        }
    }
}

impl Drop for SimReceipt {
    fn drop(&mut self) {
        if !self.settled {
            self.again();
        }
    }
}

impl TaskBus for SimBus {
    fn publish(&self, to: Address, message: Message) -> BoxFuture<'_, Result<Publication, BusError>> {
        Box::pin(async move { Ok(self.send(to, message).await) })
    }

    fn replies(&self, partition: PartitionId, _: i32) -> BoxStream<'static, Delivery> {
        self.deliveries(self.reply_queue(partition))
    }

    fn consume(&self, queue: QueueSpec, _: u16) -> BoxStream<'static, Delivery> {
        self.deliveries(queue.name)
    }

    fn declare(
        &self,
        _: Vec<ExchangeSpec>,
        _: Vec<QueueSpec>,
        _: Vec<(QueueSpec, Address)>,
    ) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(async { Ok(()) })
    }

    fn get(&self, _: &str) -> BoxFuture<'_, Result<Option<Delivery>, BusError>> {
        Box::pin(async { Ok(None) })
    }

    fn look(&self, _: &str) -> BoxFuture<'_, Result<Option<QueueView>, BusError>> {
        Box::pin(async {
            self.world.reach(self.node).await;
            Ok(Some(QueueView { ready: 0, consumers: 0 }))
        })
    }

    fn health(&self) -> BusHealth {
        BusHealth::Up
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn close(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
