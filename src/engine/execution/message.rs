//! Who hears what became of a message to an execution. The actor speaks to the responder itself, when what it decided is
//! durable: no task waits in between.

use std::rc::Rc;

use tokio::sync::oneshot;

use crate::ids::ExecutionId;

use crate::engine::delivery::replies::PendingReply;
use crate::engine::partition::PartitionState;
use crate::engine::partition::registry::Incarnation;
use crate::engine::types::{Applied, DeliverError, Input};

pub(in crate::engine) type Answer = oneshot::Sender<Result<Applied, DeliverError>>;

/// Something for an actor.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(in crate::engine) struct Message {
    pub input: Input,
    pub responder: Responder,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most are replies, and an allocation for each is what this spares")]
pub(in crate::engine) enum Responder {
    Nobody,
    /// Waits for the answer. An actor that ends without one drops it.
    Asker(Answer),
    /// Of an execution's first message: those who wait for its end hear where it could not begin, and who started it
    /// hears in any case.
    Beginning(Option<Answer>),
    /// A worker's reply.
    Reply(PendingReply),
}

impl Responder {
    /// `execution` and `incarnation`: who took the message.
    pub fn respond(
        self,
        local: &Rc<PartitionState>,
        execution: ExecutionId,
        incarnation: Incarnation,
        result: Result<Applied, DeliverError>,
    ) {
        let answer = match self {
            Self::Nobody => None,
            Self::Asker(answer) => Some(answer),
            Self::Beginning(answer) => {
                if let Err(error) = &result {
                    local.not_begun(execution, incarnation, error);
                }
                answer
            }
            Self::Reply(responder) => return local.settle(incarnation, responder, result),
        };
        if let Some(answer) = answer {
            // Whoever asked may have gone.
            let _ = answer.send(result);
        }
    }
}
