//! Activities: one queue on the bus for each, which pollers of `GetActivityTask` and AMQP consumers share (decision
//! 0012).
//!
//! ```text
//! task scheduled ─► reveille.activity.<name> ─┬─► AMQP consumer: its answer to `reply_to` implies ActivityStarted
//!                                             └─► poller: ActivityStarted{workerName} durable ─► ack ─► token, input
//! ```
//! The broker hands each message to one of them. A poller that goes away before it has its answer gives the message
//! back, and it is offered again. Until the broker has the message the journal owes it, as it does for every other
//! task.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::asl::resource::{Resource, ResourceKind};
use crate::bus::envelope;
use crate::bus::{Delivery, Settlement};
use crate::engine::api::EngineHandle;
use crate::engine::delivery::parking::{Parking, Why};
use crate::engine::journal::load;
use crate::engine::services::intake::Intake;
use crate::engine::types::{ActivityTask, DeliverError, Delivered, EngineError, Input};
use crate::ids::{Arn, TaskKey};
use crate::interpreter::stimulus::{Rejection, StimulusKind};
use crate::store::StoreError;

impl EngineHandle {
    /// The next task of an activity, waiting up to `wait` for one. Dropped before its end: the task is offered again.
    pub async fn next_activity_task(
        &self,
        activity: &Arn,
        worker_name: Option<String>,
        wait: std::time::Duration,
    ) -> Result<Option<ActivityTask>, EngineError> {
        let until = Instant::now() + wait;
        let services = &self.inner.services;
        let activities = &services.activities;
        let Some(ResourceKind::Activity { name }) = Resource::parse(activity.as_str()).map(|r| r.kind) else {
            return Err(EngineError::ActivityDoesNotExist(activity.clone()));
        };
        let Ok(_place) = activities.pollers.try_acquire() else {
            return Err(EngineError::TooManyPollers);
        };
        let queue = services.bus.names().activity(&name);
        activities.declare(&*services.bus, &queue).await;
        // A task that waits already is taken by one request to the broker; only a poller that must wait becomes a
        // consumer.
        loop {
            match services.bus.get(&queue).await {
                Ok(Some(delivery)) => {
                    if let Some(task) = self.hand_out(&queue, delivery, worker_name.as_ref()).await? {
                        return Ok(Some(task));
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    activities.forget(&queue);
                    break;
                }
            }
        }
        // One message at a time: a message that this poller does not take is free for others when the stream ends.
        let mut deliveries = services.bus.consume(activities.spec(&*services.bus, &queue), 1);
        while let Ok(Some(delivery)) = timeout_at(until, deliveries.next()).await {
            if let Some(task) = self.hand_out(&queue, delivery, worker_name.as_ref()).await? {
                return Ok(Some(task));
            }
        }
        Ok(None)
    }

    /// The task of a message; `None` where the task is over, or the message names none.
    async fn hand_out(
        &self,
        queue: &str,
        delivery: Delivery,
        worker_name: Option<&String>,
    ) -> Result<Option<ActivityTask>, EngineError> {
        if let Some(why) = delivery.unreadable() {
            park(&self.inner.parking, queue, delivery, &why);
            return Ok(None);
        }
        let token = envelope::token(&delivery.message);
        let key = token.and_then(|token| self.inner.services.tokens.verify(token).ok()).map(|(key, _)| key);
        let (Some(key), Ok(input)) = (key, std::str::from_utf8(&delivery.message.body)) else {
            park(&self.inner.parking, queue, delivery, "it holds no task token of this engine");
            return Ok(None);
        };
        let task = ActivityTask { token: self.inner.services.token(&key), input: input.to_owned() };
        let taken = StimulusKind::TaskStarted { scheduled: key.scheduled, worker_name: worker_name.cloned() };
        let mine = match self.inner.services.courier.deliver(key.execution, Input::Stimulus(taken)).await {
            Delivered::Applied(_) => true,
            // A second copy of a task that was taken; or one whose poller was gone before it had its answer, and then
            // it is due to the next.
            Delivered::Refused(Rejection::Duplicate) => delivery.redelivered && self.is_open(key).await?,
            // Timed out or stopped while it waited in the queue.
            Delivered::Refused(_) | Delivered::Gone(_) => false,
            // Not acknowledged: it comes again.
            Delivered::Unreadable(e) | Delivered::Later(e) => return Err(e.into()),
        };
        delivery.settle(Settlement::Ack);
        Ok(mine.then_some(task))
    }

    async fn is_open(&self, key: TaskKey) -> Result<bool, EngineError> {
        match load::state(&self.inner.services, key.execution).await {
            Ok(state) => Ok(state.task(key.scheduled).is_ok()),
            // An express execution has no journal, and no promise either.
            Err(DeliverError::Store(StoreError::NotFound { .. })) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

/// A message that is no task of ours, in a queue of ours.
fn park(parking: &Arc<Parking>, queue: &str, delivery: Delivery, reason: &str) {
    // A further copy of a message that waits for the parking queue.
    let Some(delivery) = parking.join(delivery) else { return };
    tracing::warn!(event = "activity.refused", queue, reason, "a message in an activity's queue is no task: {reason}");
    // Pollers take one message each: none stands behind it.
    let why = Why { verdict: "unknown".to_owned(), reason: reason.to_owned() };
    parking.park(delivery, why, &Intake::of(queue.to_owned()));
}
