//! The end of an execution reaches all that it concerns: its map runs, the children it waited for, the tasks that wait
//! for it, the exchange of events. Its row says that this is owed until all have taken it; a crash in between repeats
//! it after the next start.

use std::sync::Arc;

use crate::engine::journal::load;
use crate::engine::services::RETRY_AFTER;
use crate::engine::types::{DeliverError, Input};
use crate::ids::{Arn, ExecutionId, TaskKey};
use crate::store::ExecutionRow;

use super::Coordinator;

/// After a start more of the ends that are owed are read when fewer than so many are being settled: each holds its row
/// and its journal meanwhile.
pub(super) const SETTLING_AFTER_START: usize = 500;

impl Coordinator {
    /// Settles the end of an execution, again and again until it is done.
    pub(super) fn begin_settling(self: Arc<Self>, execution: ExecutionId) {
        self.settling.begin(execution);
        actix_rt::spawn(async move {
            while let Err(e) = self.settle(execution).await {
                if !self.services.courier.holds(self.services.partition_of(execution)) {
                    // Its next owner settles it.
                    break;
                }
                tracing::warn!(
                    execution.id = %execution,
                    error = %e,
                    "the end of an execution could not be told to all that it concerns; trying again"
                );
                tokio::time::sleep(RETRY_AFTER).await;
            }
            self.settling.end(execution);
        });
    }

    /// Returns when the end of this execution is settled. To settle it twice at once does no harm.
    pub async fn end_settled(self: &Arc<Self>, execution: ExecutionId) {
        Arc::clone(self).begin_settling(execution);
        self.settling.none_of(execution).await;
    }

    /// A child that has ended already is settled once more: its parent's task may have begun after its end.
    pub(super) fn settle_if_ended(self: Arc<Self>, child: Arn) {
        actix_rt::spawn(async move {
            if let Ok(Some(row)) = self.services.journal.execution_by_arn(&child).await
                && !row.summary.status.is_open()
            {
                self.begin_settling(row.header.id);
            }
        });
    }

    async fn settle(&self, execution: ExecutionId) -> Result<(), DeliverError> {
        let Some(row) = self.services.journal.execution(execution).await? else { return Ok(()) };
        // Redriven meanwhile: it is settled when it ends again, and the runs that it left are owed by its journal.
        if row.summary.status.is_open() {
            return Ok(());
        }
        self.end_map_runs(execution).await?;
        let state = load::state(&self.services, execution).await?;
        self.stop_children(execution, &state).await;
        let row = Arc::new(row);
        for task in row.header.parent.iter().chain(state.followers()) {
            self.report_end(&row, *task).await?;
        }
        self.services.announce_end(execution, &state).await?;
        Ok(self.services.journal.parent_told(execution).await?)
    }

    /// A task gets the end of the execution that it waits for. The parent's actor knows how the task wants to see it.
    async fn report_end(&self, row: &Arc<ExecutionRow>, task: TaskKey) -> Result<(), DeliverError> {
        let parent = self.services.journal.execution(task.execution).await?;
        if parent.is_none_or(|p| !p.summary.status.is_open()) {
            return Ok(());
        }
        let input = Input::ChildEnded { scheduled: task.scheduled, child: Arc::clone(row) };
        let delivered = self.services.courier.deliver(task.execution, input).await;
        if delivered.is_final() { Ok(()) } else { delivered.into_result().map(drop) }
    }
}
