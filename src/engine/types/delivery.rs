//! The words between actors.

use std::sync::Arc;

use actix::Message;

use super::error::DeliverError;
use super::request::Completion;
use crate::asl::model::Machine;
use crate::clock::Timestamp;
use crate::ids::{EventId, ExecutionId};
use crate::interpreter::event::{By, Started};
use crate::interpreter::state::Outcome;
use crate::interpreter::stimulus::{Rejection, StimulusKind};
use crate::store::{ExecutionHeader, ExecutionRow, GONE, StoreError};
use crate::telemetry::task_log::Face;
use crate::trace::SpanContext;

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
    /// A worker's answer, still in the worker's form: its meaning depends on the task's resource.
    Reply {
        scheduled: EventId,
        completion: Completion,
        face: Face,
        /// The answerer, where it is known.
        by: Option<Box<By>>,
        /// The span in which the worker answered.
        link: Option<Box<SpanContext>>,
    },
    /// The execution that a task waits for has ended: its row.
    ChildEnded { scheduled: EventId, child: Arc<ExecutionRow> },
    /// Write the broker's confirms that have come in.
    WriteConfirms,
}

impl Input {
    /// Where a reply came in, for the log.
    pub fn face(&self) -> Face {
        match self {
            Self::Reply { face, .. } => *face,
            Self::Stimulus(StimulusKind::TaskOverflowed { .. }) => Face::Amqp,
            Self::Stimulus(_) | Self::ChildEnded { .. } | Self::WriteConfirms => Face::Engine,
        }
    }
}

/// A stimulus was taken in, and the decision about it is durable.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::engine) struct Applied {
    /// When it was taken in.
    pub at: Timestamp,
}

/// The outcome of an input: one type for all deliveries to an execution.
#[derive(Debug, Clone)]
pub(in crate::engine) enum Delivered {
    /// Taken in, and durable.
    Applied(Applied),
    /// It changed nothing, and would change nothing if it came again.
    Refused(Rejection),
    /// There is no such execution.
    Gone(DeliverError),
    /// The execution's journal cannot be read. It is in quarantine, and all others go on.
    Unreadable(DeliverError),
    /// Not now: the store, the execution or its partition cannot take it.
    Later(DeliverError),
}

impl From<Result<Applied, DeliverError>> for Delivered {
    fn from(result: Result<Applied, DeliverError>) -> Self {
        match result {
            Ok(applied) => Self::Applied(applied),
            Err(DeliverError::Rejected(rejection)) => Self::Refused(rejection),
            // Of a journal whose batches are being replaced the next look finds all.
            Err(e @ DeliverError::Store(StoreError::NotFound { what: GONE, .. })) => Self::Later(e),
            Err(e @ (DeliverError::NoExecution(_) | DeliverError::Store(StoreError::NotFound { .. }))) => Self::Gone(e),
            Err(e) if e.is_corrupt() => Self::Unreadable(e),
            Err(e) => Self::Later(e),
        }
    }
}

impl Delivered {
    /// Nothing is left to do: it was taken in or refused, or nothing is there that could.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Applied(_) | Self::Refused(_) | Self::Gone(_))
    }

    pub fn into_result(self) -> Result<Applied, DeliverError> {
        match self {
            Self::Applied(applied) => Ok(applied),
            Self::Refused(rejection) => Err(rejection.into()),
            Self::Gone(e) | Self::Unreadable(e) | Self::Later(e) => Err(e),
        }
    }
}

/// A new execution. Its journal exists when this returns `Ok`; an express one has none, and runs.
#[derive(Debug, Message)]
#[rtype(result = "Result<Applied, DeliverError>")]
pub(in crate::engine) struct Start {
    pub header: ExecutionHeader,
    pub started: Box<Started>,
    pub machine: Arc<Machine>,
    /// A caller waits until it is durable.
    pub hurries: bool,
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
