//! A start: the ARN resolves to a revision, the name to an ARN, and a new execution begins under it. Where the name is
//! taken, the caller decides on the meaning.

use std::borrow::Cow;
use std::sync::Arc;

use crate::asl::model::Machine;
use crate::clock::Timestamp;
use crate::engine::journal::summary::closed;
use crate::engine::services::definitions::Resolved;
use crate::engine::services::{Services, entropy};
use crate::engine::types::{DeliverError, EngineError, Start, StartRequest, StartedExecution, SyncOutcome};
use crate::ids::{ExecutionId, TaskKey, Version};
use crate::interpreter::event::{Payload, Started};
use crate::interpreter::state::Outcome;
use crate::limits::STARTS_AGAIN_MAX;
use crate::store::{ExecutionHeader, ExecutionRow, MachineType, StoreError};
use crate::trace::TraceOrigin;

/// The caller that asks for an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Origin {
    Caller,
    /// A message, which waits in its queue until there is room.
    Message,
    /// A task of another execution. `waits`: it ends when the new one ends. So many executions (`depth`) started each
    /// other before the new one.
    Task {
        key: TaskKey,
        waits: bool,
        depth: u32,
    },
}

impl Origin {
    fn parent(self) -> Option<TaskKey> {
        match self {
            Self::Task { key, waits: true, .. } => Some(key),
            Self::Task { .. } | Self::Caller | Self::Message => None,
        }
    }

    fn depth(self) -> u32 {
        match self {
            Self::Task { depth, .. } => depth,
            Self::Caller | Self::Message => 0,
        }
    }
}

/// How a start ended.
#[derive(Debug)]
pub(in crate::engine) enum StartOutcome {
    Started(StartedExecution),
    /// Another execution has the name.
    NameTaken(Box<ExecutionRow>),
}

/// The machine and revision of a start's ARN; an alias chooses among its routes.
pub(in crate::engine) async fn resolve(
    services: &Services,
    request: &StartRequest,
) -> Result<Arc<Resolved>, EngineError> {
    services.definitions.resolve(&request.machine, entropy::unit()).await
}

/// Starts an execution; durable when it returns.
pub(in crate::engine) async fn start(
    services: &Arc<Services>,
    request: &StartRequest,
    origin: Origin,
) -> Result<StartOutcome, EngineError> {
    let (depth, most) = (origin.depth(), services.options.bounds.nesting_max);
    if depth > most {
        services.metrics.start_refused("nesting");
        return Err(EngineError::LimitReached(format!(
            "{most} executions have started each other, as many as engine.nesting_max lets"
        )));
    }
    let resolved = resolve(services, request).await?;
    let _turn = if depth > 0 { Some(services.admit_child().await?) } else { None };
    let _admitted = if depth > 0 { None } else { Some(services.admit()?) };
    match resolved.kind {
        MachineType::Standard => {
            services.open.has_room_for_one_more().map_err(|why| match origin {
                Origin::Message => EngineError::Busy(why),
                Origin::Caller | Origin::Task { .. } => EngineError::LimitReached(why),
            })?;
            standard(services, request, &resolved, origin).await
        }
        MachineType::Express => express(services, request, &resolved, origin).await,
    }
}

async fn standard(
    services: &Services,
    request: &StartRequest,
    resolved: &Resolved,
    origin: Origin,
) -> Result<StartOutcome, EngineError> {
    let mut request = Cow::Borrowed(request);
    let mut made: Vec<ExecutionId> = Vec::new();
    loop {
        let start = message(services, &request, resolved, origin).await?;
        let ExecutionHeader { id, arn, name, .. } = &start.header;
        let (id, arn, name) = (*id, arn.clone(), name.clone());
        match services.courier.start(start).await {
            Ok(applied) => return Ok(StartOutcome::Started(StartedExecution { arn, started: applied.at })),
            Err(DeliverError::Store(StoreError::AlreadyExists { .. })) => {
                let holder = services.journal.execution_by_arn(&arn).await?;
                let busy = || EngineError::Busy(format!("the name of '{arn}' is changing hands; try again"));
                let row = holder.ok_or_else(busy)?;
                if made.contains(&row.header.id) {
                    let started = row.header.started;
                    return Ok(StartOutcome::Started(StartedExecution { arn, started }));
                }
                return Ok(StartOutcome::NameTaken(Box::new(row)));
            }
            // It met a handover: perhaps it was written, perhaps not. Another one of the same name tells, or takes its
            // place.
            Err(e) if e.is_handover() && services.courier.away().has_others() && made.len() < STARTS_AGAIN_MAX => {
                made.push(id);
                request.to_mut().name = Some(name);
            }
            Err(e) => return Err(e.into()),
        }
    }
}

/// Not idempotent: each start is an execution of its own, under any name.
async fn express(
    services: &Services,
    request: &StartRequest,
    resolved: &Resolved,
    origin: Origin,
) -> Result<StartOutcome, EngineError> {
    // AWS: a task waits for the end of standard executions only (`startExecution.sync`).
    if origin.parent().is_some() {
        return Err(EngineError::TypeNotSupported { machine: resolved.machine.clone(), kind: resolved.kind });
    }
    let start = message(services, request, resolved, origin).await?;
    let arn = start.header.arn.clone();
    let applied = services.courier.start(start).await?;
    Ok(StartOutcome::Started(StartedExecution { arn, started: applied.at }))
}

async fn message(
    services: &Services,
    request: &StartRequest,
    resolved: &Resolved,
    origin: Origin,
) -> Result<Start, EngineError> {
    let id = match resolved.kind {
        MachineType::Standard => services.execution_id().await?,
        MachineType::Express => services.express_id().await?,
    };
    let now = services.clock.now();
    let (header, mut started) = new_execution(services, id, request, resolved, origin.parent(), now)?;
    started.depth = origin.depth();
    let machine = Arc::clone(&resolved.compiled);
    // Messages and children wait in their own queues.
    Ok(Start { header, started: Box::new(started), machine, hurries: origin == Origin::Caller })
}

/// Starts a fork of `source`, whose first event is `started`; durable when it returns.
pub(in crate::engine) async fn fork(
    services: &Arc<Services>,
    source: &ExecutionHeader,
    name: Option<&str>,
    started: Started,
    machine: Arc<Machine>,
) -> Result<StartedExecution, EngineError> {
    let _admitted = services.admit()?;
    services.open.has_room_for_one_more().map_err(EngineError::LimitReached)?;
    let id = services.execution_id().await?;
    let name = name.map_or_else(|| id.0.to_string(), str::to_owned);
    let arn = services.realm.execution(source.state_machine.last(), &name);
    let header = ExecutionHeader {
        id,
        partition: services.partition_of(id),
        arn: arn.clone(),
        name: name.clone(),
        started: services.clock.now(),
        parent: None,
        forked: Some(source.id),
        ..source.clone()
    };
    let started = Started { arn: arn.clone(), name: name.into(), ..started };
    match services.courier.start(Start { header, started: Box::new(started), machine, hurries: true }).await {
        Ok(applied) => Ok(StartedExecution { arn, started: applied.at }),
        Err(DeliverError::Store(StoreError::AlreadyExists { .. })) => Err(EngineError::ExecutionAlreadyExists(arn)),
        Err(e) => Err(e.into()),
    }
}

/// Starts an execution that no other start shares, and waits for its end.
pub(in crate::engine) async fn run_to_end(services: &Services, request: &StartRequest) -> Result<Outcome, EngineError> {
    let resolved = resolve(services, request).await?;
    let start = message(services, request, &resolved, Origin::Caller).await?;
    let arn = start.header.arn.clone();
    // The caller waits for the end, not for the start.
    services.courier.run_to_end(Start { hurries: false, ..start }).await.map_err(|e| match e {
        DeliverError::Store(StoreError::AlreadyExists { .. }) => EngineError::ExecutionAlreadyExists(arn),
        e => e.into(),
    })
}

/// Starts an express execution, and waits for its end (at most five minutes).
pub(in crate::engine) async fn run_express(
    services: &Services,
    request: &StartRequest,
    resolved: &Resolved,
) -> Result<SyncOutcome, EngineError> {
    let start = message(services, request, resolved, Origin::Caller).await?;
    let header = start.header.clone();
    let outcome = services.courier.run_to_end(start).await?;
    Ok(SyncOutcome { row: ExecutionRow { header, version: Version(0), summary: closed(&outcome) } })
}

/// Header and first event of a new execution.
fn new_execution(
    services: &Services,
    id: ExecutionId,
    request: &StartRequest,
    resolved: &Resolved,
    parent: Option<TaskKey>,
    now: Timestamp,
) -> Result<(ExecutionHeader, Started), EngineError> {
    // A UUID, as AWS gives; its own, whose time lets the store keep names in the order of starts.
    let name = request.name.clone().unwrap_or_else(|| id.0.to_string());
    let arn = match resolved.kind {
        MachineType::Standard => services.realm.execution(&resolved.name, &name),
        MachineType::Express => services.realm.express_execution(&resolved.name, &name, id),
    };
    let input =
        Payload::parse(&request.input).map_err(|e| EngineError::Internal(format!("the input is not JSON: {e}")))?;
    let x_ray = request.trace_header.as_deref().and_then(|text| TraceOrigin::of_x_ray(text, services.sampling()));
    let trace = x_ray.map(Box::new).or_else(|| request.trace.clone());
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
        forked: None,
        trace,
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
        forked: None,
    };
    Ok((header, started))
}
