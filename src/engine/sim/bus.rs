//! The bus, with faults: it loses, doubles and returns.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};

use crate::bus::{
    Address, BusError, BusHealth, Delivery, ExchangeSpec, Message, Names, Publication, QueueSpec, QueueView, Receipt,
    Settlement, TaskBus,
};
use crate::ids::PartitionId;

use super::world::{World, is_node_queue};

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
