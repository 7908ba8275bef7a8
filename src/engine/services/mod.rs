//! The parts that all rooms share, without an execution.

pub(in crate::engine) mod activity_queues;
pub(in crate::engine) mod admission;
mod admit;
pub(in crate::engine) mod away;
pub(in crate::engine) mod courier;
pub(in crate::engine) mod definitions;
pub(in crate::engine) mod entropy;
pub(in crate::engine) mod events;
pub(in crate::engine) mod feed;
pub(in crate::engine) mod footprint;
mod history_lines;
pub(in crate::engine) mod intake;
mod links;
pub(in crate::engine) mod logging;
pub(in crate::engine) mod onlookers;
pub(in crate::engine) mod open_count;
pub(in crate::engine) mod quarantine;
pub(in crate::engine) mod redrivable;
pub(in crate::engine) mod resources;
pub(in crate::engine) mod seat;
pub(in crate::engine) mod task_identity;
pub(in crate::engine) mod task_queues;

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::bus::TaskBus;
use crate::clock::Clock;
use crate::engine::types::{DeliverError, Options, Parts};
use crate::ids::{ExecutionId, PartitionId, Realm, TaskKey};
use crate::integrations::ServiceTable;
use crate::limits;
use crate::objects::Objects;
use crate::store::{Catalog, Journal};
use crate::telemetry::Traces;
use crate::telemetry::metrics::Metrics;
use crate::token::TokenKeys;
use crate::trace::Sampling;

pub(in crate::engine) use crate::engine::types::RETRY_AFTER;

/// The ports, the engine's identity, and what every room may use. It knows no execution and no actor.
pub(in crate::engine) struct Services {
    pub realm: Realm,
    pub clock: Arc<dyn Clock>,
    pub journal: Arc<dyn Journal>,
    pub catalog: Arc<dyn Catalog>,
    pub bus: Arc<dyn TaskBus>,
    pub tokens: TokenKeys,
    pub table: ServiceTable,
    pub metrics: Metrics,
    pub options: Options,
    pub objects: Objects,
    pub seat: Arc<seat::Seat>,
    pub courier: courier::Courier,
    pub definitions: definitions::Definitions,
    pub activities: activity_queues::Activities,
    pub task_queues: task_queues::TaskQueues,
    pub footprint: footprint::Footprint,
    pub open: open_count::Open,
    pub feed: Arc<feed::Feeder>,
    pub quarantine: quarantine::Quarantine,
    admission: Arc<admission::Admission>,
}

impl Services {
    pub fn new(parts: Parts) -> Arc<Self> {
        let options = parts.options;
        let (seat, feed) = (Arc::<seat::Seat>::default(), Arc::<feed::Feeder>::default());
        let away = Arc::new(away::Away::new(
            Arc::clone(&parts.bus),
            Arc::clone(&parts.clock),
            parts.tokens.clone(),
            parts.metrics.clone(),
            Arc::clone(&seat),
            onlookers::Onlookers::new(Arc::clone(&feed)),
        ));
        Arc::new(Self {
            definitions: definitions::Definitions::new(Arc::clone(&parts.catalog)),
            quarantine: quarantine::Quarantine::new(Arc::clone(&parts.journal), parts.metrics.clone()),
            open: open_count::Open::new(
                Arc::clone(&parts.journal),
                options.bounds.executions_open_max,
                parts.metrics.clone(),
            ),
            realm: parts.realm,
            clock: parts.clock,
            journal: parts.journal,
            catalog: parts.catalog,
            bus: parts.bus,
            tokens: parts.tokens,
            table: parts.table,
            metrics: parts.metrics,
            objects: Objects::new(&options.objects),
            courier: courier::Courier::new(options.partitions, Arc::clone(&seat), away),
            seat,
            activities: activity_queues::Activities::new(options.queue_kind, options.bounds.activity_pollers_max),
            task_queues: task_queues::TaskQueues::default(),
            footprint: footprint::Footprint::new(options.bounds.memory_bytes_max),
            feed,
            admission: Arc::default(),
            options,
        })
    }

    /// The partition of an execution: fixed by its id.
    pub fn partition_of(&self, execution: ExecutionId) -> PartitionId {
        self.courier.partition_of(execution)
    }

    /// An id for a new execution, whose partition is here. A node that has none (it was taken for dead, and joins
    /// again) waits a while for its first.
    ///
    /// # Errors
    /// No partition is here.
    pub async fn execution_id(&self) -> Result<ExecutionId, DeliverError> {
        self.drawn(Self::draw).await
    }

    /// An id for a new express execution, which lives on this node.
    ///
    /// # Errors
    /// This node has not joined.
    pub async fn express_id(&self) -> Result<ExecutionId, DeliverError> {
        self.drawn(Self::draw_express).await
    }

    async fn drawn(
        &self,
        draw: impl Fn(&Self) -> Result<ExecutionId, DeliverError>,
    ) -> Result<ExecutionId, DeliverError> {
        let until = Instant::now() + limits::PARTITION_WAIT;
        loop {
            let opened = self.courier.opened();
            let drawn = draw(self);
            if drawn.is_ok() || timeout_at(until, opened).await.is_err() {
                return drawn;
            }
        }
    }

    fn draw(&self) -> Result<ExecutionId, DeliverError> {
        let mut id = entropy::execution_id();
        if self.seat.is_alone() {
            return Ok(id);
        }
        // One of a few nodes finds one within a few draws.
        for _ in 0..limits::ID_DRAWS_MAX {
            if self.courier.epoch_of(self.partition_of(id)).is_some() {
                return Ok(id);
            }
            id = entropy::execution_id();
        }
        Err(DeliverError::NoPartition)
    }

    fn draw_express(&self) -> Result<ExecutionId, DeliverError> {
        let id = entropy::execution_id();
        if self.seat.is_alone() {
            return Ok(id);
        }
        let mine = self.courier.express_partitions();
        let chosen = usize::from(id.0.as_bytes()[13]).checked_rem(mine.len()).and_then(|at| mine.get(at));
        chosen.map(|partition| id.placed_in(*partition)).ok_or(DeliverError::NoPartition)
    }

    /// The share of traces that are collected where the caller says nothing.
    pub fn sampling(&self) -> Sampling {
        self.options.traces.as_ref().map_or(Sampling(1.0), Traces::sampling)
    }

    pub fn token(&self, key: &TaskKey) -> String {
        self.tokens.mint(key, self.partition_of(key.execution))
    }
}
