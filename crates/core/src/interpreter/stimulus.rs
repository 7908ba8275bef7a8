//! Events from outside. A stimulus carries its time and its entropy: the core reads neither a clock nor a random
//! source.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ids::{EventId, TaskKey};
use crate::trace::SpanContext;

use super::event::{By, Failure, Payload, Started};

/// Something that happened outside, when, and the chance that decisions about it may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Stimulus {
    pub at: Timestamp,
    pub entropy: u64,
    pub kind: StimulusKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum StimulusKind {
    /// The execution begins. Only for a state without events.
    Start(Box<Started>),
    /// Go on: a decision was cut short by its bound, or a process died between two events.
    Continue,
    /// Time has come: everything that is due at or before `at` happens.
    Clock,
    /// The dispatch of a task was confirmed: the broker has it. `receipt` is AWS's output of the submission.
    /// `completes`: for this resource being published is the whole work, and the receipt its result.
    Dispatched {
        scheduled: EventId,
        receipt: Payload,
        completes: bool,
    },
    /// The task cannot be dispatched (unroutable, nacked, parameters that name no queue).
    DispatchFailed {
        scheduled: EventId,
        failure: Failure,
    },
    /// A worker took the task (activities).
    TaskStarted {
        scheduled: EventId,
        worker_name: Option<String>,
    },
    TaskSucceeded {
        scheduled: EventId,
        output: Payload,
        /// The answerer.
        by: Option<Box<By>>,
        /// The span in which the worker answered.
        link: Option<Box<SpanContext>>,
    },
    TaskFailed {
        scheduled: EventId,
        failure: Failure,
        /// The answerer.
        by: Option<Box<By>>,
        /// The span in which the worker answered.
        link: Option<Box<SpanContext>>,
    },
    /// A worker answered with more than a payload may hold. That ends a request (AWS: `States.DataLimitExceeded`); a
    /// callback stays open, and the sender is told of the refusal.
    TaskOverflowed {
        scheduled: EventId,
    },
    /// A worker answered with something that is no JSON. That ends a request with `failure`; a callback stays open, and
    /// the sender is told of the refusal.
    TaskUnreadable {
        scheduled: EventId,
        failure: Failure,
    },
    TaskHeartbeat {
        scheduled: EventId,
    },
    /// `StopExecution`.
    Stop(Failure),
    /// `RedriveExecution`, with the caller's `clientToken`. Its map runs have all ended.
    Redrive {
        token: Option<Arc<str>>,
    },
    /// The map run of this child goes on with those that had failed; `attempt` is the number of its redrive.
    RedriveByRun {
        attempt: u32,
    },
    /// A map run has ended; `started` is the event that began it.
    MapRunEnded {
        started: EventId,
        result: Result<Payload, Failure>,
    },
    /// A map run that was stopped has no open children left.
    MapRunStopped {
        started: EventId,
    },
    /// The child of a task that was left behind is over, or never came to be.
    ChildStopped {
        scheduled: EventId,
    },
    /// A task of another execution asked for the same start as this one's, and waits for its end.
    Follow {
        task: TaskKey,
    },
}

/// Why a stimulus changed nothing. A worker is told by the verdict of its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It has happened already by this very kind of message: a second reply, a second confirm, a redrive with the same
    /// client token.
    #[error("the task has already been completed")]
    Duplicate,
    /// The task timed out, was cancelled, or its execution has ended.
    #[error("the task is no longer open")]
    Late,
    /// The reply is too large, and its task stays open for a better one.
    #[error("the output is larger than a payload may be")]
    TooLarge,
    /// The reply is no JSON, and its task stays open for a better one.
    #[error("the output cannot be read")]
    Unreadable,
    /// There never was such a task.
    #[error("there is no such task")]
    Unknown,
    /// The execution is not in a state for this (redrive of a running or succeeded one, start of a started one).
    #[error("the execution is {0}")]
    NotApplicable(&'static str),
}
