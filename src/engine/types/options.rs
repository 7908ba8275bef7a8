//! Settings of an engine, and its parts.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::bus::{Bounds, DeclareQueues, Names, QueueKind, TaskBus, TaskHeaders};
use crate::clock::Clock;
use crate::engine::types::announced::Announced;
use crate::engine::types::http_tasks::HttpTasks;
use crate::engine::types::stand_in::StandIn;
use crate::ids::Realm;
use crate::integrations::ServiceTable;
use crate::interpreter::event::Entry;
use crate::limits::EngineBounds;
use crate::objects;
use crate::store::{Catalog, Journal, Ownership};
use crate::telemetry::Traces;
use crate::telemetry::metrics::Metrics;
use crate::token::TokenKeys;

/// Shows an entry as AWS's history event: with data or without, in a region. An entry that AWS does not show is `None`.
/// Given by the room that knows AWS's shapes (`api::history`).
pub type HistoryView = fn(entry: &Entry, data: bool, region: &str) -> Option<Value>;

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Fixed when a store is made: a store's own number wins.
    pub partitions: u16,
    /// Threads that partitions are spread over; 0: all on the caller's own.
    pub threads: usize,
    /// An execution that is idle for so long leaves memory.
    pub passivate_after: Duration,
    /// How often idle executions are looked for.
    pub sweep: Duration,
    /// Executions that are due within this time are kept in memory; later due times wait in the store's index.
    pub horizon: Duration,
    /// So many of them are fetched at once.
    pub due_fetched: u32,
    /// The longest sleep until a moment of the wall clock, which may be put forward or back at any time.
    pub clock_check: Duration,
    /// How often the engine's health is checked; `None`: only on request.
    pub health_check: Option<Duration>,
    /// How long a broker's confirm is held back, so that it can be written together with the reply.
    pub confirm_linger: Duration,
    /// How long after its end a standard execution holds its name (AWS: 90 days).
    pub name_held: Duration,
    /// Closed executions are removed after this time (AWS: 90 days).
    pub retention: Duration,
    /// Cancellations are published to the exchange `reveille.events`.
    pub announce_cancellations: bool,
    /// Machines of whose executions events are published to the exchange `reveille.events`.
    pub events: Announced,
    /// Queue in which a message starts an execution; `None`: there is none.
    pub start_queue: Option<String>,
    /// How history events are shown in the log, for machines whose `loggingConfiguration` asks for them; `None`: they
    /// are not.
    pub history_view: Option<HistoryView>,
    /// Kind of the queues that the engine declares for itself.
    pub queue_kind: QueueKind,
    /// The fields of a task's message.
    pub task_headers: TaskHeaders,
    /// The queues that definitions name.
    pub declare_queues: DeclareQueues,
    /// Of them, the queues that are declared elsewhere.
    pub declared_queues: HashSet<String>,
    /// A child that is started by an ARN of another region or account is this engine's machine of that name.
    pub any_region: bool,
    /// Room of the parking queue; beyond it the oldest messages are dropped.
    pub parking: Bounds,
    pub bounds: EngineBounds,
    /// Where Distributed Maps read and write.
    pub objects: objects::Options,
    /// Makes HTTP calls for `TestState`; `None`: this process makes none.
    pub http_tasks: Option<Arc<dyn HttpTasks>>,
    /// The address of this server for people, without a slash at its end: approval links begin with it.
    pub address: String,
    /// Answers tasks in place of their workers; `None`: all go out.
    pub stand_in: Option<Arc<dyn StandIn>>,
    /// Where spans go; `None`: nothing is traced.
    pub traces: Option<Traces>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            partitions: 8,
            threads: 2,
            passivate_after: Duration::from_mins(1),
            sweep: Duration::from_secs(10),
            horizon: Duration::from_mins(5),
            due_fetched: crate::limits::DUE_FETCHED_MAX,
            clock_check: Duration::from_secs(1),
            health_check: Some(Duration::from_secs(1)),
            confirm_linger: Duration::from_secs(1),
            name_held: Duration::from_hours(90 * 24),
            retention: Duration::from_hours(90 * 24),
            announce_cancellations: true,
            events: Announced::default(),
            history_view: None,
            start_queue: Some(Names::shipped().start()),
            queue_kind: QueueKind::Quorum,
            task_headers: TaskHeaders::Full,
            declare_queues: DeclareQueues::Never,
            declared_queues: HashSet::new(),
            any_region: false,
            parking: Bounds { messages: Some(100_000), bytes: Some(1 << 30) },
            bounds: EngineBounds::default(),
            objects: objects::Options::default(),
            http_tasks: None,
            address: "http://127.0.0.1:8083".to_owned(),
            stand_in: None,
            traces: None,
        }
    }
}

/// How this process shares its store with others.
#[derive(Debug, Clone)]
pub struct Sharing {
    pub store: Arc<dyn Ownership>,
    /// No other process may use the store: its queues are in this one.
    pub alone: bool,
    /// A node whose beat stands still for so long is gone.
    pub lapse: Duration,
}

/// The parts of an engine.
#[derive(Debug)]
pub struct Parts {
    pub realm: Realm,
    pub clock: Arc<dyn Clock>,
    pub journal: Arc<dyn Journal>,
    pub catalog: Arc<dyn Catalog>,
    /// Where several processes share the store; `None`: this one is its only owner.
    pub ownership: Option<Sharing>,
    pub bus: Arc<dyn TaskBus>,
    pub tokens: TokenKeys,
    pub table: ServiceTable,
    pub metrics: Metrics,
    pub options: Options,
}
