//! The bus's port, handed to the parts that do its work.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::AmqpBus;
use super::reconnect::State;
use super::topology::Item;
use crate::bus::{
    Address, BusError, BusFacts, BusHealth, Delivery, ExchangeSpec, Message, Names, Publication, QueueSpec, QueueView,
    TaskBus,
};
use crate::ids::PartitionId;

impl TaskBus for AmqpBus {
    fn publish(&self, to: Address, message: Message) -> BoxFuture<'_, Result<Publication, BusError>> {
        self.publish_one(to, message).boxed()
    }

    fn names(&self) -> &Names {
        &self.options.names
    }

    fn replies(&self, partition: PartitionId, priority: i32) -> BoxStream<'static, Delivery> {
        self.consume_with(self.reply_queue_spec(partition), self.options.reply_prefetch, Some(priority))
    }

    fn reply_prefetch(&self) -> u16 {
        self.options.reply_prefetch
    }

    fn consume(&self, queue: QueueSpec, prefetch: u16) -> BoxStream<'static, Delivery> {
        self.consume_with(queue, prefetch, None)
    }

    fn declare(
        &self,
        exchanges: Vec<ExchangeSpec>,
        queues: Vec<QueueSpec>,
        bindings: Vec<(QueueSpec, Address)>,
    ) -> BoxFuture<'_, Result<(), BusError>> {
        let items = exchanges
            .into_iter()
            .map(Item::Exchange)
            .chain(queues.into_iter().map(Item::Queue))
            .chain(bindings.into_iter().flat_map(|(queue, from)| {
                let name = queue.name.clone();
                [Item::Queue(queue), Item::Binding(name, from)]
            }))
            .collect();
        self.declare_items(items).boxed()
    }

    fn get(&self, queue: &str) -> BoxFuture<'_, Result<Option<Delivery>, BusError>> {
        let queue = queue.to_owned();
        async move { self.get_one(&queue).await }.boxed()
    }

    fn look(&self, queue: &str) -> BoxFuture<'_, Result<Option<QueueView>, BusError>> {
        let queue = queue.to_owned();
        async move { self.look_at(&queue).await }.boxed()
    }

    fn declared(&self) -> BoxFuture<'_, bool> {
        async move {
            tokio::select! {
                () = self.topology.declared() => true,
                () = self.consuming.failed() => false,
            }
        }
        .boxed()
    }

    fn health(&self) -> BusHealth {
        for link in [&self.publishing, &self.consuming] {
            match &*link.states().borrow() {
                State::Up(_) => {}
                State::Down(why) => return BusHealth::Down(why.clone()),
                State::Closing(_) => return BusHealth::Down("the bus is closed".to_owned()),
            }
        }
        self.publishing.blocked().map_or(BusHealth::Up, BusHealth::Blocked)
    }

    fn facts(&self) -> BusFacts {
        BusFacts {
            consumers: self.consumers.facts(),
            refused: self.topology.refused(),
            connections_lost: self.endpoint.lost(),
            shared_with: self.other.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            mended: self.endpoint.mended().figures(),
            set_aside: self.isolation.set_aside(),
        }
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn close(&self, within: Duration) -> BoxFuture<'_, ()> {
        self.close_within(within).boxed()
    }
}
