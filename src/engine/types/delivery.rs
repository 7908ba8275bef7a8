//! What the actors say to each other.

use std::sync::Arc;

use actix::Message;

use crate::asl::model::Machine;
use crate::clock::Timestamp;
use crate::engine::types::{Completion, DeliverError};
use crate::ids::{EventId, ExecutionId};
use crate::interpreter::event::Started;
use crate::interpreter::state::Outcome;
use crate::interpreter::stimulus::StimulusKind;
use crate::store::ExecutionHeader;

/// Something for one execution. To its partition, which finds or revives the actor and has it hear.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Applied, DeliverError>")]
pub(in crate::engine) struct Deliver {
    pub execution: ExecutionId,
    pub input: Input,
}

#[derive(Debug, Clone)]
pub(in crate::engine) enum Input {
    /// As the core takes it.
    Stimulus(StimulusKind),
    /// A worker's word, still in the worker's form: what it means depends on the task's resource.
    Reply {
        scheduled: EventId,
        completion: Completion,
        /// `amqp` or `api`.
        face: &'static str,
    },
    /// Write down what was confirmed meanwhile.
    Flush,
}

impl Input {
    /// Where a reply came in, for the log.
    pub fn face(&self) -> &'static str {
        match self {
            Self::Reply { face, .. } => face,
            Self::Stimulus(StimulusKind::TaskOverflowed { .. }) => "amqp",
            Self::Stimulus(_) | Self::Flush => "engine",
        }
    }
}

/// A stimulus was taken in, and what it led to is durable.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::engine) struct Applied {
    /// When it was taken in.
    pub at: Timestamp,
}

/// A new execution. Its journal exists when this returns `Ok`; an express one has none, and runs.
#[derive(Debug, Message)]
#[rtype(result = "Result<Applied, DeliverError>")]
pub(in crate::engine) struct Start {
    pub header: ExecutionHeader,
    pub started: Box<Started>,
    pub machine: Arc<Machine>,
}

/// A new express execution; answers when it has ended.
#[derive(Debug, Message)]
#[rtype(result = "Result<Outcome, DeliverError>")]
pub(in crate::engine) struct RunToEnd(pub Start);

/// Tell me when this execution has ended. Answers at once where it has.
#[derive(Debug, Message)]
#[rtype(result = "Result<Outcome, DeliverError>")]
pub(in crate::engine) struct AwaitEnd {
    pub execution: ExecutionId,
}
