//! The consumer of a partition's replies, as a trait. The room above implements it.

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::BoxStream;

use crate::bus::Delivery;
use crate::engine::execution::host::Incarnation;
use crate::engine::execution::message::PendingReply;
use crate::engine::types::Delivered;

use super::state::PartitionState;

pub(in crate::engine) trait ReplyConsumer: Send + Sync {
    /// Takes the replies of a partition in, until the bus closes.
    fn run(&self, partition: Rc<PartitionState>, replies: BoxStream<'static, Delivery>) -> LocalBoxFuture<'static, ()>;

    /// A reply that was handed to an actor has its outcome.
    fn settle(
        &self,
        partition: &Rc<PartitionState>,
        incarnation: Incarnation,
        reply: PendingReply,
        delivered: Delivered,
    );
}
