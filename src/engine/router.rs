//! Replies: from the partition's queue to the execution that waits for them, and back to the worker as a verdict.
//!
//! A delivery is acknowledged after its effect is durable, or after it was refused for good; where the store cannot
//! take it now it comes again. A refused reply goes to the parking queue with its reason.

use std::rc::Rc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;

use crate::bus::envelope::{self, DefectKind, Reply, ReplyDefect, ReplyOutcome, Verdict};
use crate::bus::parked::{self, Refusal};
use crate::bus::{Address, Delivery, Publication, Settlement};
use crate::ids::{PartitionId, TaskKey};
use crate::interpreter::event::Failure;
use crate::interpreter::stimulus::{Rejection, StimulusKind};
use crate::store::StoreError;
use crate::telemetry::task_log;

use super::Shared;
use super::ear::{Ear, Hear};
use super::handle::Completion;
use super::messages::{Tell, TellError, Told, What};
use super::partition::Local;
use super::residents::Incarnation;

/// The delivery of a reply that an execution has been told of. An actor may end without having heard it: then the
/// delivery comes back here, and the execution is told by way of its journal.
#[derive(Debug)]
pub(super) struct ReplyEar {
    key: TaskKey,
    delivery: Option<Delivery>,
    unheard: mpsc::Sender<Delivery>,
}

impl Drop for ReplyEar {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            // Where there is no room, or nobody listens any more: what is dropped unsettled comes again.
            let _ = self.unheard.try_send(delivery);
        }
    }
}

/// Takes replies until the bus closes. At most the prefetch of them are under way at once.
///
/// Most are for executions in memory and are handed to their actors; a task of its own is made for what takes longer.
pub(super) async fn run(local: Rc<Local>, mut replies: BoxStream<'static, Delivery>) {
    let (unheard, mut again) = mpsc::channel(crate::limits::UNHEARD_REPLIES);
    let listener = Rc::clone(&local);
    actix_rt::spawn(async move {
        while let Some(delivery) = again.recv().await {
            spawn_receive(&listener, delivery);
        }
    });
    while let Some(delivery) = replies.next().await {
        if local.is_draining() {
            // Unsettled: it comes again after the next start.
            delivery.settle(Settlement::Requeue);
            break;
        }
        if let Some(delivery) = pass_on(&local, delivery, &unheard) {
            spawn_receive(&local, delivery);
        }
    }
}

fn spawn_receive(local: &Rc<Local>, delivery: Delivery) {
    let local = Rc::clone(local);
    actix_rt::spawn(async move { receive(&local, delivery).await });
}

/// Hands a reply to its execution where that is in memory here and takes messages; gives back what needs more than
/// that.
fn pass_on(local: &Local, delivery: Delivery, unheard: &mpsc::Sender<Delivery>) -> Option<Delivery> {
    if delivery.unreadable().is_some() {
        return Some(delivery);
    }
    let verified = envelope::token(&delivery.message).and_then(|token| local.shared.tokens.verify(token).ok());
    let here = verified.filter(|(key, partition)| *partition == local.id && local.is_awake(key.execution));
    let Some((key, reply)) = here.and_then(|(key, _)| Some((key, Reply::decode(&delivery.message).ok()?))) else {
        return Some(delivery);
    };
    let ear = Ear::Reply(ReplyEar { key, delivery: Some(delivery), unheard: unheard.clone() });
    match local.try_tell(key.execution, Hear { what: told_by_reply(key, reply.outcome), ear }) {
        Some(Hear { ear: Ear::Reply(mut ear), .. }) => ear.delivery.take(),
        Some(_) | None => None,
    }
}

fn told_by_reply(key: TaskKey, outcome: ReplyOutcome) -> What {
    let completion = match outcome {
        ReplyOutcome::Success { output } => Completion::Success(output),
        ReplyOutcome::Heartbeat => Completion::Heartbeat,
        ReplyOutcome::Failure { error, cause } => Completion::Failure(Failure {
            error: (!error.is_empty()).then_some(error),
            cause: (!cause.is_empty()).then_some(cause),
            heartbeat: false,
        }),
    };
    What::Reply { scheduled: key.scheduled, completion, face: "amqp" }
}

impl Local {
    /// What became of a reply that was handed to an actor.
    pub(super) fn heard(self: &Rc<Self>, incarnation: Incarnation, mut ear: ReplyEar, result: Result<Told, TellError>) {
        let key = ear.key;
        self.answered(key.execution, incarnation);
        let Some(delivery) = ear.delivery.take() else { return };
        match result {
            Ok(_) => accepted(self, delivery),
            Err(error) => {
                let local = Rc::clone(self);
                actix_rt::spawn(async move {
                    if matches!(error, TellError::Rejected(_)) {
                        local.dismiss_closed(key.execution, incarnation).await;
                    }
                    turned_down(&local, delivery, key, error).await;
                });
            }
        }
    }
}

async fn receive(local: &Rc<Local>, delivery: Delivery) {
    if let Some(why) = delivery.unreadable() {
        let token = envelope::token(&delivery.message).map(str::to_owned);
        let key = token.as_deref().and_then(|token| local.shared.tokens.verify(token).ok()).map(|(key, _)| key);
        refuse(local, delivery, token.as_deref(), key, Verdict::InvalidOutput, &why).await;
        return;
    }
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
            local.shared.metrics.reply_refused(defect.as_str());
            refuse(local, delivery, Some(&reply.token), None, Verdict::Forged, &defect.to_string()).await;
            return;
        }
    };
    match tell(local, partition, Tell { execution: key.execution, what: told_by_reply(key, reply.outcome) }).await {
        Ok(()) => accepted(local, delivery),
        Err(error) => turned_down(local, delivery, key, error).await,
    }
}

/// The effect of the reply is durable.
fn accepted(local: &Local, delivery: Delivery) {
    local.shared.metrics.reply(Verdict::Accepted.as_str());
    let properties = &delivery.message.properties;
    let (to, about) = (properties.reply_to.as_deref(), properties.correlation_id.as_deref());
    let verdict = envelope::verdict(local.shared.bus.names(), to, about, Verdict::Accepted, "");
    if let Some((to, message)) = verdict {
        local.shared.publish_aside(to, message);
    }
    delivery.settle(Settlement::Ack);
}

/// Its execution did not take the reply in.
async fn turned_down(local: &Rc<Local>, delivery: Delivery, key: TaskKey, error: TellError) {
    let (verdict, reason) = match error {
        // A redelivery whose first copy was taken in: its acknowledgement was lost with the connection or the process.
        TellError::Rejected(Rejection::Duplicate) if delivery.redelivered => {
            local.shared.metrics.reply(Verdict::Duplicate.as_str());
            delivery.settle(Settlement::Ack);
            return;
        }
        TellError::Rejected(rejection) => (verdict_of(rejection), rejection.to_string()),
        // One that cannot be read: only this execution is affected, and coming again would not mend it.
        TellError::NoExecution(_) | TellError::Store(StoreError::Corrupt { .. }) => {
            (Verdict::Unknown, error.to_string())
        }
        TellError::Store(StoreError::NotFound { .. }) => (Verdict::Unknown, "there is no such execution".to_owned()),
        error => {
            tracing::warn!(partition = %local.id, %error, "a reply could not be taken in now; it comes again");
            delivery.settle(Settlement::Requeue);
            return;
        }
    };
    let token = envelope::token(&delivery.message).map(str::to_owned);
    refuse(local, delivery, token.as_deref(), Some(key), verdict, &reason).await;
}

/// More than a payload may hold. A request fails with it; a callback's reply is refused, as the API refuses it, and its
/// task stays open.
async fn overflowed(local: &Rc<Local>, delivery: Delivery, key: TaskKey, partition: PartitionId, defect: &ReplyDefect) {
    let what = What::Stimulus(StimulusKind::TaskOverflowed { scheduled: key.scheduled });
    let verdict = match tell(local, partition, Tell { execution: key.execution, what }).await {
        Ok(()) => {
            let verdict = Verdict::TooLarge;
            local.shared.metrics.reply(verdict.as_str());
            let (to, about) = (defect.reply_to.as_deref(), defect.correlation_id.as_deref());
            if let Some((to, message)) = envelope::verdict(local.shared.bus.names(), to, about, verdict, &defect.detail)
            {
                local.shared.publish_aside(to, message);
            }
            delivery.settle(Settlement::Ack);
            return;
        }
        Err(TellError::Rejected(Rejection::TooLarge)) => Verdict::TooLarge,
        Err(TellError::Rejected(rejection)) => verdict_of(rejection),
        Err(TellError::NoExecution(_) | TellError::Store(StoreError::NotFound { .. } | StoreError::Corrupt { .. })) => {
            Verdict::Unknown
        }
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
    let Some(address) = local.shared.partition(partition) else {
        return Err(TellError::NoExecution(message.execution));
    };
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

async fn refuse(
    local: &Rc<Local>,
    delivery: Delivery,
    token: Option<&str>,
    key: Option<TaskKey>,
    verdict: Verdict,
    reason: &str,
) {
    let shared = &local.shared;
    shared.metrics.reply(verdict.as_str());
    // A forged one has been counted by what is wrong with it.
    if verdict != Verdict::Forged {
        shared.metrics.reply_refused(verdict.as_str());
    }
    let arn = match key {
        Some(key) => {
            shared.journal.execution(key.execution).await.ok().flatten().map(|row| (row.header.arn, key.scheduled))
        }
        None => None,
    };
    task_log::reply_refused(arn.as_ref().map(|(arn, id)| (arn, *id)), token, "amqp", verdict.as_str(), reason);
    let properties = &delivery.message.properties;
    let (to, about) = (properties.reply_to.as_deref(), properties.correlation_id.as_deref());
    if let Some((to, message)) = envelope::verdict(shared.bus.names(), to, about, verdict, reason) {
        shared.publish_aside(to, message);
    }
    park_and_settle(shared, delivery, verdict.as_str(), reason, &local.reply_queue).await;
}

/// Parked before it is acknowledged: what was refused is never lost.
pub(super) async fn park_and_settle(shared: &Shared, delivery: Delivery, verdict: &str, reason: &str, from: &str) {
    let to = Address { exchange: String::new(), routing_key: shared.bus.names().parked() };
    let id = uuid::Uuid::new_v4().simple().to_string();
    let refusal = Refusal { id: &id[..12], verdict, reason, at: shared.clock.now(), from };
    let parked = shared.bus.publish(to, parked::park(&delivery.message, &refusal)).await;
    let is_there = matches!(parked, Ok(Publication::Confirmed));
    delivery.settle(if is_there { Settlement::Ack } else { Settlement::Requeue });
}
