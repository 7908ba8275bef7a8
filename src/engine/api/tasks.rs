//! Tasks: completed by their tokens, and listed while they wait.

use crate::asl::resource::Resource;
use crate::bus::envelope::Verdict;
use crate::engine::delivery::verdict::verdict;
use crate::engine::journal::load;
use crate::engine::services::task_identity::{message_id, place};
use crate::engine::types::{Completion, CompletionError, Delivered, EngineError, Input, WaitingTask};
use crate::ids::{Arn, TaskKey};
use crate::integrations::{self, Plan, PlanContext};
use crate::interpreter::state::TaskView;
use crate::store::{ExecutionFilter, ExecutionRow, ExecutionStatus};
use crate::telemetry::task_log;

use super::handle::EngineHandle;

/// Running executions looked at for one listing of waiting tasks; those of one execution are always complete.
const WAITING_SCAN: u32 = 10_000;

impl EngineHandle {
    /// `SendTaskSuccess`, `SendTaskFailure`, `SendTaskHeartbeat`: its effect is durable when it returns `Ok`.
    pub async fn complete_task(&self, token: &str, completion: Completion) -> Result<(), CompletionError> {
        let services = &self.inner.services;
        let refused = |verdict: Verdict, counted: &'static str, reason: &str| {
            services.metrics.reply(verdict.as_str());
            services.metrics.reply_refused(counted);
            task_log::reply_refused(None, Some(token), "api", verdict.as_str(), reason);
        };
        let (key, _) = services.tokens.verify(token).map_err(|defect| {
            refused(Verdict::Forged, defect.as_str(), &defect.to_string());
            CompletionError::InvalidToken
        })?;
        let input = Input::Reply { scheduled: key.scheduled, completion, face: "api" };
        let delivered = services.courier.deliver(key.execution, input).await;
        if let Delivered::Unreadable(e) = delivered {
            return Err(CompletionError::Engine(e.into()));
        }
        let gone = matches!(delivered, Delivered::Gone(_));
        let (verdict, reason) = verdict(delivered).map_err(EngineError::from)?;
        match verdict {
            Verdict::Accepted => {
                services.metrics.reply(Verdict::Accepted.as_str());
                return Ok(());
            }
            Verdict::Unknown if gone => refused(verdict, verdict.as_str(), "there is no such execution"),
            _ => refused(verdict, verdict.as_str(), &reason),
        }
        Err(if verdict == Verdict::Unknown { CompletionError::Unknown } else { CompletionError::Closed })
    }

    /// Tasks that wait for the outside, of one standard execution or of all (at most `limit`, longest waiting
    /// executions first).
    pub async fn waiting_tasks(&self, execution: Option<&Arn>, limit: usize) -> Result<Vec<WaitingTask>, EngineError> {
        let rows = if let Some(arn) = execution {
            vec![self.journaled(arn).await?]
        } else {
            let filter = ExecutionFilter {
                status: Some(ExecutionStatus::Running),
                limit: WAITING_SCAN,
                brief: true,
                ..Default::default()
            };
            let mut rows = self.inner.services.journal.list(filter).await?;
            rows.reverse();
            rows
        };
        let mut tasks = Vec::new();
        for row in rows {
            let loaded = load::state(&self.inner.services, row.header.id).await;
            self.inner.services.record_load(row.header.id, &loaded).await;
            let state = match loaded {
                Ok(state) => state,
                // One that cannot be read hides nothing of the others.
                Err(e) if e.is_corrupt() && execution.is_none() => continue,
                Err(e) => return Err(e.into()),
            };
            tasks.extend(state.tasks().map(|view| self.waiting_task(&row, view)));
            if tasks.len() >= limit {
                tasks.truncate(limit);
                break;
            }
        }
        Ok(tasks)
    }

    fn waiting_task(&self, row: &ExecutionRow, view: TaskView<'_>) -> WaitingTask {
        let key = TaskKey { execution: row.header.id, scheduled: view.task.scheduled };
        let details = &view.task.details;
        let destination = Resource::parse(&details.resource)
            .and_then(|resource| {
                let context = PlanContext {
                    realm: &self.inner.services.realm,
                    table: &self.inner.services.table,
                    names: self.inner.services.bus.names(),
                    message_id: message_id(&key),
                    at: view.task.scheduled_at,
                    execution: &row.header.arn,
                    machine: &row.header.state_machine,
                };
                integrations::plan(&resource, &details.parameters, &context).ok()
            })
            .map(|plan| match plan {
                Plan::Publish(p) => p.messages.first().map(|m| place(&m.address)).unwrap_or_default(),
                Plan::StartExecution(child) => child.machine.to_string(),
                Plan::Call(_) => "this service".to_owned(),
                Plan::Activity { queue, .. } => queue,
            })
            .unwrap_or_default();
        WaitingTask {
            execution: row.header.arn.clone(),
            state: view.visit.name.to_string(),
            resource: details.resource.to_string(),
            token: self.inner.services.token(&key),
            scheduled: view.task.scheduled,
            since: view.task.scheduled_at,
            due: view.task.due(),
            submitted: view.task.published,
            destination,
            attempt: view.visit.retry_count() + 1,
            last_heartbeat: view.task.last_heartbeat,
        }
    }
}
