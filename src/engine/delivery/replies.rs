//! Replies: from the partition's queue to the execution that waits for them, and back to the worker as a verdict.
//!
//! A delivery is acknowledged after its effect is durable, or after it was refused for good; where the store cannot
//! take it now it comes again. A refused reply goes to the parking queue with its reason.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::bus::Message as BusMessage;
use crate::bus::envelope::{self, DefectKind, Reply, ReplyDefect, ReplyOutcome, Tell, Verdict};
use crate::bus::{Delivery, Settlement};
use crate::engine::execution::express::Express;
use crate::engine::execution::host::Incarnation;
use crate::engine::execution::message::{Message, PendingReply, Responder};
use crate::engine::partition::{PartitionState, ReplyConsumer};
use crate::engine::services::Services;
use crate::engine::services::intake::Intake;
use crate::engine::types::{Completion, Deliver, Delivered, Input};
use crate::ids::{ExecutionId, TaskKey};
use crate::interpreter::event::{By, Failure};
use crate::interpreter::stimulus::{Rejection, StimulusKind};
use crate::telemetry::task_log::{self, Face};
use crate::token::TokenDefect;
use crate::trace::SpanContext;

use super::arn_of;
use super::lines::Lines;
use super::parking::{Parking, Why};
use super::tells;
use super::verdict::verdict;

/// A node that may take nothing in looks at its deliveries so often: each of up to a thousand for a partition would be
/// handed out again five times a second. Whether it may take something in again, it asks more often.
const FENCED_LOOK: Duration = Duration::from_secs(1);
const FENCED_PAUSE: Duration = Duration::from_millis(20);

/// The parts that the consumers of all partitions share.
#[derive(Clone)]
pub(in crate::engine) struct Replies {
    services: Arc<Services>,
    express: Arc<Express>,
    parking: Arc<Parking>,
}

impl Replies {
    pub fn new(services: Arc<Services>, express: Arc<Express>, parking: Arc<Parking>) -> Self {
        Self { services, express, parking }
    }
}

impl ReplyConsumer for Replies {
    fn run(&self, partition: Rc<PartitionState>, replies: BoxStream<'static, Delivery>) -> LocalBoxFuture<'static, ()> {
        let (unsettled, again) = mpsc::channel(crate::limits::UNHEARD_REPLIES);
        let consumer = Consumer { replies: self.clone(), partition, lines: Lines::default(), unsettled };
        Box::pin(consumer.run(replies, again))
    }

    fn settle(
        &self,
        partition: &Rc<PartitionState>,
        incarnation: Incarnation,
        reply: PendingReply,
        delivered: Delivered,
    ) {
        let key = reply.key;
        let Some(delivery) = reply.take() else { return };
        if let Delivered::Applied(_) = delivered {
            return self.accepted(delivery);
        }
        let (replies, partition) = (self.clone(), Rc::clone(partition));
        actix_rt::spawn(async move {
            if let Delivered::Refused(_) = delivered {
                partition.dismiss_closed(key.execution, incarnation).await;
            }
            replies.judged(delivery, key, delivered, &partition.intake).await;
        });
    }
}

impl Replies {
    /// The effect of the reply is durable.
    fn accepted(&self, delivery: Delivery) {
        self.services.metrics.reply(Verdict::Accepted.as_str());
        self.answer(&delivery, Verdict::Accepted, "");
        delivery.settle(Settlement::Ack);
    }

    /// The answerer, and its span.
    fn from(&self, message: &BusMessage) -> From {
        let link = match self.services.options.traces {
            Some(_) => envelope::traceparent(message).and_then(SpanContext::parse).map(Box::new),
            None => None,
        };
        (by_of(message), link)
    }

    /// The worker gets the verdict, where its reply has a `reply_to`.
    fn answer(&self, delivery: &Delivery, verdict: Verdict, detail: &str) {
        let properties = &delivery.message.properties;
        let (to, about) = (properties.reply_to.as_deref(), properties.correlation_id.as_deref());
        let answer = envelope::verdict(self.services.bus.names(), to, about, verdict, detail);
        if let Some((to, message)) = answer {
            self.services.publish_best_effort(to, message);
        }
    }

    /// A genuine reply has reached its execution, or could not.
    async fn judged(&self, delivery: Delivery, key: TaskKey, delivered: Delivered, intake: &Arc<Intake>) {
        match verdict(delivered) {
            Ok((Verdict::Accepted, _)) => self.accepted(delivery),
            // A redelivery whose first copy was taken in: its acknowledgement was lost with the connection or the
            // process.
            Ok((Verdict::Duplicate, _)) if delivery.redelivered => {
                self.services.metrics.reply(Verdict::Duplicate.as_str());
                delivery.settle(Settlement::Ack);
            }
            Ok((verdict, reason)) => self.refuse(delivery, Some(key), verdict, &reason, intake).await,
            Err(error) => {
                let partition = self.services.partition_of(key.execution);
                tracing::warn!(%partition, %error, "a reply could not be taken in now; it comes again");
                self.come_again(delivery);
            }
        }
    }

    /// It cannot be taken in now, and comes again. Where others may have the partition it goes back to the broker
    /// (unsettled), and so to its new owner; else it stays here.
    fn come_again(&self, delivery: Delivery) {
        if self.services.seat.gives_back(delivery.redelivered) {
            drop(delivery);
        } else {
            delivery.settle(Settlement::Requeue);
        }
    }

    /// Answered and logged once, then parked, however long that takes. `key`: where its token is genuine.
    async fn refuse(
        &self,
        delivery: Delivery,
        key: Option<TaskKey>,
        verdict: Verdict,
        reason: &str,
        intake: &Arc<Intake>,
    ) {
        // A further copy of a reply that waits for the parking queue: it was answered and logged with the first.
        let Some(delivery) = self.parking.join(delivery) else { return };
        self.services.metrics.reply(verdict.as_str());
        // A forged reply has been counted by the defect of its token.
        if verdict != Verdict::Forged {
            self.services.metrics.reply_refused(verdict.as_str());
        }
        let task = match key {
            Some(key) => arn_of(&self.services, &self.express, key.execution).await.map(|arn| (arn, key.scheduled)),
            None => None,
        };
        let token = envelope::token(&delivery.message);
        task_log::reply_refused(task.as_ref().map(|(arn, id)| (arn, *id)), token, Face::Amqp, verdict.as_str(), reason);
        self.answer(&delivery, verdict, reason);
        let why = Why { verdict: verdict.as_str().to_owned(), reason: reason.to_owned() };
        self.parking.park(delivery, why, intake);
    }
}

/// The replies of one partition.
struct Consumer {
    replies: Replies,
    partition: Rc<PartitionState>,
    lines: Lines,
    /// Where the deliveries go that an actor did not take.
    unsettled: mpsc::Sender<Delivery>,
}

impl Consumer {
    /// At most the prefetch of replies is under way at once. Most are for executions in memory and are handed to their
    /// actors; longer work gets a task of its own.
    async fn run(self, mut replies: BoxStream<'static, Delivery>, mut again: mpsc::Receiver<Delivery>) {
        let this = Rc::new(self);
        let (backlog, seat) = (&this.partition.backlog, &this.replies.services.seat);
        let is_fenced = || seat.is_fenced() && !this.partition.id.is_express();
        let mut looked: Option<Instant> = None;
        loop {
            // A node that gives back all looks at once, and waits for the next delivery.
            let is_shut = is_fenced() && !seat.gives_back(true);
            let rests = is_shut && looked.is_some_and(|at| at.elapsed() < FENCED_LOOK);
            tokio::select! {
                biased;
                // Before any reply that came in later.
                Some(delivery) = again.recv() => {
                    let execution = this.execution_of(&delivery);
                    this.spawn_receive(execution, delivery);
                }
                delivery = replies.next(), if !rests => {
                    let Some(delivery) = delivery else { return };
                    backlog.received();
                    if this.partition.is_draining() {
                        // Unsettled: it comes again after the next start.
                        delivery.settle(Settlement::Requeue);
                        return;
                    }
                    if is_fenced() {
                        this.replies.come_again(delivery);
                        continue;
                    }
                    if let Some((execution, delivery)) = this.pass_on(delivery) {
                        this.spawn_receive(execution, delivery);
                    }
                }
                () = backlog.asked(), if !rests => backlog.is_dry(),
                // Nothing more is there.
                () = std::future::ready(()), if is_shut && !rests => looked = Some(Instant::now()),
                () = tokio::time::sleep(FENCED_PAUSE), if rests => {}
            }
        }
    }

    /// The execution of a reply, by its token.
    fn execution_of(&self, delivery: &Delivery) -> Option<ExecutionId> {
        let token = envelope::token(&delivery.message)?;
        self.replies.services.tokens.verify(token).ok().map(|(key, _)| key.execution)
    }

    /// By a task of its own, behind those of the same execution that are under way so.
    fn spawn_receive(self: &Rc<Self>, execution: Option<ExecutionId>, delivery: Delivery) {
        let first = match execution {
            Some(execution) => self.lines.stand(execution, delivery),
            None => Some(delivery),
        };
        let Some(first) = first else { return };
        let (this, open_reply) = (Rc::clone(self), self.partition.backlog.begin());
        actix_rt::spawn(async move {
            let mut next = Some(first);
            while let Some(delivery) = next {
                this.receive(delivery).await;
                next = execution.and_then(|execution| this.lines.next(execution));
            }
            drop(open_reply);
        });
    }

    /// Hands a reply to its execution where that is in memory here and takes messages; else gives back the reply, and
    /// the execution that it is for.
    fn pass_on(&self, delivery: Delivery) -> Option<(Option<ExecutionId>, Delivery)> {
        let tokens = &self.replies.services.tokens;
        let verified = envelope::token(&delivery.message).and_then(|token| tokens.verify(token).ok());
        let Some((key, _)) = verified else { return Some((None, delivery)) };
        let here = delivery.unreadable().is_none()
            && self.replies.services.partition_of(key.execution) == self.partition.id
            && self.partition.is_awake(key.execution)
            && !self.lines.has(key.execution);
        let reply = if here { Reply::decode(&delivery.message).ok() } else { None };
        let Some(reply) = reply else { return Some((Some(key.execution), delivery)) };
        let from = self.replies.from(&delivery.message);
        let responder = Responder::Reply(PendingReply::new(key, delivery, self.unsettled.clone()));
        let message = Message { input: input_of(key, reply.outcome, from), responder };
        match self.partition.try_deliver(key.execution, message)?.responder {
            Responder::Reply(reply) => reply.take().map(|delivery| (Some(key.execution), delivery)),
            _ => None,
        }
    }

    async fn receive(&self, delivery: Delivery) {
        let Replies { services, parking, .. } = &self.replies;
        if Tell::is(&delivery.message) {
            return tells::take(services, &self.partition, delivery).await;
        }
        let intake = &self.partition.intake;
        let decoded = match delivery.unreadable() {
            // Nothing but its token can be trusted.
            Some(why) => Err(ReplyDefect::unreadable(&delivery.message, why)),
            None => Reply::decode(&delivery.message),
        };
        let token = match &decoded {
            Ok(reply) => Some(reply.token.as_str()),
            Err(defect) => defect.token.as_deref(),
        };
        let verified = token.map(|token| services.tokens.verify(token));
        match (decoded, verified) {
            (Ok(reply), Some(Ok((key, _)))) => {
                let from = self.replies.from(&delivery.message);
                let delivered = self.deliver(key, input_of(key, reply.outcome, from)).await;
                self.replies.judged(delivery, key, delivered, intake).await;
            }
            (Err(defect), Some(Ok((key, _)))) => self.unusable(delivery, key, &defect).await,
            (decoded, Some(Err(wrong))) => {
                let Some(delivery) = parking.join(delivery) else { return };
                services.metrics.reply_refused(wrong.as_str());
                // A message that could not be read has no token for that reason.
                let reason = match decoded {
                    Err(defect) if delivery.unreadable().is_some() => format!("{}; {}", defect.detail, forged(wrong)),
                    _ => forged(wrong),
                };
                self.replies.refuse(delivery, None, Verdict::Forged, &reason, intake).await;
            }
            (Err(defect), None) => {
                self.replies.refuse(delivery, None, Verdict::from(defect.kind), &defect.detail, intake).await;
            }
            // A reply has a token.
            (Ok(_), None) => {
                self.replies.refuse(delivery, None, Verdict::Unknown, "it holds no token", intake).await;
            }
        }
    }

    /// A genuine token, and an answer that cannot be used: more than a payload may hold, or no JSON. A request fails
    /// with it, since it has one answer; a callback's reply is refused, as the API refuses it, and its task stays open.
    async fn unusable(&self, delivery: Delivery, key: TaskKey, defect: &ReplyDefect) {
        let (replies, intake) = (&self.replies, &self.partition.intake);
        let verdict = Verdict::from(defect.kind);
        let input = match defect.kind {
            DefectKind::TooLarge => Input::Stimulus(StimulusKind::TaskOverflowed { scheduled: key.scheduled }),
            DefectKind::InvalidOutput | DefectKind::MissingToken => Input::Reply {
                scheduled: key.scheduled,
                completion: Completion::Unreadable { why: defect.detail.clone() },
                face: Face::Amqp,
                by: by_of(&delivery.message),
                link: None,
            },
        };
        match self.deliver(key, input).await {
            Delivered::Applied(_) => {
                replies.services.metrics.reply(verdict.as_str());
                replies.answer(&delivery, verdict, &defect.detail);
                delivery.settle(Settlement::Ack);
            }
            Delivered::Refused(Rejection::TooLarge | Rejection::Unreadable) => {
                replies.refuse(delivery, Some(key), verdict, &defect.detail, intake).await;
            }
            delivered => replies.judged(delivery, key, delivered, intake).await,
        }
    }

    /// To the execution, here or in another partition.
    async fn deliver(&self, key: TaskKey, input: Input) -> Delivered {
        let (execution, services) = (key.execution, &self.replies.services);
        if services.partition_of(execution) == self.partition.id {
            return self.partition.deliver(Deliver { execution, input }).await.into();
        }
        services.courier.deliver(execution, input).await
    }
}

/// The answerer, and its span.
type From = (Option<Box<By>>, Option<Box<SpanContext>>);

/// The broker's user that sent a reply. The broker refuses a message that names another one.
fn by_of(message: &BusMessage) -> Option<Box<By>> {
    message.properties.user_id.as_deref().map(|user| Box::new(By::Queue(user.into())))
}

fn input_of(key: TaskKey, outcome: ReplyOutcome, (by, link): From) -> Input {
    let completion = match outcome {
        ReplyOutcome::Success { output } => Completion::Success(output),
        ReplyOutcome::Heartbeat => Completion::Heartbeat,
        ReplyOutcome::Failure { error, cause } => Completion::Failure(Failure {
            error: (!error.is_empty()).then_some(error),
            cause: (!cause.is_empty()).then_some(cause),
            heartbeat: false,
        }),
    };
    Input::Reply { scheduled: key.scheduled, completion, face: Face::Amqp, by, link }
}

/// The defect of a token, and the source of tokens of this kind.
fn forged(wrong: TokenDefect) -> String {
    match wrong {
        TokenDefect::UnknownKey => format!(
            "{wrong}; or another engine sent the task: two on one virtual host take each other's replies \
             (docs/RELIABILITY.md)"
        ),
        TokenDefect::Malformed | TokenDefect::Forged => wrong.to_string(),
    }
}
