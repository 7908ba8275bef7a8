//! What the actors say to each other.

use std::sync::Arc;

use actix::Message;

use crate::asl::model::Machine;
use crate::clock::Timestamp;
use crate::ids::{EventId, ExecutionId};
use crate::interpreter::event::Started;
use crate::interpreter::state::Outcome;
use crate::interpreter::stimulus::{Rejection, StimulusKind};
use crate::store::{ExecutionHeader, StoreError};

use super::handle::Completion;

/// Something for one execution. To its partition, which finds or revives the actor and has it hear.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Told, TellError>")]
pub(super) struct Tell {
    pub execution: ExecutionId,
    pub what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
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

impl What {
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
pub(super) struct Told {
    /// When it was taken in.
    pub at: Timestamp,
}

/// Why a stimulus had no effect.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum TellError {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error("execution {0} does not exist")]
    NoExecution(ExecutionId),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too much at once.
    #[error("{0}")]
    Busy(String),
    #[error("{0}")]
    Internal(String),
}

impl TellError {
    /// The execution cannot be read: it is in quarantine, which has been logged.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Store(StoreError::Corrupt { .. }))
    }
}

/// A new execution. Its journal exists when this returns `Ok`; an express one has none, and runs.
#[derive(Debug, Message)]
#[rtype(result = "Result<Told, TellError>")]
pub(super) struct Start {
    pub header: ExecutionHeader,
    pub started: Box<Started>,
    pub machine: Arc<Machine>,
}

/// A new express execution; answers when it has ended.
#[derive(Debug, Message)]
#[rtype(result = "Result<Outcome, TellError>")]
pub(super) struct RunToEnd(pub Start);

/// Tell me when this execution has ended. Answers at once where it has.
#[derive(Debug, Message)]
#[rtype(result = "Result<Outcome, TellError>")]
pub(super) struct AwaitEnd {
    pub execution: ExecutionId,
}

/// To an execution that nothing has happened to for a while: may it leave memory?
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub(super) struct MayLeave {
    /// Only where it holds much.
    pub heavy_only: bool,
}

/// To a partition: begin (recover, consume replies, keep time). Sent once.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), TellError>")]
pub(super) struct Begin;

/// To a partition: are you there? Answered when its mailbox comes to it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Beat;

/// To a partition: take nothing new, let what is under way end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Drain;
