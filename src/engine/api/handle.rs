//! What faces may ask of the engine.

use std::sync::Arc;
use std::time::Duration;

use crate::asl::resource::Resource;
use crate::bus::BusHealth;
use crate::clock::{Clock, Timestamp};
use crate::engine::coordination::map_run;
use crate::engine::partition;
use crate::engine::types::{
    Applied, AwaitEnd, Completion, CompletionError, Deliver, DeliverError, EngineError, Input, StartRequest,
    StartedExecution, SyncOutcome, WaitingTask, engine_error,
};
use crate::ids::{Arn, ExecutionId, Realm, TaskKey};
use crate::integrations::{self, Plan, PlanContext};
use crate::interpreter::event::Failure;
use crate::interpreter::state::{Outcome, TaskView};
use crate::interpreter::stimulus::{Rejection, StimulusKind};
use crate::limits::HISTORY_EVENTS_MAX;
use crate::store::{
    Catalog, CommitSizes, ExecutionFilter, ExecutionRow, ExecutionStatus, Journal, MachineType, StoreError,
};
use crate::telemetry::metrics::Now;

/// How often, and after what time, a redrive looks whether the execution's end has been told everywhere.
const REDRIVE_LOOKS: u32 = 100;
const REDRIVE_LOOK: Duration = Duration::from_millis(100);

/// The engine, as faces see it. Cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    pub(in crate::engine) inner: Arc<crate::engine::services::Services>,
}

impl std::fmt::Debug for EngineHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EngineHandle")
    }
}

impl EngineHandle {
    /// Region and account of all ARNs.
    pub fn realm(&self) -> &Realm {
        &self.inner.realm
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    pub fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.inner.catalog
    }

    /// For reading only: rows and listings. Everything that changes an execution goes through the engine.
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.inner.journal
    }

    /// Starts an execution; durable when it returns. Same name and input as a running one: that one (standard).
    pub async fn start_execution(&self, request: StartRequest) -> Result<StartedExecution, EngineError> {
        self.start(request, None).await
    }

    /// Starts an express execution and waits for its end (at most 5 minutes).
    pub async fn start_sync_execution(&self, request: StartRequest) -> Result<SyncOutcome, EngineError> {
        let resolved = self.resolve(&request).await?;
        if resolved.kind != MachineType::Express {
            return Err(EngineError::TypeNotSupported { machine: request.machine, kind: resolved.kind });
        }
        let _admitted = self.inner.admit()?;
        self.run_express(&request, resolved).await
    }

    /// Waits until an execution has closed.
    pub async fn await_end(&self, arn: &Arn) -> Result<Outcome, EngineError> {
        let row = self.execution(arn).await?;
        let partition = self.partition(row.header.partition)?;
        let ended = partition.send(AwaitEnd { execution: row.header.id }).await;
        ended.map_err(|e| EngineError::Internal(e.to_string()))?.map_err(engine_error)
    }

    /// Stops a running execution; returns when it stopped. A closed one: its stop date, nothing changes.
    pub async fn stop_execution(&self, arn: &Arn, failure: Failure) -> Result<Timestamp, EngineError> {
        let row = self.execution(arn).await?;
        if let Some(closed) = row.summary.closed {
            return Ok(closed.at);
        }
        match self.deliver(row.header.id, Input::Stimulus(StimulusKind::Stop(failure))).await {
            Ok(told) => Ok(told.at),
            // It closed in the meantime.
            Err(DeliverError::Rejected(_)) => {
                let row = self.execution(arn).await?;
                Ok(row.summary.closed.map_or_else(|| self.inner.clock.now(), |c| c.at))
            }
            Err(e) => Err(engine_error(e)),
        }
    }

    /// Runs a failed, aborted or timed-out execution on from where it failed; returns when. A client token that redrove
    /// it lately does nothing more ([`Self::redriven_with`]).
    pub async fn redrive_execution(&self, arn: &Arn, token: Option<&str>) -> Result<Timestamp, EngineError> {
        let row = self.redrivable(arn).await?;
        match self.deliver(row.header.id, Input::Stimulus(StimulusKind::Redrive { token: token.map(Arc::from) })).await
        {
            Ok(told) => Ok(told.at),
            Err(DeliverError::Rejected(why)) => {
                // Two requests with one token at once: the other one was first.
                if let Some(token) = token.filter(|_| why == Rejection::Duplicate)
                    && let Some(at) = self.redriven_with(arn, token).await?
                {
                    return Ok(at);
                }
                let why =
                    format!("{} and cannot be redriven", why.to_string().replacen("the execution", "Execution", 1));
                Err(EngineError::NotRedrivable { arn: arn.clone(), why })
            }
            Err(e) => Err(engine_error(e)),
        }
    }

    /// When this client token redrove this execution, if it did lately: what a repeated `RedriveExecution` is answered
    /// with. From the journal, so it holds across a restart.
    pub async fn redriven_with(&self, arn: &Arn, token: &str) -> Result<Option<Timestamp>, EngineError> {
        let row = self.journaled(arn).await?;
        if row.summary.redrive_count == 0 {
            return Ok(None);
        }
        let state = self.inner.load(row.header.id).await.map_err(engine_error)?;
        Ok(state.redriven_with(token, self.inner.clock.now()))
    }

    /// True where an execution's history has no room for a redrive. The index counts hidden events too, so most need no
    /// look at it.
    pub async fn history_is_full(&self, row: &ExecutionRow) -> Result<bool, EngineError> {
        if row.version.0 + 1 < HISTORY_EVENTS_MAX {
            return Ok(false);
        }
        let state = self.inner.load(row.header.id).await.map_err(engine_error)?;
        Ok(state.history_is_full())
    }

    /// An execution that has closed for good: nothing of its end (children and map runs to stop, a parent to tell) is
    /// under way.
    async fn redrivable(&self, arn: &Arn) -> Result<ExecutionRow, EngineError> {
        for _ in 0..REDRIVE_LOOKS {
            let row = self.journaled(arn).await?;
            if row.header.map_run.is_some() {
                let why = "Execution is a child of a Map Run and is redriven with it".to_owned();
                return Err(EngineError::NotRedrivable { arn: arn.clone(), why });
            }
            if row.summary.status.is_open() || !row.summary.owes_parent {
                return Ok(row);
            }
            tokio::time::sleep(REDRIVE_LOOK).await;
        }
        Err(EngineError::Busy(format!(
            "the end of '{arn}' is still under way (its children are being stopped, its parent told); try again"
        )))
    }

    /// The execution with its status, standard or (while remembered) express.
    pub async fn execution(&self, arn: &Arn) -> Result<ExecutionRow, EngineError> {
        if let Some(row) = self.inner.express.row_by_arn(arn).filter(|_| arn.is_express()) {
            return Ok(row);
        }
        let found = self.inner.journal.execution_by_arn(arn).await?;
        let mut row = found.ok_or_else(|| EngineError::ExecutionDoesNotExist(arn.clone()))?;
        if row.summary.status.is_unsuccessful()
            && let Some(run) = &row.header.map_run
        {
            let redriven = self.inner.catalog.map_run(run).await?.as_ref().and_then(map_run::redriven);
            row.summary.status =
                row.summary.status.of_child(row.summary.closed.as_ref().map(|closing| closing.at), redriven);
        }
        Ok(row)
    }

    /// A standard execution: an express one has neither history nor redrive.
    pub(in crate::engine) async fn journaled(&self, arn: &Arn) -> Result<ExecutionRow, EngineError> {
        let row = self.execution(arn).await?;
        if arn.is_express() {
            return Err(EngineError::TypeNotSupported {
                machine: row.header.state_machine,
                kind: MachineType::Express,
            });
        }
        Ok(row)
    }

    /// `SendTaskSuccess`, `SendTaskFailure`, `SendTaskHeartbeat`: its effect is durable when it returns `Ok`.
    pub async fn complete_task(&self, token: &str, completion: Completion) -> Result<(), CompletionError> {
        let metrics = &self.inner.metrics;
        let counted = |verdict: &'static str, finer: &'static str, reason: &str| {
            metrics.reply(verdict);
            metrics.reply_refused(finer);
            crate::telemetry::task_log::reply_refused(None, Some(token), "api", verdict, reason);
        };
        let refused = |verdict: &'static str, reason: &str| counted(verdict, verdict, reason);
        let (key, _) = self.inner.tokens.verify(token).map_err(|defect| {
            counted("forged", defect.as_str(), &defect.to_string());
            CompletionError::InvalidToken
        })?;
        let input = Input::Reply { scheduled: key.scheduled, completion, face: "api" };
        match self.deliver(key.execution, input).await {
            Ok(_) => {
                metrics.reply("accepted");
                Ok(())
            }
            Err(DeliverError::Rejected(Rejection::Unknown)) => {
                refused("unknown", "there is no such task");
                Err(CompletionError::Unknown)
            }
            Err(DeliverError::NoExecution(_) | DeliverError::Store(StoreError::NotFound { .. })) => {
                refused("unknown", "there is no such execution");
                Err(CompletionError::Unknown)
            }
            Err(DeliverError::Rejected(rejection)) => {
                let verdict = if rejection == Rejection::Duplicate { "duplicate" } else { "late" };
                refused(verdict, &rejection.to_string());
                Err(CompletionError::Closed)
            }
            Err(e) => Err(CompletionError::Engine(engine_error(e))),
        }
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
            let mut rows = self.inner.journal.list(filter).await?;
            rows.reverse();
            rows
        };
        let mut tasks = Vec::new();
        for row in rows {
            let loaded = self.inner.load(row.header.id).await;
            self.inner.record_load(row.header.id, &loaded).await;
            let state = match loaded {
                Ok(state) => state,
                // One that cannot be read hides nothing of the others.
                Err(e) if e.is_corrupt() && execution.is_none() => continue,
                Err(e) => return Err(engine_error(e)),
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
                    realm: &self.inner.realm,
                    table: &self.inner.table,
                    names: self.inner.bus.names(),
                    message_id: crate::engine::services::task_identity::message_id(&key),
                    at: view.task.scheduled_at,
                    execution: &row.header.arn,
                    machine: &row.header.state_machine,
                };
                integrations::plan(&resource, &details.parameters, &context).ok()
            })
            .map(|plan| match plan {
                Plan::Publish(p) => p
                    .messages
                    .first()
                    .map(|m| crate::engine::services::task_identity::place(&m.address))
                    .unwrap_or_default(),
                Plan::StartExecution(child) => child.machine.to_string(),
                Plan::Call(_) => "this service".to_owned(),
                Plan::Activity { queue, .. } => queue,
            })
            .unwrap_or_default();
        WaitingTask {
            execution: row.header.arn.clone(),
            state: view.visit.name.to_string(),
            resource: details.resource.to_string(),
            token: self.inner.token(&key),
            scheduled: view.task.scheduled,
            since: view.task.scheduled_at,
            due: view.task.due(),
            submitted: view.task.published,
            destination,
            attempt: view.visit.retry_count() + 1,
            last_heartbeat: view.task.last_heartbeat,
        }
    }

    /// Why an execution stands still whose journal cannot be read; `None` for all others.
    #[must_use]
    pub fn quarantined(&self, execution: ExecutionId) -> Option<String> {
        self.inner.quarantine.why(execution)
    }

    /// Can the engine do its work now? What is worth a look all the same; or what is missing, in words.
    pub async fn ready(&self) -> Result<Vec<String>, Vec<String>> {
        let missing = self.inner.missing().await;
        if missing.is_empty() {
            Ok(self.inner.doubts())
        } else {
            Err(missing.iter().map(ToString::to_string).collect())
        }
    }

    /// Metrics in Prometheus' text form. Costs the same however much the store holds.
    pub fn metrics(&self) -> String {
        let services = &self.inner;
        let (health, facts) = (services.bus.health(), services.bus.facts());
        let (starts, unpublished) = services.admission.figures();
        let (store, (express, express_tasks)) = (services.journal.figures(), services.express.open());
        let bounds = CommitSizes::BOUNDS.iter().map(|bound| f64::from(*bound)).chain([f64::INFINITY]);
        services.metrics.parking_waiting(services.parking.waiting());
        services.metrics.render(&Now {
            executions_open: store.open_executions + express,
            executions_bytes: services.footprint.bytes(),
            tasks_waiting: store.open_tasks + express_tasks,
            starts_under_way: starts as u64,
            tasks_unpublished: unpublished as u64,
            bus_up: !matches!(health, BusHealth::Down(_)),
            bus_blocked: matches!(health, BusHealth::Blocked(_)),
            bus_reconnects: facts.connections_lost,
            bus_deaf_queues: facts.deaf().count() as u64,
            bus_refused: facts.refused.len() as u64,
            unreadable_messages: facts.mended.clone(),
            set_aside_messages: facts.set_aside.clone(),
            not_ready: services.health.reasons(),
            commits: bounds.zip(store.commits.counts).collect(),
            commit_events: store.commits.events,
        })
    }

    pub(in crate::engine) async fn deliver(
        &self,
        execution: ExecutionId,
        input: Input,
    ) -> Result<Applied, DeliverError> {
        let partition = self
            .inner
            .partition(self.inner.partition_of(execution))
            .ok_or_else(|| DeliverError::Internal("the engine is starting".to_owned()))?;
        partition.send(Deliver { execution, input }).await.map_err(|e| DeliverError::Internal(e.to_string()))?
    }

    pub(in crate::engine) fn partition(
        &self,
        id: crate::ids::PartitionId,
    ) -> Result<actix::Addr<partition::Partition>, EngineError> {
        self.inner.partition(id).ok_or_else(|| EngineError::Internal("the engine is starting".to_owned()))
    }
}

/// Running executions looked at for one listing of waiting tasks; those of one execution are always complete.
const WAITING_SCAN: u32 = 10_000;
