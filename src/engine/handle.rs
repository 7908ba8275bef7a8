//! What faces may ask of the engine.

use std::sync::Arc;

use crate::clock::{Clock, Timestamp};
use crate::ids::{Arn, EventId, Realm};
use crate::interpreter::event::{Entry, Failure};
use crate::store::{Catalog, ExecutionRow, Journal, MachineType, StoreError};

/// Why the engine did not do what was asked. Faces turn each into their own words (the API: AWS's error types).
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
    #[error("Activity Does Not Exist: '{0}'")]
    ActivityDoesNotExist(Arn),
    /// The operation does not go with the machine's type (`StartSyncExecution` of a standard one).
    #[error("This operation is not supported by this type of state machine")]
    TypeNotSupported { machine: Arn, kind: MachineType },
    /// Too much at once: come back later (`ThrottlingException`).
    #[error("{0}")]
    Busy(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Ours, not the caller's.
    #[error("internal error: {0}")]
    Internal(String),
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

/// What a worker says about its task. Sizes and JSON have been checked by the face.
#[derive(Debug, Clone, PartialEq)]
pub enum Completion {
    Success(Arc<serde_json::Value>),
    Failure(Failure),
    Heartbeat,
}

/// `StartExecution`, checked by the face: name and input are well-formed.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// State machine ARN, or that of a version or an alias.
    pub machine: Arn,
    /// Absent: a UUID.
    pub name: Option<String>,
    /// JSON text.
    pub input: String,
    pub trace_header: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StartedExecution {
    pub arn: Arn,
    pub started: Timestamp,
}

/// The end of an express execution that was started synchronously.
#[derive(Debug, Clone)]
pub struct SyncOutcome {
    pub row: ExecutionRow,
}

/// A page of a history: visible events only.
#[derive(Debug, Clone, Default)]
pub struct HistoryQuery {
    pub reverse: bool,
    /// Begin after this event (before it, in reverse).
    pub after: Option<EventId>,
    pub limit: usize,
}

#[derive(Debug, Clone)]
pub struct HistoryPage {
    pub entries: Vec<Entry>,
    /// There are more after the last of `entries`.
    pub more: bool,
}

/// A task that waits for the outside.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct WaitingTask {
    pub execution: Arn,
    pub state: String,
    pub resource: String,
    /// The token itself: shown to who may complete tasks, never logged.
    pub token: String,
    pub scheduled: EventId,
    pub since: Timestamp,
    /// When the next of timeout and heartbeat is due.
    pub due: Option<Timestamp>,
    /// The broker has the task message.
    pub submitted: bool,
    /// Queue or routing key that the message went to.
    pub destination: String,
    pub attempt: u32,
    pub last_heartbeat: Option<Timestamp>,
}

/// A task handed out by `GetActivityTask`.
#[derive(Debug, Clone)]
pub struct ActivityTask {
    pub token: String,
    pub input: String,
}

/// The engine, as faces see it. Cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    pub(super) inner: Arc<super::Shared>,
}

impl EngineHandle {
    /// Region and account of all ARNs.
    pub fn realm(&self) -> &Realm {
        todo!()
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        todo!()
    }

    pub fn catalog(&self) -> &Arc<dyn Catalog> {
        todo!()
    }

    /// For reading only: rows and listings. Everything that changes an execution goes through the engine.
    pub fn journal(&self) -> &Arc<dyn Journal> {
        todo!()
    }

    /// Starts an execution; durable when it returns. Same name and input as a running one: that one (standard).
    pub async fn start_execution(&self, request: StartRequest) -> Result<StartedExecution, EngineError> {
        let _ = request;
        todo!()
    }

    /// Starts an express execution and waits for its end (at most 5 minutes).
    pub async fn start_sync_execution(&self, request: StartRequest) -> Result<SyncOutcome, EngineError> {
        let _ = request;
        todo!()
    }

    /// Stops a running execution; returns when it stopped. A closed one: its stop date, nothing changes.
    pub async fn stop_execution(&self, arn: &Arn, failure: Failure) -> Result<Timestamp, EngineError> {
        let _ = (arn, failure);
        todo!()
    }

    /// Runs a failed, aborted or timed-out execution on from where it failed; returns when.
    pub async fn redrive_execution(&self, arn: &Arn) -> Result<Timestamp, EngineError> {
        let _ = arn;
        todo!()
    }

    /// The execution with its status, standard or (while remembered) express.
    pub async fn execution(&self, arn: &Arn) -> Result<ExecutionRow, EngineError> {
        let _ = arn;
        todo!()
    }

    pub async fn history(&self, arn: &Arn, query: HistoryQuery) -> Result<HistoryPage, EngineError> {
        let _ = (arn, query);
        todo!()
    }

    /// `SendTaskSuccess`, `SendTaskFailure`, `SendTaskHeartbeat`: its effect is durable when it returns `Ok`.
    pub async fn complete_task(&self, token: &str, completion: Completion) -> Result<(), CompletionError> {
        let _ = (token, completion);
        todo!()
    }

    /// The next task of an activity, waiting up to `wait` for one.
    pub async fn next_activity_task(
        &self,
        activity: &Arn,
        worker_name: Option<String>,
        wait: std::time::Duration,
    ) -> Result<Option<ActivityTask>, EngineError> {
        let _ = (activity, worker_name, wait);
        todo!()
    }

    /// Tasks that wait for the outside, of one execution or of all (at most `limit`, longest waiting executions first).
    pub async fn waiting_tasks(&self, execution: Option<&Arn>, limit: usize) -> Result<Vec<WaitingTask>, EngineError> {
        let _ = (execution, limit);
        todo!()
    }

    /// Is everything that the engine needs reachable? Names what is not.
    pub async fn ready(&self) -> Result<(), Vec<String>> {
        todo!()
    }

    /// Metrics in Prometheus' text form.
    pub fn metrics(&self) -> String {
        todo!()
    }
}
