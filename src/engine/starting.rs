//! `StartExecution`: the ARN resolves to a revision, the name to an ARN, and the same start twice to one execution.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::api::EngineHandle;
use crate::engine::journal::summary::closed;
use crate::engine::services::definitions::Resolved;
use crate::engine::types::{DeliverError, EngineError, RunToEnd, Start, StartRequest, StartedExecution, SyncOutcome};
use crate::ids::TaskKey;
use crate::ids::Version;
use crate::interpreter::event::{Payload, Started};
use crate::interpreter::state::Outcome;
use crate::store::ExecutionRow;
use crate::store::{ExecutionHeader, MachineType, StoreError};

/// Who asks for an execution: it decides what counts as the same start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Origin {
    /// AWS: the same name and input, while it runs.
    Caller,
    /// A task of another execution, which may ask again after a crash.
    Parent(TaskKey),
    /// A message, which may come again: the same name and input, also when it has closed.
    Message,
}

impl Origin {
    fn parent(self) -> Option<TaskKey> {
        match self {
            Self::Parent(key) => Some(key),
            Self::Caller | Self::Message => None,
        }
    }
}

impl EngineHandle {
    pub(in crate::engine) async fn start(
        &self,
        request: StartRequest,
        parent: Option<TaskKey>,
    ) -> Result<StartedExecution, EngineError> {
        self.start_at(request, parent.map_or(Origin::Caller, Origin::Parent), 0).await
    }

    /// A task's start: so many executions started each other before the new one.
    pub(in crate::engine) async fn start_below(
        &self,
        request: StartRequest,
        parent: Option<TaskKey>,
        depth: u32,
    ) -> Result<StartedExecution, EngineError> {
        let most = self.inner.options.nesting_max;
        if depth > most {
            self.inner.metrics.start_refused("nesting");
            return Err(EngineError::LimitReached(format!(
                "{most} executions have started each other, as many as engine.nesting_max lets"
            )));
        }
        self.start_at(request, parent.map_or(Origin::Caller, Origin::Parent), depth).await
    }

    pub(in crate::engine) async fn start_from(
        &self,
        request: StartRequest,
        origin: Origin,
    ) -> Result<StartedExecution, EngineError> {
        self.start_at(request, origin, 0).await
    }

    async fn start_at(
        &self,
        request: StartRequest,
        origin: Origin,
        depth: u32,
    ) -> Result<StartedExecution, EngineError> {
        let resolved = self.resolve(&request).await?;
        let _turn = if depth > 0 { Some(self.inner.admit_child().await?) } else { None };
        let _admitted = if depth > 0 { None } else { Some(self.inner.admit()?) };
        match resolved.kind {
            MachineType::Standard => {
                self.inner.has_room_for_one_more(origin)?;
                self.start_standard(request, resolved, origin, depth).await
            }
            MachineType::Express => self.start_express(&request, resolved, origin.parent(), depth).await,
        }
    }

    /// What the ARN of a start means; an alias chooses among its routes.
    pub(in crate::engine) async fn resolve(&self, request: &StartRequest) -> Result<Arc<Resolved>, EngineError> {
        let chance = crate::engine::services::entropy::unit();
        self.inner.definitions.resolve(&request.machine, chance).await
    }

    /// Starts an execution that no other start shares, and waits for its end.
    pub async fn run_execution(&self, request: StartRequest) -> Result<Outcome, EngineError> {
        let resolved = self.resolve(&request).await?;
        let (header, started) = self.birth(&request, &resolved, None, self.inner.clock.now())?;
        let partition = self.partition(header.partition)?;
        let arn = header.arn.clone();
        let start = Start { header, started: Box::new(started), machine: Arc::clone(&resolved.compiled) };
        match partition.send(RunToEnd(start)).await.map_err(|e| EngineError::Internal(e.to_string()))? {
            Ok(outcome) => Ok(outcome),
            Err(DeliverError::Store(StoreError::AlreadyExists { .. })) => Err(EngineError::ExecutionAlreadyExists(arn)),
            Err(e) => Err(crate::engine::types::engine_error(e)),
        }
    }

    async fn start_standard(
        &self,
        request: StartRequest,
        resolved: Arc<Resolved>,
        origin: Origin,
        depth: u32,
    ) -> Result<StartedExecution, EngineError> {
        let services = &self.inner;
        let now = services.clock.now();
        let (header, mut started) = self.birth(&request, &resolved, origin.parent(), now)?;
        started.depth = depth;
        let arn = header.arn.clone();
        let Some(partition) = services.partition(header.partition) else {
            return Err(EngineError::Internal("the engine is starting".to_owned()));
        };
        let start = Start { header, started: Box::new(started), machine: Arc::clone(&resolved.compiled) };
        match partition.send(start).await.map_err(|e| EngineError::Internal(e.to_string()))? {
            Ok(told) => Ok(StartedExecution { arn, started: told.at }),
            Err(DeliverError::Store(StoreError::AlreadyExists { .. })) => self.same_again(&request, arn, origin).await,
            Err(e) => Err(crate::engine::types::engine_error(e)),
        }
    }

    /// The name is taken: by the same start (AWS: same input, still running), or by another.
    async fn same_again(
        &self,
        request: &StartRequest,
        arn: crate::ids::Arn,
        origin: Origin,
    ) -> Result<StartedExecution, EngineError> {
        let Some(row) = self.inner.journal.execution_by_arn(&arn).await? else {
            return Err(EngineError::Busy(format!("the name of '{arn}' is changing hands; try again")));
        };
        let same = row.header.input == request.input;
        // A parent's start and a message's are idempotent for ever: the execution may have ended before they heard of
        // it. A parent whose start is another's waits for that one.
        let found = match origin {
            Origin::Caller => same && row.summary.status.is_open(),
            Origin::Parent(key) if row.header.parent == Some(key) => true,
            Origin::Parent(key) => {
                same && self.inner.follow(&row, key).await.map_err(crate::engine::types::engine_error)?
            }
            Origin::Message => same,
        };
        if found {
            Ok(StartedExecution { arn, started: row.header.started })
        } else {
            Err(EngineError::ExecutionAlreadyExists(arn))
        }
    }

    /// What a new execution is made of.
    pub(in crate::engine) fn birth(
        &self,
        request: &StartRequest,
        resolved: &Resolved,
        parent: Option<TaskKey>,
        now: Timestamp,
    ) -> Result<(ExecutionHeader, Started), EngineError> {
        let services = &self.inner;
        let id = crate::engine::services::entropy::execution_id();
        // A UUID, as AWS gives; its own, whose time lets the store keep names in the order of starts.
        let name = request.name.clone().unwrap_or_else(|| id.0.to_string());
        let arn = match resolved.kind {
            MachineType::Standard => services.realm.execution(&resolved.name, &name),
            MachineType::Express => services.realm.express_execution(&resolved.name, &name, id),
        };
        let input =
            Payload::parse(&request.input).map_err(|e| EngineError::Internal(format!("the input is not JSON: {e}")))?;
        let started = Started {
            input,
            role_arn: resolved.role_arn.as_str().into(),
            arn: arn.clone(),
            name: name.as_str().into(),
            machine: resolved.machine.clone(),
            machine_name: resolved.name.as_str().into(),
            version_arn: resolved.version_arn.clone(),
            alias_arn: resolved.alias_arn.clone(),
            parent,
            block: None,
            item: None,
            map_run: None,
            attempt: 0,
            depth: 0,
        };
        let header = ExecutionHeader {
            id,
            partition: services.partition_of(id),
            arn,
            name,
            state_machine: resolved.machine.clone(),
            revision: resolved.revision,
            version_arn: resolved.version_arn.clone(),
            alias_arn: resolved.alias_arn.clone(),
            input: request.input.clone(),
            trace_header: request.trace_header.clone(),
            started: now,
            parent,
            map_run: None,
            item_index: None,
        };
        Ok((header, started))
    }
}

impl EngineHandle {
    /// Not idempotent: each start is an execution of its own, whatever its name.
    pub(in crate::engine) async fn start_express(
        &self,
        request: &StartRequest,
        resolved: Arc<Resolved>,
        parent: Option<TaskKey>,
        depth: u32,
    ) -> Result<StartedExecution, EngineError> {
        // AWS: a task waits for the end of standard executions only (`startExecution.sync`).
        if parent.is_some() {
            return Err(EngineError::TypeNotSupported { machine: resolved.machine.clone(), kind: resolved.kind });
        }
        let (header, mut started) = self.birth(request, &resolved, None, self.inner.clock.now())?;
        started.depth = depth;
        let (arn, partition) = (header.arn.clone(), self.partition(header.partition)?);
        let start = Start { header, started: Box::new(started), machine: Arc::clone(&resolved.compiled) };
        let told = partition
            .send(start)
            .await
            .map_err(|e| EngineError::Internal(e.to_string()))?
            .map_err(crate::engine::types::engine_error)?;
        Ok(StartedExecution { arn, started: told.at })
    }

    pub(in crate::engine) async fn run_express(
        &self,
        request: &StartRequest,
        resolved: Arc<Resolved>,
    ) -> Result<SyncOutcome, EngineError> {
        let (header, started) = self.birth(request, &resolved, None, self.inner.clock.now())?;
        let partition = self.partition(header.partition)?;
        let start =
            Start { header: header.clone(), started: Box::new(started), machine: Arc::clone(&resolved.compiled) };
        let ended = partition.send(RunToEnd(start)).await.map_err(|e| EngineError::Internal(e.to_string()))?;
        let outcome = ended.map_err(crate::engine::types::engine_error)?;
        Ok(SyncOutcome { row: ExecutionRow { header, version: Version(0), summary: closed(&outcome) } })
    }
}
