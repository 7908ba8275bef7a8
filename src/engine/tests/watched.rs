//! The embedded bus with an observer: the requests of an engine, the facts that the bus reports, and an alarm.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};
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
    /// The facts that it reports, as a broker may.
    pub facts: Mutex<BusFacts>,
    /// It takes no message, as a broker with an alarm.
    blocked: bool,
    /// The time that it was given to close.
    pub closed_within: OnceLock<Duration>,
}

impl Watched {
    pub fn blocked() -> Self {
        Self { blocked: true, ..Self::default() }
    }
}

impl TaskBus for Watched {
    fn publish(&self, to: Address, message: Message) -> BoxFuture<'_, Result<Publication, BusError>> {
        if self.blocked {
            return pending().boxed();
        }
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
        if self.blocked { BusHealth::Blocked("low on memory".to_owned()) } else { self.bus.health() }
    }

    fn facts(&self) -> BusFacts {
        self.facts.lock().unwrap().clone()
    }

    fn is_durable(&self) -> bool {
        self.blocked || self.bus.is_durable()
    }

    fn close(&self, within: Duration) -> BoxFuture<'_, ()> {
        self.closed_within.set(within).expect("closed once");
        self.bus.close(within)
    }
}
