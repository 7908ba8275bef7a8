//! Child executions: a parent's task that ends when another execution ends.
//!
//! The child's row says that it owes its parent the news until the parent has taken it; a crash in between tells it
//! again after the next start. A task whose start meets an execution of the same name and input that runs already waits
//! for that one: it follows it, and the execution's journal says so. The other way round, a task that ends without its
//! child (timeout, stop, failed sibling) has it stopped: that is owed in the parent's state while the parent runs, and
//! by its row after its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::asl::resource::Resource;
use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId, TaskKey};
use crate::integrations::{self, ChildWait, Plan, PlanContext};
use crate::interpreter::event::{Failure, Payload, Started, TaskScheduled};
use crate::interpreter::state::State;
use crate::interpreter::stimulus::StimulusKind;
use crate::store::ExecutionRow;

use crate::engine::api::EngineHandle;
use crate::engine::services::Services;
use crate::engine::types::{Deliver, DeliverError, EngineError, Input, StartRequest, StartedExecution};

/// How often the start of a child is looked at that must be stopped.
const BIRTH_POLL: Duration = Duration::from_millis(20);

/// The tasks whose children are being started: whoever must stop a child waits until its start is decided, or it would
/// come to be after.
#[derive(Debug, Default)]
pub(in crate::engine) struct PendingStarts {
    open: Mutex<HashMap<TaskKey, usize>>,
}

impl PendingStarts {
    fn open(&self) -> MutexGuard<'_, HashMap<TaskKey, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, key: TaskKey) {
        *self.open().entry(key).or_default() += 1;
    }

    fn end(&self, key: TaskKey) {
        let mut open = self.open();
        if let Some(n) = open.get_mut(&key) {
            *n -= 1;
            if *n == 0 {
                open.remove(&key);
            }
        }
    }

    fn contains(&self, key: TaskKey) -> bool {
        self.open().contains_key(&key)
    }
}

impl Services {
    /// Starts a task's child. The start is decided even where its parent's actor does not live to hear of it.
    pub(in crate::engine) fn start_child(
        self: &Arc<Self>,
        key: TaskKey,
        request: StartRequest,
        parent: Option<TaskKey>,
        depth: u32,
    ) -> impl Future<Output = Result<StartedExecution, EngineError>> + use<> {
        let engine = EngineHandle { inner: Arc::clone(self) };
        self.pending_starts.begin(key);
        let starting = actix_rt::spawn(async move {
            let started = engine.start_below(request, parent, depth).await;
            engine.inner.pending_starts.end(key);
            started
        });
        async move { starting.await.unwrap_or_else(|e| Err(EngineError::Internal(e.to_string()))) }
    }

    /// Stops the child that a task left behind, and tells the parent when it is over.
    pub(in crate::engine) fn stop_child_and_tell(
        self: &Arc<Self>,
        key: TaskKey,
        parent: Arc<Started>,
        details: Arc<TaskScheduled>,
    ) {
        let services = Arc::clone(self);
        actix_rt::spawn(async move {
            services.stop_child(key, &parent, &details).await;
            services.deliver_until_taken(key.execution, StimulusKind::ChildStopped { scheduled: key.scheduled }).await;
        });
    }

    /// Has a task wait for an execution that is not its own child. `false`: it does not, that one has ended.
    pub(in crate::engine) async fn follow(&self, followed: &ExecutionRow, task: TaskKey) -> Result<bool, DeliverError> {
        if followed.summary.status.is_open()
            && let Some(partition) = self.partition(followed.header.partition)
        {
            let input = Input::Stimulus(StimulusKind::Follow { task });
            match partition
                .send(Deliver { execution: followed.header.id, input })
                .await
                .map_err(|e| DeliverError::Internal(e.to_string()))?
            {
                Ok(_) => return Ok(true),
                Err(DeliverError::Rejected(_) | DeliverError::NoExecution(_)) => {}
                Err(e) => return Err(e),
            }
        }
        // It may have followed before a crash, and the other has ended since.
        let state = self.load(followed.header.id).await?;
        Ok(state.followers().contains(&task))
    }

    /// Stops the children that a closed execution left behind.
    async fn stop_children(&self, parent: ExecutionId, state: &State) {
        let Some(started) = state.started() else { return };
        for (scheduled, details) in state.left_children() {
            self.stop_child(TaskKey { execution: parent, scheduled }, started, details).await;
        }
    }

    /// Returns when the child of this task is over, or when there never was one.
    async fn stop_child(&self, key: TaskKey, parent: &Started, details: &TaskScheduled) {
        let Some(child) = self.child_of(key, parent, details) else { return };
        loop {
            if self.pending_starts.contains(key) {
                tokio::time::sleep(BIRTH_POLL).await;
                continue;
            }
            match self.journal.execution_by_arn(&child).await {
                // The name may belong to an execution that is not this task's.
                Ok(row) => match row.filter(|r| r.header.parent == Some(key) && r.summary.status.is_open()) {
                    None => return,
                    Some(row) => self.stop_open_child(&row).await,
                },
                Err(e) => {
                    tracing::warn!(execution.arn = %child, error = %e, "a child could not be looked up to be stopped; trying again");
                    tokio::time::sleep(crate::engine::services::RETRY_AFTER).await;
                }
            }
        }
    }

    async fn stop_open_child(&self, row: &ExecutionRow) {
        let Some(partition) = self.partition(row.header.partition) else { return };
        let input = Input::Stimulus(StimulusKind::Stop(Failure::default()));
        let problem = match partition.send(Deliver { execution: row.header.id, input }).await {
            Ok(Ok(_) | Err(DeliverError::Rejected(_) | DeliverError::NoExecution(_))) => return,
            Ok(Err(e)) => e.to_string(),
            Err(e) => e.to_string(),
        };
        tracing::warn!(execution.arn = %row.header.arn, error = problem, "a child could not be stopped; trying again");
        tokio::time::sleep(crate::engine::services::RETRY_AFTER).await;
    }

    /// The ARN of the child that a task starts: the plan is the same whenever it is made.
    fn child_of(&self, key: TaskKey, parent: &Started, details: &TaskScheduled) -> Option<Arn> {
        let context = PlanContext {
            realm: &self.realm,
            table: &self.table,
            names: self.bus.names(),
            message_id: crate::engine::services::task_identity::message_id(&key),
            at: Timestamp::default(),
            execution: &parent.arn,
            machine: &parent.machine,
        };
        match integrations::plan(&Resource::parse(&details.resource)?, &details.parameters, &context) {
            Ok(Plan::StartExecution(child)) => Some(self.realm.execution(child.machine_name()?, &child.name)),
            Ok(_) | Err(_) => None,
        }
    }

    /// The parent's task was dispatched (perhaps again): if its child has ended meanwhile, the news goes out now.
    pub(in crate::engine) fn watch_child(self: &Arc<Self>, _key: TaskKey, child: Arn, _wait: ChildWait) {
        let services = Arc::clone(self);
        actix_rt::spawn(async move {
            if let Ok(Some(row)) = services.journal.execution_by_arn(&child).await
                && !row.summary.status.is_open()
            {
                services.settle_end(row.header.id);
            }
        });
    }

    /// Tells of an execution's end: to its map runs, to the children it waited for, to the tasks that wait for it,
    /// until they have taken it.
    pub(in crate::engine) fn settle_end(self: &Arc<Self>, child: ExecutionId) {
        let services = Arc::clone(self);
        actix_rt::spawn(async move {
            while let Err(e) = services.try_settle_end(child).await {
                tracing::warn!(execution.id = %child, error = %e, "a parent could not be told of its child's end; trying again");
                tokio::time::sleep(crate::engine::services::RETRY_AFTER).await;
            }
        });
    }

    async fn try_settle_end(&self, child: ExecutionId) -> Result<(), DeliverError> {
        let Some(row) = self.journal.execution(child).await? else { return Ok(()) };
        // Redriven meanwhile: it tells when it ends again, and the runs that it left are owed by its journal.
        if row.summary.status.is_open() {
            return Ok(());
        }
        self.end_map_runs(child).await?;
        let state = self.load(child).await?;
        self.stop_children(child, &state).await;
        for key in row.header.parent.iter().chain(state.followers()) {
            self.tell_task(&row, *key).await?;
        }
        Ok(self.journal.parent_told(child).await?)
    }

    /// Tells a task that the execution it waits for has ended.
    async fn tell_task(&self, row: &ExecutionRow, key: TaskKey) -> Result<(), DeliverError> {
        let parent = self.journal.execution(key.execution).await?;
        if parent.is_some_and(|p| p.summary.status.is_open())
            && let Some(kind) = self.news(row, key).await?
        {
            let Some(partition) = self.partition(self.partition_of(key.execution)) else { return Ok(()) };
            let message = Deliver { execution: key.execution, input: Input::Stimulus(kind) };
            match partition.send(message).await.map_err(|e| DeliverError::Internal(e.to_string()))? {
                Ok(_) | Err(DeliverError::Rejected(_) | DeliverError::NoExecution(_)) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// The child's end as the parent's task takes it.
    async fn news(&self, row: &crate::store::ExecutionRow, key: TaskKey) -> Result<Option<StimulusKind>, DeliverError> {
        let state = self.load(key.execution).await?;
        let Ok(view) = state.task(key.scheduled) else { return Ok(None) };
        let json = Resource::parse(&view.task.details.resource).is_some_and(|r| r.resource_name().ends_with(".sync:2"));
        let closing = row.summary.closed.as_ref();
        let child = integrations::Child {
            arn: &row.header.arn,
            machine: &row.header.state_machine,
            name: &row.header.name,
            status: row.summary.status.as_str(),
            input: &row.header.input,
            output: closing.and_then(|c| c.output.as_deref()),
            error: closing.and_then(|c| c.error.as_deref()),
            cause: closing.and_then(|c| c.cause.as_deref()),
            started: row.header.started,
            stopped: closing.map_or(row.header.started, |c| c.at),
            redrive_count: row.summary.redrive_count,
        };
        let scheduled = key.scheduled;
        Ok(Some(match integrations::child_result(&child, json) {
            Ok(output) => StimulusKind::TaskSucceeded { scheduled, output: Payload::new(output) },
            Err(failure) => StimulusKind::TaskFailed { scheduled, failure },
        }))
    }
}
