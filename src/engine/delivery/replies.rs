//! Replies: from the partition's queue to the execution that waits for them, and back to the worker as a verdict.
//!
//! A delivery is acknowledged after its effect is durable, or after it was refused for good; where the store cannot
//! take it now it comes again. A refused reply goes to the parking queue with its reason.

use std::rc::Rc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;

use crate::bus::envelope::{self, DefectKind, Reply, ReplyDefect, ReplyOutcome, Verdict};
use crate::bus::{Delivery, Settlement};
use crate::ids::{Arn, ExecutionId, PartitionId, TaskKey};
use crate::interpreter::event::Failure;
use crate::interpreter::stimulus::{Rejection, StimulusKind};
use crate::store::StoreError;
use crate::telemetry::task_log;
use crate::token::TokenDefect;

use crate::engine::delivery::parking::Why;
use crate::engine::execution::message::{Message, Responder};
use crate::engine::partition::PartitionState;
use crate::engine::partition::registry::Incarnation;
use crate::engine::services::Services;
use crate::engine::types::{Applied, Completion, Deliver, DeliverError, Input};

/// The delivery of a reply that an execution has been told of. An actor may end without having heard it: then the
/// delivery comes back here, and the execution is told by way of its journal.
#[derive(Debug)]
pub(in crate::engine) struct PendingReply {
    key: TaskKey,
    delivery: Option<Delivery>,
    unsettled: mpsc::Sender<Delivery>,
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            // Where there is no room, or nobody listens any more: what is dropped unsettled comes again.
            let _ = self.unsettled.try_send(delivery);
        }
    }
}

/// Takes replies until the bus closes. At most the prefetch of them are under way at once.
///
/// Most are for executions in memory and are handed to their actors; a task of its own is made for what takes longer.
pub(in crate::engine) async fn run(local: Rc<PartitionState>, mut replies: BoxStream<'static, Delivery>) {
    let (unsettled, mut again) = mpsc::channel(crate::limits::UNHEARD_REPLIES);
    loop {
        tokio::select! {
            biased;
            // Before any reply that came in later.
            Some(delivery) = again.recv() => {
                let execution = execution_of(&local, &delivery);
                spawn_receive(&local, execution, delivery);
            }
            delivery = replies.next() => {
                let Some(delivery) = delivery else { return };
                local.backlog.received();
                if local.is_draining() {
                    // Unsettled: it comes again after the next start.
                    delivery.settle(Settlement::Requeue);
                    return;
                }
                if let Some((execution, delivery)) = pass_on(&local, delivery, &unsettled) {
                    spawn_receive(&local, execution, delivery);
                }
            }
            () = local.backlog.asked() => local.backlog.is_dry(),
        }
    }
}

/// Whose reply it is, by its token.
fn execution_of(local: &PartitionState, delivery: &Delivery) -> Option<ExecutionId> {
    let token = envelope::token(&delivery.message)?;
    local.services.tokens.verify(token).ok().map(|(key, _)| key.execution)
}

/// By a task of its own, behind those of the same execution that are under way so.
fn spawn_receive(local: &Rc<PartitionState>, execution: Option<ExecutionId>, delivery: Delivery) {
    let first = match execution {
        Some(execution) => local.lines.stand(execution, delivery),
        None => Some(delivery),
    };
    let Some(first) = first else { return };
    let (local, under_way) = (Rc::clone(local), local.backlog.begin());
    actix_rt::spawn(async move {
        let mut next = Some(first);
        while let Some(delivery) = next {
            receive(&local, delivery).await;
            next = execution.and_then(|execution| local.lines.next(execution));
        }
        drop(under_way);
    });
}

/// Hands a reply to its execution where that is in memory here and takes messages; gives back what needs more than
/// that, and whose it is.
fn pass_on(
    local: &PartitionState,
    delivery: Delivery,
    unsettled: &mpsc::Sender<Delivery>,
) -> Option<(Option<ExecutionId>, Delivery)> {
    let verified = envelope::token(&delivery.message).and_then(|token| local.services.tokens.verify(token).ok());
    let Some((key, partition)) = verified else { return Some((None, delivery)) };
    let readable = delivery.unreadable().is_none();
    let here = readable && partition == local.id && local.is_awake(key.execution) && !local.lines.has(key.execution);
    let reply = if here { Reply::decode(&delivery.message).ok() } else { None };
    let Some(reply) = reply else { return Some((Some(key.execution), delivery)) };
    let responder = Responder::Reply(PendingReply { key, delivery: Some(delivery), unsettled: unsettled.clone() });
    match local.try_deliver(key.execution, Message { input: input_of(key, reply.outcome), responder }) {
        Some(Message { responder: Responder::Reply(mut responder), .. }) => {
            responder.delivery.take().map(|delivery| (Some(key.execution), delivery))
        }
        Some(_) | None => None,
    }
}

fn input_of(key: TaskKey, outcome: ReplyOutcome) -> Input {
    let completion = match outcome {
        ReplyOutcome::Success { output } => Completion::Success(output),
        ReplyOutcome::Heartbeat => Completion::Heartbeat,
        ReplyOutcome::Failure { error, cause } => Completion::Failure(Failure {
            error: (!error.is_empty()).then_some(error),
            cause: (!cause.is_empty()).then_some(cause),
            heartbeat: false,
        }),
    };
    Input::Reply { scheduled: key.scheduled, completion, face: "amqp" }
}

impl PartitionState {
    /// What became of a reply that was handed to an actor.
    pub(in crate::engine) fn settle(
        self: &Rc<Self>,
        incarnation: Incarnation,
        mut responder: PendingReply,
        result: Result<Applied, DeliverError>,
    ) {
        let key = responder.key;
        self.answered(key.execution, incarnation);
        let Some(delivery) = responder.delivery.take() else { return };
        match result {
            Ok(_) => accepted(self, delivery),
            Err(error) => {
                let local = Rc::clone(self);
                actix_rt::spawn(async move {
                    if matches!(error, DeliverError::Rejected(_)) {
                        local.dismiss_closed(key.execution, incarnation).await;
                    }
                    turned_down(&local, delivery, key, error).await;
                });
            }
        }
    }
}

async fn receive(local: &Rc<PartitionState>, delivery: Delivery) {
    let decoded = match delivery.unreadable() {
        // Nothing but its token can be trusted.
        Some(why) => Err(ReplyDefect::unreadable(&delivery.message, why)),
        None => Reply::decode(&delivery.message),
    };
    let token = match &decoded {
        Ok(reply) => Some(reply.token.as_str()),
        Err(defect) => defect.token.as_deref(),
    };
    let verified = token.map(|token| local.services.tokens.verify(token));
    match (decoded, verified) {
        (Ok(reply), Some(Ok((key, partition)))) => {
            let input = input_of(key, reply.outcome);
            match deliver(local, partition, Deliver { execution: key.execution, input }).await {
                Ok(()) => accepted(local, delivery),
                Err(error) => turned_down(local, delivery, key, error).await,
            }
        }
        (Err(defect), Some(Ok((key, partition)))) => unusable(local, delivery, key, partition, &defect).await,
        (decoded, Some(Err(wrong))) => {
            let Some(delivery) = local.services.parking.join(delivery) else { return };
            local.services.metrics.reply_refused(wrong.as_str());
            // A message that could not be read has no token for that reason.
            let reason = match decoded {
                Err(defect) if delivery.unreadable().is_some() => format!("{}; {}", defect.detail, forged(wrong)),
                _ => forged(wrong),
            };
            refuse(local, delivery, None, Verdict::Forged, &reason).await;
        }
        (Err(defect), None) => refuse(local, delivery, None, Verdict::from(defect.kind), &defect.detail).await,
        // A reply has a token.
        (Ok(_), None) => refuse(local, delivery, None, Verdict::Unknown, "it holds no token").await,
    }
}

/// What is wrong with a token, and where tokens of this kind come from.
fn forged(wrong: TokenDefect) -> String {
    match wrong {
        TokenDefect::UnknownKey => format!(
            "{wrong}; or another engine sent the task: two on one virtual host take each other's replies (docs/RELIABILITY.md)"
        ),
        TokenDefect::Malformed | TokenDefect::Forged => wrong.to_string(),
    }
}

/// The effect of the reply is durable.
fn accepted(local: &PartitionState, delivery: Delivery) {
    local.services.metrics.reply(Verdict::Accepted.as_str());
    tell_verdict(local, &delivery, Verdict::Accepted, "");
    delivery.settle(Settlement::Ack);
}

/// Its execution did not take the reply in.
async fn turned_down(local: &Rc<PartitionState>, delivery: Delivery, key: TaskKey, error: DeliverError) {
    let (verdict, reason) = match error {
        // A redelivery whose first copy was taken in: its acknowledgement was lost with the connection or the process.
        DeliverError::Rejected(Rejection::Duplicate) if delivery.redelivered => {
            local.services.metrics.reply(Verdict::Duplicate.as_str());
            delivery.settle(Settlement::Ack);
            return;
        }
        DeliverError::Rejected(rejection) => (verdict_of(rejection), rejection.to_string()),
        // One that cannot be read: only this execution is affected, and coming again would not mend it.
        DeliverError::NoExecution(_) | DeliverError::Store(StoreError::Corrupt { .. }) => {
            (Verdict::Unknown, error.to_string())
        }
        DeliverError::Store(StoreError::NotFound { .. }) => (Verdict::Unknown, "there is no such execution".to_owned()),
        error => {
            tracing::warn!(partition = %local.id, %error, "a reply could not be taken in now; it comes again");
            delivery.settle(Settlement::Requeue);
            return;
        }
    };
    refuse(local, delivery, Some(key), verdict, &reason).await;
}

/// A genuine token, and an answer that cannot be used: more than a payload may hold, or no JSON. A request fails with it,
/// since it has one answer; a callback's reply is refused, as the API refuses it, and its task stays open.
async fn unusable(
    local: &Rc<PartitionState>,
    delivery: Delivery,
    key: TaskKey,
    partition: PartitionId,
    defect: &ReplyDefect,
) {
    let verdict = Verdict::from(defect.kind);
    let input = match defect.kind {
        DefectKind::TooLarge => Input::Stimulus(StimulusKind::TaskOverflowed { scheduled: key.scheduled }),
        DefectKind::InvalidOutput | DefectKind::MissingToken => Input::Reply {
            scheduled: key.scheduled,
            completion: Completion::Unreadable { why: defect.detail.clone() },
            face: "amqp",
        },
    };
    match deliver(local, partition, Deliver { execution: key.execution, input }).await {
        Ok(()) => {
            local.services.metrics.reply(verdict.as_str());
            tell_verdict(local, &delivery, verdict, &defect.detail);
            delivery.settle(Settlement::Ack);
        }
        Err(DeliverError::Rejected(Rejection::TooLarge | Rejection::Unreadable)) => {
            refuse(local, delivery, Some(key), verdict, &defect.detail).await;
        }
        Err(error) => turned_down(local, delivery, key, error).await,
    }
}

fn tell_verdict(local: &PartitionState, delivery: &Delivery, verdict: Verdict, detail: &str) {
    let properties = &delivery.message.properties;
    let (to, about) = (properties.reply_to.as_deref(), properties.correlation_id.as_deref());
    let news = envelope::verdict(local.services.bus.names(), to, about, verdict, detail);
    if let Some((to, message)) = news {
        local.services.publish_best_effort(to, message);
    }
}

/// To the execution, here or in the partition that the token names.
async fn deliver(local: &Rc<PartitionState>, partition: PartitionId, message: Deliver) -> Result<(), DeliverError> {
    if partition == local.id {
        return local.deliver(message).await.map(drop);
    }
    let Some(address) = local.services.partition(partition) else {
        return Err(DeliverError::NoExecution(message.execution));
    };
    match address.send(message).await {
        Ok(result) => result.map(drop),
        Err(e) => Err(DeliverError::Internal(e.to_string())),
    }
}

fn verdict_of(rejection: Rejection) -> Verdict {
    match rejection {
        Rejection::Duplicate => Verdict::Duplicate,
        Rejection::Late | Rejection::NotApplicable(_) => Verdict::Late,
        Rejection::Unknown => Verdict::Unknown,
        Rejection::TooLarge => Verdict::TooLarge,
        Rejection::Unreadable => Verdict::InvalidOutput,
    }
}

/// Told and logged once, then parked, however long that takes. `key`: where its token is genuine.
async fn refuse(local: &Rc<PartitionState>, delivery: Delivery, key: Option<TaskKey>, verdict: Verdict, reason: &str) {
    let services = &local.services;
    // A further copy of a reply that waits for the parking queue: it was told and logged with the first.
    let Some(delivery) = services.parking.join(delivery) else { return };
    services.metrics.reply(verdict.as_str());
    // A forged one has been counted by what is wrong with it.
    if verdict != Verdict::Forged {
        services.metrics.reply_refused(verdict.as_str());
    }
    let task = match key {
        Some(key) => services.arn_of(key.execution).await.map(|arn| (arn, key.scheduled)),
        None => None,
    };
    let token = envelope::token(&delivery.message);
    task_log::reply_refused(task.as_ref().map(|(arn, id)| (arn, *id)), token, "amqp", verdict.as_str(), reason);
    tell_verdict(local, &delivery, verdict, reason);
    let why = Why { verdict: verdict.as_str().to_owned(), reason: reason.to_owned() };
    services.park(delivery, why, &local.intake);
}

impl Services {
    /// Of an execution that there is.
    pub(in crate::engine) async fn arn_of(&self, execution: ExecutionId) -> Option<Arn> {
        if let Some(row) = self.express.row(execution) {
            return Some(row.header.arn);
        }
        self.journal.execution(execution).await.ok().flatten().map(|row| row.header.arn)
    }
}
