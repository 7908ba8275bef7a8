//! The embedded bus with an observer: what an engine asks of it, and what it says of itself.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::bus::embedded::EmbeddedBus;
use crate::bus::{
    Address, BusError, BusFacts, BusHealth, Delivery, ExchangeSpec, Message, Publication, QueueSpec, QueueView, TaskBus,
};
use crate::ids::PartitionId;

#[derive(Debug, Default)]
pub struct Watched {
    bus: EmbeddedBus,
    /// Reply queues wanted, and `reply_to` of tasks.
    pub asked: Mutex<Vec<(&'static str, String)>>,
    /// What it says of itself, as a broker's may.
    pub facts: Mutex<BusFacts>,
}

impl TaskBus for Watched {
    fn publish(&self, to: Address, message: Message) -> BoxFuture<'_, Result<Publication, BusError>> {
        if let Some(reply_to) = &message.properties.reply_to {
            self.asked.lock().unwrap().push(("published", reply_to.clone()));
        }
        self.bus.publish(to, message)
    }

    fn reply_queue(&self, partition: PartitionId) -> String {
        self.bus.reply_queue(partition)
    }

    fn replies(&self, partition: PartitionId, priority: i32) -> BoxStream<'static, Delivery> {
        self.asked.lock().unwrap().push(("wanted", self.reply_queue(partition)));
        self.bus.replies(partition, priority)
    }

    fn consume(&self, queue: QueueSpec, prefetch: u16) -> BoxStream<'static, Delivery> {
        self.bus.consume(queue, prefetch)
    }

    fn declare(
        &self,
        exchanges: Vec<ExchangeSpec>,
        queues: Vec<QueueSpec>,
        bindings: Vec<(QueueSpec, Address)>,
    ) -> BoxFuture<'_, Result<(), BusError>> {
        self.bus.declare(exchanges, queues, bindings)
    }

    fn get(&self, queue: &str) -> BoxFuture<'_, Result<Option<Delivery>, BusError>> {
        self.bus.get(queue)
    }

    fn look(&self, queue: &str) -> BoxFuture<'_, Result<Option<QueueView>, BusError>> {
        self.bus.look(queue)
    }

    fn health(&self) -> BusHealth {
        self.bus.health()
    }

    fn facts(&self) -> BusFacts {
        self.facts.lock().unwrap().clone()
    }

    fn is_durable(&self) -> bool {
        self.bus.is_durable()
    }

    fn close(&self, within: Duration) -> BoxFuture<'_, ()> {
        self.bus.close(within)
    }
}
