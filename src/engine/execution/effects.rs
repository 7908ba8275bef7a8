//! Effects of an execution on other executions, and on this service. The rooms above perform them.

use std::sync::Arc;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use serde_json::Value;

use crate::engine::types::{EngineError, MapRunChange, MapRunError, StartRequest, StartedExecution};
use crate::ids::{Arn, EventId, ExecutionId, PartitionId, TaskKey};
use crate::integrations::sfn::Call;
use crate::interpreter::event::{Failure, Started, TaskScheduled};
use crate::interpreter::state::{Outcome, State};
use crate::store::ExecutionStatus;

/// Executions that wait for executions.
pub(in crate::engine) trait Effects: Send + Sync {
    /// Starts the child of a task. The start is decided even where the parent's actor does not live to learn of it.
    /// `waits`: the task ends when the child ends. `depth`: so many executions started each other before the child.
    fn start_child(
        self: Arc<Self>,
        task: TaskKey,
        request: StartRequest,
        waits: bool,
        depth: u32,
    ) -> BoxFuture<'static, Result<StartedExecution, EngineError>>;

    /// A task that waits for this child was dispatched, perhaps again. A child that has ended meanwhile is reported.
    fn watch_child(self: Arc<Self>, child: Arn);

    /// Stops the child that a task left behind, and reports when it is over.
    fn stop_child(self: Arc<Self>, task: TaskKey, parent: Arc<Started>, details: Arc<TaskScheduled>);

    /// Runs a map run of an execution, unless it runs already.
    fn start_map_run(self: Arc<Self>, parent: ExecutionId, started: EventId, run: Arn);

    /// Ends a map run that its execution left behind, and reports when no child is open any more.
    fn stop_map_run(self: Arc<Self>, parent: ExecutionId, started: EventId, run: Arn);

    /// An execution has closed: its map run learns of it. `owes`: so must others, until they have taken it.
    fn ended(self: Arc<Self>, execution: ExecutionId, state: &State, owes: bool, outcome: &Outcome);

    /// A partition has ended here: its executions' map runs go on with its next owner.
    fn released(self: Arc<Self>, partition: PartitionId);

    /// The children that tasks of this partition's executions are starting have been started, or not.
    fn births_end(self: Arc<Self>, partition: PartitionId) -> BoxFuture<'static, ()>;

    /// Changes a map run whose execution's partition is here; in force and durable when it returns.
    fn change_map_run(self: Arc<Self>, run: Arn, change: MapRunChange) -> BoxFuture<'static, Result<(), MapRunError>>;

    /// A child of a map run has closed on another node.
    fn child_closed(&self, run: &Arn, child: ExecutionId, status: ExecutionStatus, attempt: u32);

    /// Brings the end of a closed execution to all that it concerns: map runs, children, the tasks that wait for it.
    fn settle_end(self: Arc<Self>, execution: ExecutionId);

    /// Returns when there is room for more ends to be settled.
    fn settles_more(self: Arc<Self>) -> BoxFuture<'static, ()>;
}

/// Why a call of the API has no answer.
#[derive(Debug)]
pub enum CallError {
    /// Nothing is wrong with it: it is made again as long as the task is open.
    Passing(String),
    Failed(Failure),
}

/// Tasks that call this service itself (`aws-sdk:sfn:*`).
pub(in crate::engine) trait Calls: Send + Sync {
    fn call(&self, call: Call) -> LocalBoxFuture<'static, Result<Value, CallError>>;
}
