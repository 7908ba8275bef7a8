//! Replies: from the partition's queue to the execution that waits for them, and back to the worker as a verdict.
//!
//! A delivery is acknowledged after its effect is durable, or after it was refused for good; where the store cannot take it now it
//! comes again. A refused reply goes to the parking queue with its reason.

use std::rc::Rc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use crate::bus::envelope::{self, DefectKind, Reply, ReplyDefect, ReplyOutcome, Verdict};
use crate::bus::parked::{self, PARKING_QUEUE, Refusal};
use crate::bus::{Address, Delivery, Publication, Settlement};
use crate::ids::{PartitionId, TaskKey};
use crate::interpreter::event::Failure;
use crate::interpreter::stimulus::{Rejection, StimulusKind};
use crate::store::StoreError;
use crate::telemetry::task_log;

use super::Shared;
use super::handle::Completion;
use super::messages::{Tell, TellError, What};
use super::partition::Local;

/// Takes replies until the bus closes. At most the prefetch of them are under way at once.
pub(super) async fn run(local: Rc<Local>, mut replies: BoxStream<'static, Delivery>) {
    while let Some(delivery) = replies.next().await {
        if local.is_draining() {
            // Unsettled: it comes again after the next start.
            delivery.settle(Settlement::Requeue);
            break;
        }
        let local = Rc::clone(&local);
        actix_rt::spawn(async move { receive(&local, delivery).await });
    }
}

async fn receive(local: &Rc<Local>, delivery: Delivery) {
    let reply = match Reply::decode(&delivery.message) {
        Ok(reply) => reply,
        Err(defect) => {
            // What is wrong is told to the sender; the task itself stays open for a better reply.
            let verified = defect.token.as_deref().and_then(|t| local.shared.tokens.verify(t).ok());
            if let Some((key, partition)) = verified.filter(|_| defect.kind == DefectKind::TooLarge) {
                overflowed(local, delivery, key, partition, &defect).await;
                return;
            }
            let wrong = defect.token.as_deref().and_then(|t| local.shared.tokens.verify(t).err());
            if let Some(wrong) = wrong {
                local.shared.metrics.reply_refused(wrong.as_str());
            }
            let verdict = if wrong.is_some() { Verdict::Forged } else { Verdict::from(defect.kind) };
            let token = defect.token.clone();
            refuse(local, delivery, token.as_deref(), None, verdict, &defect.detail).await;
            return;
        }
    };
    let (key, partition) = match local.shared.tokens.verify(&reply.token) {
        Ok(found) => found,
        Err(defect) => {
            let token = reply.token.clone();
            local.shared.metrics.reply_refused(defect.as_str());
            refuse(local, delivery, Some(&token), None, Verdict::Forged, &defect.to_string()).await;
            return;
        }
    };
    let completion = match reply.outcome {
        ReplyOutcome::Success { output } => Completion::Success(output),
        ReplyOutcome::Heartbeat => Completion::Heartbeat,
        ReplyOutcome::Failure { error, cause } => Completion::Failure(Failure {
            error: (!error.is_empty()).then_some(error),
            cause: (!cause.is_empty()).then_some(cause),
            heartbeat: false,
        }),
    };
    let what = What::Reply { scheduled: key.scheduled, completion, face: "amqp" };
    match tell(local, partition, Tell { execution: key.execution, what }).await {
        Ok(()) => {
            local.shared.metrics.reply(Verdict::Accepted.as_str());
            if let Some((to, message)) =
                envelope::verdict(reply.reply_to.as_deref(), reply.correlation_id.as_deref(), Verdict::Accepted, "")
            {
                local.shared.publish_aside(to, message);
            }
            delivery.settle(Settlement::Ack);
        }
        Err(TellError::Rejected(rejection)) => {
            // A redelivery whose first copy was taken in: its acknowledgement was lost with the connection or the process.
            if delivery.redelivered && rejection == Rejection::Duplicate {
                local.shared.metrics.reply(Verdict::Duplicate.as_str());
                delivery.settle(Settlement::Ack);
                return;
            }
            refuse(local, delivery, Some(&reply.token), Some(key), verdict_of(rejection), &rejection.to_string()).await;
        }
        Err(e @ TellError::NoExecution(_)) => {
            refuse(local, delivery, Some(&reply.token), Some(key), Verdict::Unknown, &e.to_string()).await;
        }
        Err(TellError::Store(e @ StoreError::Corrupt { .. })) => {
            // Only this execution is affected; coming again would not mend it.
            refuse(local, delivery, Some(&reply.token), Some(key), Verdict::Unknown, &e.to_string()).await;
        }
        Err(TellError::Store(StoreError::NotFound { .. })) => {
            refuse(local, delivery, Some(&reply.token), Some(key), Verdict::Unknown, "there is no such execution").await;
        }
        Err(e) => {
            tracing::warn!(partition = %local.id, error = %e, "a reply could not be taken in now; it comes again");
            delivery.settle(Settlement::Requeue);
        }
    }
}

/// More than a payload may hold. A request fails with it; a callback's reply is refused, as the API refuses it, and its task stays open.
async fn overflowed(local: &Rc<Local>, delivery: Delivery, key: TaskKey, partition: PartitionId, defect: &ReplyDefect) {
    let what = What::Stimulus(StimulusKind::TaskOverflowed { scheduled: key.scheduled });
    let verdict = match tell(local, partition, Tell { execution: key.execution, what }).await {
        Ok(()) => {
            let verdict = Verdict::TooLarge;
            local.shared.metrics.reply(verdict.as_str());
            let (to, about) = (defect.reply_to.as_deref(), defect.correlation_id.as_deref());
            if let Some((to, message)) = envelope::verdict(to, about, verdict, &defect.detail) {
                local.shared.publish_aside(to, message);
            }
            delivery.settle(Settlement::Ack);
            return;
        }
        Err(TellError::Rejected(Rejection::TooLarge)) => Verdict::TooLarge,
        Err(TellError::Rejected(rejection)) => verdict_of(rejection),
        Err(TellError::NoExecution(_) | TellError::Store(StoreError::NotFound { .. } | StoreError::Corrupt { .. })) => Verdict::Unknown,
        Err(e) => {
            tracing::warn!(partition = %local.id, error = %e, "a reply could not be taken in now; it comes again");
            delivery.settle(Settlement::Requeue);
            return;
        }
    };
    refuse(local, delivery, defect.token.as_deref(), Some(key), verdict, &defect.detail).await;
}

/// To the execution, here or in the partition that the token names.
async fn tell(local: &Rc<Local>, partition: PartitionId, message: Tell) -> Result<(), TellError> {
    if partition == local.id {
        return local.tell(message).await.map(drop);
    }
    let Some(address) = local.shared.partition(partition) else { return Err(TellError::NoExecution(message.execution)) };
    match address.send(message).await {
        Ok(result) => result.map(drop),
        Err(e) => Err(TellError::Internal(e.to_string())),
    }
}

fn verdict_of(rejection: Rejection) -> Verdict {
    match rejection {
        Rejection::Duplicate => Verdict::Duplicate,
        Rejection::Late | Rejection::NotApplicable(_) => Verdict::Late,
        Rejection::Unknown => Verdict::Unknown,
        Rejection::TooLarge => Verdict::TooLarge,
    }
}

async fn refuse(local: &Rc<Local>, delivery: Delivery, token: Option<&str>, key: Option<TaskKey>, verdict: Verdict, reason: &str) {
    let shared = &local.shared;
    shared.metrics.reply(verdict.as_str());
    // A forged one has been counted by what is wrong with it.
    if verdict != Verdict::Forged {
        shared.metrics.reply_refused(verdict.as_str());
    }
    let arn = match key {
        Some(key) => shared.journal.execution(key.execution).await.ok().flatten().map(|row| (row.header.arn, key.scheduled)),
        None => None,
    };
    task_log::reply_refused(arn.as_ref().map(|(arn, id)| (arn, *id)), token, "amqp", verdict.as_str(), reason);
    let properties = &delivery.message.properties;
    if let Some((to, message)) = envelope::verdict(properties.reply_to.as_deref(), properties.correlation_id.as_deref(), verdict, reason) {
        shared.publish_aside(to, message);
    }
    let queue = shared.bus.reply_queue(local.id);
    park_and_settle(shared, delivery, verdict.as_str(), reason, &queue).await;
}

/// Parked before it is acknowledged: what was refused is never lost.
pub(super) async fn park_and_settle(shared: &Shared, delivery: Delivery, verdict: &str, reason: &str, from: &str) {
    let to = Address { exchange: String::new(), routing_key: PARKING_QUEUE.to_owned() };
    let id = uuid::Uuid::new_v4().simple().to_string();
    let refusal = Refusal { id: &id[..12], verdict, reason, at: shared.clock.now(), from };
    let parked = shared.bus.publish(to, parked::park(&delivery.message, &refusal)).await;
    let is_there = matches!(parked, Ok(Publication::Confirmed));
    delivery.settle(if is_there { Settlement::Ack } else { Settlement::Requeue });
}
