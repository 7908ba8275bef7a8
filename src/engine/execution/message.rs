//! A message to an execution, and the receiver of its outcome. The actor itself answers when its decision is durable:
//! no task waits in between.

use std::rc::Rc;

use tokio::sync::{mpsc, oneshot};

use crate::bus::Delivery;
use crate::engine::types::{Applied, DeliverError, Input};
use crate::ids::{ExecutionId, TaskKey};

use super::host::{Host, Incarnation};

pub(in crate::engine) type Answer = oneshot::Sender<Result<Applied, DeliverError>>;

/// An input for an actor.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(in crate::engine) struct Message {
    pub input: Input,
    pub responder: Responder,
}

/// To an execution that nothing has happened to for a while: may it leave memory?
#[derive(Debug, actix::Message)]
#[rtype(result = "bool")]
pub(in crate::engine) struct CanPassivate {
    /// Only where it holds much.
    pub heavy_only: bool,
}

/// To an actor that was revived to refuse something: is the execution over?
#[derive(Debug, actix::Message)]
#[rtype(result = "bool")]
pub(in crate::engine) struct IsClosed;

/// Where the outcome goes.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most are replies, and an allocation for each is what this spares")]
pub(in crate::engine) enum Responder {
    Nobody,
    /// Waits for the answer. An actor that ends without one drops it.
    Caller(Answer),
    /// Of an execution's first message: those that wait for its end learn where it could not begin, and its starter
    /// gets an answer in any case.
    Beginning(Option<Answer>),
    /// A worker's reply.
    Reply(PendingReply),
}

/// The delivery of a reply that was handed to an execution. An actor may end without having taken it: then the delivery
/// goes back, and reaches the execution by way of its journal.
#[derive(Debug)]
pub(in crate::engine) struct PendingReply {
    pub key: TaskKey,
    delivery: Option<Delivery>,
    unsettled: mpsc::Sender<Delivery>,
}

impl PendingReply {
    pub fn new(key: TaskKey, delivery: Delivery, unsettled: mpsc::Sender<Delivery>) -> Self {
        Self { key, delivery: Some(delivery), unsettled }
    }

    /// The delivery, to be settled.
    pub fn take(mut self) -> Option<Delivery> {
        self.delivery.take()
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            // Where there is no room, or no receiver any more: a delivery that is dropped unsettled comes again.
            let _ = self.unsettled.try_send(delivery);
        }
    }
}

impl Responder {
    /// `execution` and `incarnation`: the actor that took the message.
    pub fn respond(
        self,
        host: &Rc<dyn Host>,
        execution: ExecutionId,
        incarnation: Incarnation,
        result: Result<Applied, DeliverError>,
    ) {
        let answer = match self {
            Self::Nobody => None,
            Self::Caller(answer) => Some(answer),
            Self::Beginning(answer) => {
                if let Err(error) = &result {
                    host.not_begun(execution, incarnation, error);
                }
                answer
            }
            Self::Reply(reply) => return Rc::clone(host).settle(incarnation, reply, result),
        };
        if let Some(answer) = answer {
            // The caller may have gone.
            let _ = answer.send(result);
        }
    }
}
