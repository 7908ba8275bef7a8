//! A bus without a broker: it drops every message, and confirms it or never does. A store is made over it.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, pending, ready};
use futures_util::stream::{self, BoxStream};

use crate::bus::{
    Address, BusError, BusHealth, Delivery, ExchangeSpec, Message, Publication, QueueSpec, QueueView, TaskBus,
};
use crate::ids::PartitionId;

#[derive(Debug)]
pub(super) struct SilentBus {
    /// Otherwise each message is on its way for ever.
    pub confirms: bool,
}

impl TaskBus for SilentBus {
    fn publish(&self, _: Address, _: Message) -> BoxFuture<'_, Result<Publication, BusError>> {
        if self.confirms { Box::pin(ready(Ok(Publication::Confirmed))) } else { Box::pin(pending()) }
    }

    fn replies(&self, _: PartitionId, _: i32) -> BoxStream<'static, Delivery> {
        stream::pending().boxed()
    }

    fn consume(&self, _: QueueSpec, _: u16) -> BoxStream<'static, Delivery> {
        stream::pending().boxed()
    }

    fn declare(
        &self,
        _: Vec<ExchangeSpec>,
        _: Vec<QueueSpec>,
        _: Vec<(QueueSpec, Address)>,
    ) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(ready(Ok(())))
    }

    fn get(&self, _: &str) -> BoxFuture<'_, Result<Option<Delivery>, BusError>> {
        Box::pin(ready(Ok(None)))
    }

    fn look(&self, _: &str) -> BoxFuture<'_, Result<Option<QueueView>, BusError>> {
        Box::pin(ready(Ok(Some(QueueView { ready: 0, consumers: 1 }))))
    }

    fn health(&self) -> BusHealth {
        BusHealth::Up
    }

    /// As RabbitMQ's: recovery takes the tasks for sent.
    fn is_durable(&self) -> bool {
        true
    }

    fn close(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}
