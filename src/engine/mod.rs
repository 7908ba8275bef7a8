//! THE SHELL: actix actors around the core. [`EngineHandle`] is its only face; API, console and CLI see nothing else of
//! it.
//!
//! ```text
//! EngineHandle ─┐
//!   router  ────┼─► Partition (finds or revives) ─► ExecutionActor: decide → append → perform ─► bus
//!   timers  ────┘        one per partition, pinned to an arbiter          └──► store (group commit)
//! ```
//! May enter: the ports `store` and `bus` (never an adapter), `objects`, `integrations`, `interpreter`, `telemetry` and
//! below.

mod activities;
#[cfg(test)]
mod activities_tests;
#[cfg(test)]
mod bounds_tests;
mod calls;
mod chance;
mod children;
#[cfg(test)]
mod children_tests;
#[cfg(test)]
mod clock_tests;
pub mod dead_letters;
mod definitions;
mod ear;
pub mod event_log;
mod execution;
mod express;
#[cfg(test)]
mod express_tests;
pub mod footprint;
mod handle;
mod health;
#[cfg(test)]
mod health_tests;
mod held;
mod history;
mod housekeeping;
pub mod inbox;
mod intake;
mod lines;
mod loading;
pub mod map_run;
mod messages;
mod open;
mod parking;
mod partition;
mod perform;
mod pressure;
#[cfg(test)]
mod pressure_tests;
pub mod quarantine;
#[cfg(test)]
mod recovery_tests;
mod residents;
mod resources;
mod router;
#[cfg(test)]
mod router_tests;
#[cfg(test)]
mod sim;
mod start;
mod story;
mod summary;
#[cfg(test)]
pub(crate) mod support;
mod tail;
mod timers;
mod turns;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::{Actor, Addr, Arbiter};

use crate::bus::{Bounds, BusError, ExchangeSpec, Names, QueueKind, TaskBus};
use crate::clock::{Clock, Timestamp};
use crate::ids::{PartitionId, Realm, TaskKey};
use crate::integrations::Table;
use crate::objects::{self, Objects};
use crate::store::{Append, Catalog, ExecutionHeader, Journal, StoreError, StoreResult};
use crate::telemetry::metrics::Metrics;
use crate::token::TokenKeys;

pub use handle::{
    ActivityTask, Completion, CompletionError, EngineError, EngineHandle, HistoryPage, HistoryQuery, StartRequest,
    StartedExecution, SyncOutcome, WaitingTask,
};
pub use map_run::{MapRunChange, MapRunError};

/// How long after a failure of the store the same is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The partition that looks after what belongs to no execution.
const HOUSEKEEPER: PartitionId = PartitionId(0);
/// Executions recovered at once after a start.
const RECOVERY_PAGE: u32 = 200;

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Fixed when a store is made; what the store has wins.
    pub partitions: u16,
    /// Threads that partitions are spread over; 0: all on the caller's own.
    pub threads: usize,
    /// An execution that nothing happens to for so long leaves memory.
    pub passivate_after: Duration,
    /// How often idle executions are looked for.
    pub sweep: Duration,
    /// What is due within this time is kept in memory; the rest waits in the store's index.
    pub horizon: Duration,
    /// The wall clock may be put forward or back at any time: who waits for a moment of it looks at it again so often.
    pub clock_check: Duration,
    /// How often it is looked whether all that the engine needs is there; `None`: never, but when it is asked.
    pub health_check: Option<Duration>,
    /// A broker's confirm waits so long for the reply, to share its append.
    pub confirm_linger: Duration,
    /// How long after its end a standard execution holds its name (AWS: 90 days).
    pub name_held: Duration,
    /// Closed executions are removed after this time (AWS: 90 days).
    pub retention: Duration,
    /// Cancellations are published to the exchange `reveille.events`.
    pub announce_cancellations: bool,
    /// Queue in which a message starts an execution; `None`: there is none.
    pub start_queue: Option<String>,
    /// How history events are shown in the log, for machines whose `loggingConfiguration` asks for them; `None`: they
    /// are not.
    pub history_view: Option<event_log::HistoryView>,
    /// Pollers that may wait for activity tasks at once.
    pub activity_pollers: usize,
    /// Kind of the queues that the engine declares for itself.
    pub queue_kind: QueueKind,
    /// What the parking queue holds; beyond it the oldest messages are dropped.
    pub parking: Bounds,
    /// Starts under way at once; more are refused (`ThrottlingException`).
    pub starts_max: usize,
    /// Task messages that the broker has not confirmed, beyond which new starts are refused.
    pub unpublished_max: usize,
    /// Bytes that one execution may hold in memory, and in its journal; it ends where it goes over one.
    pub execution_bytes_max: u64,
    pub journal_bytes_max: u64,
    /// Bytes that all executions in memory may hold together.
    pub memory_bytes_max: u64,
    /// Executions that may have started each other, one below the other.
    pub nesting_max: u32,
    /// Standard executions that may be open.
    pub executions_open_max: u64,
    /// Where Distributed Maps read and write.
    pub objects: objects::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            partitions: 8,
            threads: 2,
            passivate_after: Duration::from_mins(1),
            sweep: Duration::from_secs(10),
            horizon: Duration::from_mins(5),
            clock_check: Duration::from_secs(1),
            health_check: Some(Duration::from_secs(1)),
            confirm_linger: Duration::from_secs(1),
            name_held: Duration::from_hours(90 * 24),
            retention: Duration::from_hours(90 * 24),
            announce_cancellations: true,
            history_view: None,
            start_queue: Some(Names::shipped().start()),
            activity_pollers: crate::limits::ACTIVITY_POLLERS_MAX,
            queue_kind: QueueKind::Quorum,
            parking: Bounds { messages: Some(100_000), bytes: Some(1 << 30) },
            starts_max: 2_000,
            unpublished_max: 10_000,
            execution_bytes_max: crate::limits::EXECUTION_BYTES_MAX,
            memory_bytes_max: crate::limits::MEMORY_BYTES_MAX,
            journal_bytes_max: crate::limits::JOURNAL_BYTES_MAX,
            nesting_max: crate::limits::NESTING_MAX,
            executions_open_max: crate::limits::EXECUTIONS_OPEN_MAX,
            objects: objects::Options::default(),
        }
    }
}

/// What an engine is made of.
#[derive(Debug)]
pub struct Parts {
    pub realm: Realm,
    pub clock: Arc<dyn Clock>,
    pub journal: Arc<dyn Journal>,
    pub catalog: Arc<dyn Catalog>,
    pub bus: Arc<dyn TaskBus>,
    pub tokens: TokenKeys,
    pub table: Table,
    pub metrics: Metrics,
    pub options: Options,
}

/// What all actors and handles share.
pub(crate) struct Shared {
    realm: Realm,
    clock: Arc<dyn Clock>,
    journal: Arc<dyn Journal>,
    catalog: Arc<dyn Catalog>,
    bus: Arc<dyn TaskBus>,
    tokens: TokenKeys,
    table: Table,
    metrics: Metrics,
    options: Options,
    definitions: definitions::Definitions,
    activities: activities::Activities,
    express: express::Express,
    map_runs: map_run::Runs,
    pressure: pressure::Pressure,
    footprint: footprint::Footprint,
    open: open::Open,
    quarantine: quarantine::Quarantine,
    parking: parking::Parking,
    health: health::Health,
    /// Children that are being started now.
    births: children::Births,
    objects: Objects,
    partitions: OnceLock<Vec<Addr<partition::Partition>>>,
    arbiters: Vec<Arbiter>,
}

impl Shared {
    fn partition_of(&self, execution: crate::ids::ExecutionId) -> PartitionId {
        PartitionId::of(execution, self.options.partitions)
    }

    fn partition(&self, id: PartitionId) -> Option<Addr<partition::Partition>> {
        self.partitions.get()?.get(usize::from(id.0)).cloned()
    }

    fn token(&self, key: &TaskKey) -> String {
        self.tokens.mint(key, self.partition_of(key.execution))
    }

    /// Makes an execution, or appends to its journal; durable when it returns `Ok`.
    async fn write(&self, birth: Option<Box<ExecutionHeader>>, append: Append) -> StoreResult<()> {
        let began = tokio::time::Instant::now();
        let written = match birth {
            Some(header) => {
                let reusable_before = self.name_reusable_before(&header);
                self.journal.create(*header, append, reusable_before).await
            }
            None => self.journal.append(append).await,
        };
        match &written {
            Ok(()) => self.metrics.append(began.elapsed()),
            Err(StoreError::VersionConflict { .. }) => self.metrics.append_conflict(),
            Err(_) => {}
        }
        written
    }

    /// The name of this execution is free where the one that has it closed before this moment.
    fn name_reusable_before(&self, header: &ExecutionHeader) -> Timestamp {
        if header.map_run.is_some() {
            // A child of a map run is itself for ever: its run may be redriven when its name would be free for others.
            return Timestamp::from_millis(i64::MIN);
        }
        let held = i64::try_from(self.options.name_held.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.clock.now().millis().saturating_sub(held))
    }
}

/// Starts an engine: declares what it owns on the bus, recovers what is owed, then takes replies and keeps time.
///
/// # Errors
/// Where the store cannot be read or holds other fixed settings.
pub async fn start(parts: Parts) -> Result<EngineHandle, EngineError> {
    let mut options = parts.options;
    let fixed = parts.catalog.fix_setting("engine.partitions", &options.partitions.max(1).to_string()).await?;
    options.partitions =
        fixed.parse().map_err(|_| EngineError::Internal(format!("the store fixes engine.partitions to '{fixed}'")))?;
    let arbiters: Vec<Arbiter> = (0..options.threads).map(|_| Arbiter::new()).collect();
    let shared = Arc::new(Shared {
        definitions: definitions::Definitions::new(Arc::clone(&parts.catalog)),
        realm: parts.realm,
        clock: parts.clock,
        journal: parts.journal,
        catalog: parts.catalog,
        bus: parts.bus,
        tokens: parts.tokens,
        table: parts.table,
        metrics: parts.metrics,
        activities: activities::Activities::new(options.queue_kind, options.activity_pollers),
        express: express::Express::default(),
        map_runs: map_run::Runs::default(),
        pressure: pressure::Pressure::default(),
        footprint: footprint::Footprint::new(options.memory_bytes_max),
        open: open::Open::default(),
        quarantine: quarantine::Quarantine::default(),
        parking: parking::Parking::default(),
        health: health::Health::default(),
        births: children::Births::default(),
        objects: Objects::new(&options.objects),
        partitions: OnceLock::new(),
        arbiters,
        options,
    });
    shared.count_open().await?;
    declare(&shared);
    let partitions: Vec<Addr<partition::Partition>> = (0..shared.options.partitions)
        .map(|n| {
            let theirs = Arc::clone(&shared);
            let own = usize::from(n).checked_rem(shared.arbiters.len()).and_then(|at| shared.arbiters.get(at));
            let arbiter = own.map_or_else(Arbiter::current, Arbiter::handle);
            partition::Partition::start_in_arbiter(&arbiter, move |_| partition::Partition::new(PartitionId(n), theirs))
        })
        .collect();
    let _ = shared.partitions.set(partitions.clone());
    for result in futures_util::future::join_all(partitions.iter().map(|p| p.send(messages::Begin))).await {
        result.map_err(|e| EngineError::Internal(e.to_string()))?.map_err(handle::engine_error)?;
    }
    actix_rt::spawn(dead_letters::run(Arc::clone(&shared)));
    if let Some(pause) = shared.options.health_check {
        actix_rt::spawn(health::watch(Arc::downgrade(&shared), pause));
    }
    Ok(EngineHandle { inner: shared })
}

/// The queues and exchanges that the engine owns. In the background: a broker that is away must not hold up the start.
fn declare(shared: &Arc<Shared>) {
    let exchanges = vec![ExchangeSpec { name: shared.bus.names().events(), kind: "topic" }];
    let shared = Arc::clone(shared);
    actix_rt::spawn(async move {
        // First, and by itself: another's refusal must not leave it out.
        shared.declare_parking().await;
        let said = shared.bus.declare(exchanges, Vec::new(), Vec::new()).await;
        // What the broker refuses the bus tells.
        if let Err(e @ (BusError::BadUrl(_) | BusError::Closed | BusError::Unavailable(_))) = said {
            tracing::error!(error = %e, "the engine's exchanges could not be declared");
        }
        let (engine, pause) = (Arc::downgrade(&shared), shared.options.sweep);
        drop(shared);
        parking::watch(engine, pause).await;
    });
}

impl EngineHandle {
    /// Lets what is under way end, then the bus tell what it has (both together at most `within`); what waits goes on
    /// after the next start.
    pub async fn stop(&self, within: Duration) {
        self.inner.health.stop();
        let until = tokio::time::Instant::now() + within;
        let drains = self.inner.partitions.get().into_iter().flatten().map(|p| p.send(messages::Drain));
        let _ = tokio::time::timeout_at(until, futures_util::future::join_all(drains)).await;
        self.inner.bus.close(until.saturating_duration_since(tokio::time::Instant::now())).await;
        for arbiter in &self.inner.arbiters {
            arbiter.stop();
        }
    }
}
