//! Tasks: completed by their tokens, and listed while they wait.

use crate::bus::envelope::Verdict;
use crate::engine::delivery::verdict::verdict;
use crate::engine::journal::{load, waits};
use crate::engine::types::{
    Asker, Completion, CompletionError, Delivered, EngineError, Input, WaitingQuery, WaitingTask,
};
use crate::ids::{Arn, ExecutionId, TaskKey};
use crate::store::{Wait, WaitFilter, WaitRow};
use crate::telemetry::task_log::{self, Face};

use super::handle::EngineHandle;

impl EngineHandle {
    /// `SendTaskSuccess`, `SendTaskFailure`, `SendTaskHeartbeat`: its effect is durable when it returns `Ok`.
    pub async fn complete_task(&self, token: &str, completion: Completion, from: Asker) -> Result<(), CompletionError> {
        let services = &self.inner.services;
        let refused = |verdict: Verdict, counted: &'static str, reason: &str| {
            services.metrics.reply(verdict.as_str());
            services.metrics.reply_refused(counted);
            task_log::reply_refused(None, Some(token), Face::Api, verdict.as_str(), reason);
        };
        let (key, _) = services.tokens.verify(token).map_err(|defect| {
            refused(Verdict::Forged, defect.as_str(), &defect.to_string());
            CompletionError::InvalidToken
        })?;
        let traced = services.options.traces.is_some();
        let link = from.trace.filter(|_| traced).map(|origin| Box::new(origin.parent));
        let input =
            Input::Reply { scheduled: key.scheduled, completion, face: Face::Api, by: from.by.map(Box::new), link };
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

    /// The open tasks of one standard execution, from its journal: also those that wait since this moment.
    pub async fn waiting_tasks_of(&self, execution: &Arn) -> Result<Vec<WaitingTask>, EngineError> {
        let row = self.journaled(execution).await?;
        let services = &self.inner.services;
        let loaded = load::state(services, row.header.id).await;
        services.quarantine.record_load(row.header.id, &loaded).await;
        let waits = waits::of_state(services, row.header.id, &loaded?);
        let (arn, machine) = (&row.header.arn, &row.header.state_machine);
        Ok(waits.into_iter().map(|wait| self.waiting_task(row.header.id, arn, machine, wait)).collect())
    }

    /// A page of all tasks of standard executions that have waited for a moment, longest waiting first.
    pub async fn waiting_tasks(&self, query: WaitingQuery) -> Result<Vec<WaitingTask>, EngineError> {
        let rows = self.inner.services.journal.waits(filter(query)).await?;
        let shown =
            |WaitRow { execution, arn, state_machine, wait }| self.waiting_task(execution, &arn, &state_machine, wait);
        Ok(rows.into_iter().map(shown).collect())
    }

    pub(super) fn waiting_task(&self, id: ExecutionId, execution: &Arn, machine: &Arn, wait: Wait) -> WaitingTask {
        let key = TaskKey { execution: id, scheduled: wait.scheduled };
        let (execution, state_machine) = (execution.clone(), machine.clone());
        WaitingTask { execution, state_machine, key, token: self.inner.services.token(&key), wait }
    }
}

fn filter(query: WaitingQuery) -> WaitFilter {
    let WaitingQuery { state_machine, destination, before, after, limit } = query;
    WaitFilter { execution: None, state_machine, destination, before, after, limit }
}
