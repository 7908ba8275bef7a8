//! The requests that executions make of this room.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::engine::execution::effects::Effects;
use crate::engine::types::{EngineError, MapRunChange, MapRunError, StartRequest, StartedExecution};
use crate::ids::{Arn, EventId, ExecutionId, PartitionId, TaskKey};
use crate::interpreter::event::{Started, TaskScheduled};
use crate::interpreter::state::{Outcome, State};
use crate::store::ExecutionStatus;

use super::map_run::runs::child_status;
use super::settling::SETTLING_AFTER_START;
use super::{Coordinator, map_run};

impl Effects for Coordinator {
    fn start_child(
        self: Arc<Self>,
        task: TaskKey,
        request: StartRequest,
        waits: bool,
        depth: u32,
    ) -> BoxFuture<'static, Result<StartedExecution, EngineError>> {
        Box::pin(self.start_task_child(task, request, waits, depth))
    }

    fn watch_child(self: Arc<Self>, child: Arn) {
        self.settle_if_ended(child);
    }

    fn stop_child(self: Arc<Self>, task: TaskKey, parent: Arc<Started>, details: Arc<TaskScheduled>) {
        self.stop_left_child(task, parent, details);
    }

    fn start_map_run(self: Arc<Self>, parent: ExecutionId, started: EventId, run: Arn) {
        map_run::start(self, parent, started, run);
    }

    fn stop_map_run(self: Arc<Self>, parent: ExecutionId, started: EventId, run: Arn) {
        map_run::stop(self, parent, started, run);
    }

    fn ended(self: Arc<Self>, execution: ExecutionId, state: &State, owes: bool, outcome: &Outcome) {
        if let Some(run) = state.started().and_then(|s| s.map_run.as_ref()) {
            self.child_of_run_closed(run, execution, state.attempt(), outcome);
        }
        if owes {
            self.settle_end(execution);
        }
    }

    fn released(self: Arc<Self>, partition: PartitionId) {
        self.map_runs.end_where(|parent| self.services.partition_of(parent) == partition);
    }

    fn births_end(self: Arc<Self>, partition: PartitionId) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.pending_starts.none_where(|task| self.services.partition_of(task.execution) == partition).await;
        })
    }

    fn change_map_run(self: Arc<Self>, run: Arn, change: MapRunChange) -> BoxFuture<'static, Result<(), MapRunError>> {
        Box::pin(async move { self.change_map_run_here(&run, change).await })
    }

    fn child_closed(&self, run: &Arn, child: ExecutionId, status: ExecutionStatus, attempt: u32) {
        self.map_runs.child_closed(run, child, child_status(status), attempt);
    }

    fn settle_end(self: Arc<Self>, execution: ExecutionId) {
        self.begin_settling(execution);
    }

    fn settles_more(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.settling.fewer_than(SETTLING_AFTER_START).await })
    }
}
