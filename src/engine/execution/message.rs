//! Who hears what became of a message to an execution. The actor speaks to the ear itself, when what it decided is
//! durable: no task waits in between.

use std::rc::Rc;

use actix::Message;
use tokio::sync::oneshot;

use crate::ids::ExecutionId;

use crate::engine::delivery::replies::ReplyEar;
use crate::engine::partition::Local;
use crate::engine::partition::registry::Incarnation;
use crate::engine::types::{TellError, Told, What};

pub(in crate::engine) type Answer = oneshot::Sender<Result<Told, TellError>>;

/// Something for an actor.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(in crate::engine) struct Hear {
    pub what: What,
    pub ear: Ear,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most are replies, and an allocation for each is what this spares")]
pub(in crate::engine) enum Ear {
    Nobody,
    /// Waits for the answer. An actor that ends without one drops it.
    Asker(Answer),
    /// Of an execution's first message: those who wait for its end hear where it could not begin, and who started it
    /// hears in any case.
    Beginning(Option<Answer>),
    /// A worker's reply.
    Reply(ReplyEar),
}

impl Ear {
    /// `execution` and `incarnation`: who took the message.
    pub fn hear(
        self,
        local: &Rc<Local>,
        execution: ExecutionId,
        incarnation: Incarnation,
        result: Result<Told, TellError>,
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
            Self::Reply(ear) => return local.heard(incarnation, ear, result),
        };
        if let Some(answer) = answer {
            // Whoever asked may have gone.
            let _ = answer.send(result);
        }
    }
}
