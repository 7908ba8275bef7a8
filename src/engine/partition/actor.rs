//! The partition's mailbox.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{Notify, oneshot};

use crate::engine::journal::load;
use crate::engine::journal::summary::outcome;
use crate::engine::types::{Applied, AwaitEnd, Deliver, DeliverError, RunToEnd, Start};
use crate::ids::PartitionId;
use crate::interpreter::state::{Outcome, Phase};
use crate::store::Epoch;

use super::begin::Starting;
use super::messages::{Abandon, Beat, Begin, Drain, Release};
use super::state::{Ended, PartitionState, Wiring};

/// How often a partition that ends looks whether work is still in progress.
const DRAIN_LOOK: Duration = Duration::from_millis(5);

pub(super) struct Partition {
    state: Rc<PartitionState>,
}

impl Partition {
    pub fn new(id: PartitionId, epoch: Epoch, wiring: Wiring, ended: Ended) -> Self {
        Self { state: PartitionState::new(id, epoch, wiring, ended) }
    }
}

impl Actor for Partition {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(crate::limits::MAILBOX_MESSAGES);
    }
}

impl Handler<Begin> for Partition {
    type Result = ResponseFuture<Result<(), DeliverError>>;

    fn handle(&mut self, _: Begin, _: &mut Self::Context) -> Self::Result {
        let partition = Rc::clone(&self.state);
        Box::pin(async move {
            // Before anything is published: on a broker that lost its queues, a reply to a queue that is not wanted yet
            // would be lost.
            let (bus, id, priority) = (Arc::clone(&partition.services.bus), partition.id, partition.priority());
            let replies = partition.intake.deliveries(bus.reply_prefetch(), move || bus.replies(id, priority));
            partition.spawn(Rc::clone(&partition).make_room());
            partition.recovered().await?;
            let counted = Rc::new(Notify::new());
            partition.spawn(Rc::clone(&partition).watch_backlog(Rc::clone(&counted)));
            partition.spawn(Rc::clone(&partition).keep_time());
            partition.spawn(Rc::clone(&partition).sweep());
            partition.spawn(Rc::clone(&partition).flush_deferred());
            let (consumer, theirs) = (Arc::clone(&partition.wiring.replies), Rc::clone(&partition));
            partition.spawn(async move {
                counted.notified().await;
                consumer.run(theirs, replies).await;
            });
            Ok(())
        })
    }
}

impl Handler<Deliver> for Partition {
    type Result = ResponseFuture<Result<Applied, DeliverError>>;

    fn handle(&mut self, message: Deliver, _: &mut Self::Context) -> Self::Result {
        let partition = Rc::clone(&self.state);
        Box::pin(async move { partition.deliver(message).await })
    }
}

impl Handler<Start> for Partition {
    type Result = Starting;

    fn handle(&mut self, start: Start, _: &mut Self::Context) -> Starting {
        Starting { partition: Rc::clone(&self.state), start }
    }
}

impl Handler<RunToEnd> for Partition {
    type Result = Starting;

    fn handle(&mut self, RunToEnd(start): RunToEnd, _: &mut Self::Context) -> Starting {
        Starting { partition: Rc::clone(&self.state), start }
    }
}

impl Handler<AwaitEnd> for Partition {
    type Result = ResponseFuture<Result<Outcome, DeliverError>>;

    fn handle(&mut self, AwaitEnd { execution }: AwaitEnd, _: &mut Self::Context) -> Self::Result {
        let partition = Rc::clone(&self.state);
        // Registered before the look at the journal: an end in between is not missed.
        let (waiter, end) = oneshot::channel();
        partition.wait(execution, waiter);
        Box::pin(async move {
            if let Some(row) = partition.wiring.express.row(execution) {
                return match outcome(&row) {
                    Some(outcome) => Ok(outcome),
                    None => end.await.ok().and_then(Result::ok).ok_or(DeliverError::NoExecution(execution)),
                };
            }
            let state = load::state(&partition.services, execution).await?;
            if let Phase::Closed(outcome) = state.phase() {
                drop(end);
                partition.forget_waiters(execution);
                return Ok(outcome.clone());
            }
            end.await.map_err(|e| DeliverError::Internal(e.to_string()))?
        })
    }
}

impl Handler<Beat> for Partition {
    type Result = ();

    fn handle(&mut self, _: Beat, _: &mut Self::Context) {}
}

/// Waits for the end of work in progress. Work that cannot end is ended by a closed store or bus.
async fn drain(partition: Rc<PartitionState>) {
    partition.draining.set(true);
    while partition.registry.is_any_told() {
        tokio::time::sleep(DRAIN_LOOK).await;
    }
}

impl Handler<Drain> for Partition {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        Box::pin(drain(Rc::clone(&self.state)))
    }
}

impl Handler<Release> for Partition {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Release, _: &mut Self::Context) -> Self::Result {
        let partition = Rc::clone(&self.state);
        let drained = async move {
            drain(Rc::clone(&partition)).await;
            Arc::clone(&partition.wiring.effects).births_end(partition.id).await;
        };
        Box::pin(drained.into_actor(self).map(|(), partition, ctx| {
            partition.state.end();
            ctx.stop();
        }))
    }
}

impl Handler<Abandon> for Partition {
    type Result = ();

    fn handle(&mut self, _: Abandon, ctx: &mut Self::Context) {
        self.state.draining.set(true);
        self.state.end();
        ctx.stop();
    }
}
