//! Why something was not done.

use std::time::Duration;

use crate::ids::{Arn, ExecutionId, PartitionId};
use crate::interpreter::Undecided;
use crate::interpreter::forking::NoFork;
use crate::interpreter::state::Misfit;
use crate::interpreter::stimulus::Rejection;
use crate::store::{MachineType, StoreError};

/// How long after a failure of the store the same is tried again.
pub(in crate::engine) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Reasons why the engine refused a request. Each face has words of its own for them (the API: AWS's error types).
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    #[error("State Machine Does Not Exist: '{0}'")]
    MachineDoesNotExist(Arn),
    /// `DELETING`.
    #[error("State machine is being deleted: '{0}'")]
    MachineDeleting(Arn),
    #[error("Execution Does Not Exist: '{0}'")]
    ExecutionDoesNotExist(Arn),
    #[error("Execution Already Exists: '{0}'")]
    ExecutionAlreadyExists(Arn),
    #[error("Execution is not redrivable: '{arn}' {why}")]
    NotRedrivable { arn: Arn, why: String },
    #[error("Execution cannot be forked: '{arn}' {why}")]
    NotForkable { arn: Arn, why: NoFork },
    #[error("Activity Does Not Exist: '{0}'")]
    ActivityDoesNotExist(Arn),
    /// The operation does not go with the machine's type (`StartSyncExecution` of a standard one).
    #[error("This operation is not supported by this type of state machine")]
    TypeNotSupported { machine: Arn, kind: MachineType },
    /// As many pollers wait for activity tasks as may (`ActivityWorkerLimitExceeded`).
    #[error("The maximum number of workers concurrently polling for activity tasks has been reached.")]
    TooManyPollers,
    /// The task of a test would wait until its end.
    #[error(
        "No worker consumes the queue '{queue}', so nothing would answer this task; start its worker, or give the test \
         a mock"
    )]
    Unserved { queue: String },
    /// As many executions as may be are open, or have started each other (`ExecutionLimitExceeded`).
    #[error("{0}")]
    LimitReached(String),
    /// Too much at once: come back later (`ThrottlingException`).
    #[error("{0}")]
    Busy(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Ours, not the caller's.
    #[error("internal error: {0}")]
    Internal(String),
}

impl EngineError {
    /// It may go well when tried again: the store or the engine cannot now.
    pub(in crate::engine) fn is_passing(&self) -> bool {
        match self {
            Self::Busy(_) | Self::Internal(_) => true,
            Self::Store(e) => {
                matches!(e, StoreError::Unavailable(_) | StoreError::VersionConflict { .. } | StoreError::Fenced { .. })
            }
            _ => false,
        }
    }

    /// AWS's code of a failed start, as `states:startExecution` shows it.
    pub(in crate::engine) fn aws_code(&self) -> &'static str {
        match self {
            Self::MachineDoesNotExist(_) => "StateMachineDoesNotExist",
            Self::MachineDeleting(_) => "StateMachineDeleting",
            Self::ExecutionAlreadyExists(_) => "ExecutionAlreadyExists",
            Self::TypeNotSupported { .. } => "StateMachineTypeNotSupported",
            Self::LimitReached(_) => "ExecutionLimitExceeded",
            Self::Busy(_) => "ThrottlingException",
            _ => "InternalServerError",
        }
    }
}

/// Why a completion by token was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CompletionError {
    /// Not one of our tokens, or its signature is wrong: `InvalidToken`.
    #[error("Invalid Token: 'Invalid token'")]
    InvalidToken,
    /// Timed out, cancelled, already completed, or its execution has ended: `TaskTimedOut`.
    #[error("Task Timed Out: 'Provided task does not exist anymore'")]
    Closed,
    /// A good token for a task that is not there: `TaskDoesNotExist`.
    #[error("Task does not exist")]
    Unknown,
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why a stimulus had no effect.
#[derive(Debug, Clone, thiserror::Error)]
pub(in crate::engine) enum DeliverError {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error("execution {0} does not exist")]
    NoExecution(ExecutionId),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The decision does not fit its own journal: a fault of ours. The actor is dropped, the journal is as before.
    #[error("a decision cannot be written: {0}")]
    Misfit(#[from] Misfit),
    /// Too much at once.
    #[error("{0}")]
    Busy(String),
    #[error("{0}")]
    Internal(String),
    /// Its partition is not in this process now.
    #[error("partition {0} is not here: another node has it, or it is on its way; try again")]
    NotHere(PartitionId),
    /// None is in this process now, so nothing can begin here.
    #[error("this server owns no partition now: it has joined the others lately, or leaves them; try again")]
    NoPartition,
    /// Its partition has ended.
    #[error("the engine is stopping")]
    Closed,
}

impl DeliverError {
    /// Another node has the partition now, or will have it.
    pub fn is_handover(&self) -> bool {
        matches!(self, Self::Closed | Self::NotHere(_) | Self::Store(StoreError::Fenced { .. }))
    }

    /// The execution cannot go on: it is in quarantine, which has been logged.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Store(StoreError::Corrupt { .. }) | Self::Misfit(_))
    }
}

impl From<Undecided> for DeliverError {
    fn from(e: Undecided) -> Self {
        match e {
            Undecided::Rejected(rejection) => Self::Rejected(rejection),
            Undecided::Misfit(misfit) => Self::Misfit(misfit),
        }
    }
}

impl From<DeliverError> for EngineError {
    fn from(e: DeliverError) -> Self {
        match e {
            DeliverError::Store(e) => Self::Store(e),
            DeliverError::Busy(why) => Self::Busy(why),
            e @ (DeliverError::NotHere(_) | DeliverError::NoPartition) => Self::Busy(e.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

/// Why a map run was not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MapRunError {
    #[error("Map Run Does Not Exist: '{0}'")]
    DoesNotExist(Arn),
    #[error("A Map Run that has ended cannot be updated")]
    Ended(Arn),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<StoreError> for MapRunError {
    fn from(e: StoreError) -> Self {
        Self::Engine(EngineError::Store(e))
    }
}
