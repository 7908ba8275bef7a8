//! Children of tasks: started, followed, stopped.
//!
//! A task whose start meets an execution of the same name and input that runs already waits for that one: it follows
//! it, and the execution's journal says so. The other way round, a task that ends without its child (timeout, stop,
//! failed sibling) has it stopped: that is owed in the parent's state while the parent runs, and by its row after its
//! end.

use std::sync::Arc;

use crate::asl::resource::Resource;
use crate::clock::Timestamp;
use crate::engine::journal::load;
use crate::engine::services::RETRY_AFTER;
use crate::engine::services::task_identity::message_id;
use crate::engine::starting::{self, Origin, StartOutcome};
use crate::engine::types::{DeliverError, Delivered, EngineError, Input, StartRequest, StartedExecution};
use crate::ids::{Arn, ExecutionId, TaskKey};
use crate::integrations::{self, Plan, PlanContext};
use crate::interpreter::event::{Failure, Started, TaskScheduled};
use crate::interpreter::state::State;
use crate::interpreter::stimulus::StimulusKind;
use crate::store::ExecutionRow;

use super::Coordinator;

impl Coordinator {
    /// Starts a task's child. The start is decided even where its parent's actor does not live to learn of it.
    pub(super) fn start_task_child(
        self: Arc<Self>,
        key: TaskKey,
        request: StartRequest,
        waits: bool,
        depth: u32,
    ) -> impl Future<Output = Result<StartedExecution, EngineError>> + Send + use<> {
        self.pending_starts.begin(key);
        let starting = actix_rt::spawn(async move {
            let started = self.start_for(key, &request, waits, depth).await;
            self.pending_starts.end(key);
            started
        });
        async move { starting.await.unwrap_or_else(|e| Err(EngineError::Internal(e.to_string()))) }
    }

    async fn start_for(
        &self,
        key: TaskKey,
        request: &StartRequest,
        waits: bool,
        depth: u32,
    ) -> Result<StartedExecution, EngineError> {
        let row = match starting::start(&self.services, request, Origin::Task { key, waits, depth }).await? {
            StartOutcome::Started(started) => return Ok(started),
            StartOutcome::NameTaken(row) => row,
        };
        let same = row.header.input == request.input;
        let found = if waits {
            // Its own child may have ended before a crash. Another's execution is waited for.
            row.header.parent == Some(key) || (same && self.follow(&row, key).await?)
        } else {
            same && row.summary.status.is_open()
        };
        if found {
            Ok(StartedExecution { arn: row.header.arn, started: row.header.started })
        } else {
            Err(EngineError::ExecutionAlreadyExists(row.header.arn))
        }
    }

    /// Has a task wait for an execution that is not its own child. `false`: it does not, that one has ended.
    async fn follow(&self, followed: &ExecutionRow, task: TaskKey) -> Result<bool, DeliverError> {
        if followed.summary.status.is_open() {
            let input = Input::Stimulus(StimulusKind::Follow { task });
            let delivered = self.services.courier.deliver(followed.header.id, input).await;
            match delivered {
                Delivered::Applied(_) => return Ok(true),
                delivered if delivered.is_final() => {}
                delivered => return delivered.into_result().map(|_| true),
            }
        }
        // It may have followed before a crash, and the other has ended since.
        let state = load::state(&self.services, followed.header.id).await?;
        Ok(state.followers().contains(&task))
    }

    /// Stops the child that a task left behind, and reports when it is over.
    pub(super) fn stop_left_child(self: Arc<Self>, key: TaskKey, parent: Arc<Started>, details: Arc<TaskScheduled>) {
        actix_rt::spawn(async move {
            self.stop_child_of(key, &parent, &details).await;
            let stopped = StimulusKind::ChildStopped { scheduled: key.scheduled };
            self.services.courier.deliver_until_taken(key.execution, stopped).await;
        });
    }

    /// Stops the children that a closed execution left behind.
    pub(super) async fn stop_children(&self, parent: ExecutionId, state: &State) {
        let Some(started) = state.started() else { return };
        for (scheduled, details) in state.left_children() {
            self.stop_child_of(TaskKey { execution: parent, scheduled }, started, details).await;
        }
    }

    /// Returns when the child of this task is over, or when there never was one.
    async fn stop_child_of(&self, key: TaskKey, parent: &Started, details: &TaskScheduled) {
        let Some(child) = self.child_of(key, parent, details) else { return };
        loop {
            // A start that is not decided yet would come to be after the stop.
            self.pending_starts.none_of(key).await;
            match self.services.journal.execution_by_arn(&child).await {
                // The name may belong to an execution that is not this task's.
                Ok(row) => match row.filter(|r| r.header.parent == Some(key) && r.summary.status.is_open()) {
                    None => return,
                    Some(row) => self.stop_open_child(&row, &parent.arn).await,
                },
                Err(e) => {
                    tracing::warn!(
                        execution.arn = %child,
                        error = %e,
                        "a child could not be looked up to be stopped; trying again"
                    );
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// The cause is AWS's.
    async fn stop_open_child(&self, row: &ExecutionRow, parent: &Arn) {
        let cause = format!(
            "The Task state in AWS Step Functions execution [{parent}] which was managing this resource was aborted"
        );
        let stop = Input::Stimulus(StimulusKind::Stop(Failure { cause: Some(cause), ..Failure::default() }));
        let delivered = self.services.courier.deliver(row.header.id, stop).await;
        if delivered.is_final() {
            return;
        }
        if let Err(error) = delivered.into_result() {
            tracing::warn!(execution.arn = %row.header.arn, %error, "a child could not be stopped; trying again");
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }

    /// The ARN of the child that a task starts: the plan is the same whenever it is made.
    fn child_of(&self, key: TaskKey, parent: &Started, details: &TaskScheduled) -> Option<Arn> {
        let context = PlanContext {
            realm: &self.services.realm,
            table: &self.services.table,
            names: self.services.bus.names(),
            message_id: message_id(&key),
            at: Timestamp::default(),
            execution: &parent.arn,
            machine: &parent.machine,
        };
        match integrations::plan(&Resource::parse(&details.resource)?, &details.parameters, &context) {
            Ok(Plan::StartExecution(child)) => Some(self.services.realm.execution(child.machine_name()?, &child.name)),
            Ok(_) | Err(_) => None,
        }
    }
}
