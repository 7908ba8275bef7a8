//! Child executions: a parent's task that ends when another execution ends.
//!
//! The child's row says that it owes its parent the news until the parent has taken it; a crash in between tells it again after the
//! next start.

use std::sync::Arc;

use crate::asl::resource::Resource;
use crate::ids::{Arn, ExecutionId, TaskKey};
use crate::integrations::{self, ChildWait};
use crate::interpreter::stimulus::StimulusKind;

use super::Shared;
use super::handle::{EngineError, EngineHandle, StartRequest, StartedExecution};
use super::messages::{Tell, TellError, What};

impl EngineHandle {
    pub(super) async fn start_child(&self, request: StartRequest, parent: Option<TaskKey>) -> Result<StartedExecution, EngineError> {
        self.start(request, parent).await
    }
}

impl Shared {
    /// The parent's task was dispatched (perhaps again): if its child has ended meanwhile, the news goes out now.
    pub(super) fn watch_child(self: &Arc<Self>, _key: TaskKey, child: Arn, _wait: ChildWait) {
        let shared = Arc::clone(self);
        actix_rt::spawn(async move {
            if let Ok(Some(row)) = shared.journal.execution_by_arn(&child).await
                && !row.summary.status.is_open()
            {
                shared.tell_parent(row.header.id);
            }
        });
    }

    /// Tells of an execution's end: to its map runs, to the parent that waits for it, until they have taken it.
    pub(super) fn tell_parent(self: &Arc<Self>, child: ExecutionId) {
        let shared = Arc::clone(self);
        actix_rt::spawn(async move {
            while let Err(e) = shared.try_tell_parent(child).await {
                tracing::warn!(execution.id = %child, error = %e, "a parent could not be told of its child's end; trying again");
                tokio::time::sleep(super::RETRY_AFTER).await;
            }
        });
    }

    async fn try_tell_parent(&self, child: ExecutionId) -> Result<(), TellError> {
        let Some(row) = self.journal.execution(child).await? else { return Ok(()) };
        self.end_map_runs(child).await?;
        let Some(key) = row.header.parent else { return Ok(self.journal.parent_told(child).await?) };
        let parent = self.journal.execution(key.execution).await?;
        if parent.is_some_and(|p| p.summary.status.is_open())
            && let Some(kind) = self.news(&row, key).await?
        {
            let Some(partition) = self.partition(self.partition_of(key.execution)) else { return Ok(()) };
            let message = Tell { execution: key.execution, what: What::Stimulus(kind) };
            match partition.send(message).await.map_err(|e| TellError::Internal(e.to_string()))? {
                Ok(_) | Err(TellError::Rejected(_) | TellError::NoExecution(_)) => {}
                Err(e) => return Err(e),
            }
        }
        self.journal.parent_told(child).await?;
        Ok(())
    }

    /// The child's end as the parent's task takes it.
    async fn news(&self, row: &crate::store::ExecutionRow, key: TaskKey) -> Result<Option<StimulusKind>, TellError> {
        let state = super::partition::load(&*self.journal, key.execution).await?;
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
            Ok(output) => StimulusKind::TaskSucceeded { scheduled, output: Arc::new(output) },
            Err(failure) => StimulusKind::TaskFailed { scheduled, failure },
        }))
    }
}
