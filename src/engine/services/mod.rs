//! What all rooms share, without an execution.

pub(in crate::engine) mod activity_queues;
pub(in crate::engine) mod admission;
pub(in crate::engine) mod definitions;
pub(in crate::engine) mod entropy;
pub(in crate::engine) mod footprint;
pub(in crate::engine) mod intake;
pub(in crate::engine) mod logging;
pub(in crate::engine) mod open_count;
pub(in crate::engine) mod quarantine;
pub(in crate::engine) mod resources;
pub(in crate::engine) mod task_identity;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::{Addr, Arbiter};

use crate::bus::TaskBus;
use crate::clock::{Clock, Timestamp};
use crate::engine::api::health;
use crate::engine::coordination::{children, map_run};
use crate::engine::delivery::parking;
use crate::engine::execution::express;
use crate::engine::partition;
use crate::engine::types::Options;
use crate::ids::{PartitionId, Realm, TaskKey};
use crate::integrations::Table;
use crate::objects::Objects;
use crate::store::{Append, Catalog, ExecutionHeader, Journal, StoreError, StoreResult};
use crate::telemetry::metrics::Metrics;
use crate::token::TokenKeys;

/// How long after a failure of the store the same is tried again.
pub(in crate::engine) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What all actors and handles share.
pub(in crate::engine) struct Services {
    pub(in crate::engine) realm: Realm,
    pub(in crate::engine) clock: Arc<dyn Clock>,
    pub(in crate::engine) journal: Arc<dyn Journal>,
    pub(in crate::engine) catalog: Arc<dyn Catalog>,
    pub(in crate::engine) bus: Arc<dyn TaskBus>,
    pub(in crate::engine) tokens: TokenKeys,
    pub(in crate::engine) table: Table,
    pub(in crate::engine) metrics: Metrics,
    pub(in crate::engine) options: Options,
    pub(in crate::engine) definitions: definitions::Definitions,
    pub(in crate::engine) activities: activity_queues::Activities,
    pub(in crate::engine) express: express::Express,
    pub(in crate::engine) map_runs: map_run::Runs,
    pub(in crate::engine) admission: admission::Admission,
    pub(in crate::engine) footprint: footprint::Footprint,
    pub(in crate::engine) open: open_count::Open,
    pub(in crate::engine) quarantine: quarantine::Quarantine,
    pub(in crate::engine) parking: parking::Parking,
    pub(in crate::engine) health: health::Health,
    /// Children that are being started now.
    pub(in crate::engine) pending_starts: children::PendingStarts,
    pub(in crate::engine) objects: Objects,
    pub(in crate::engine) partitions: OnceLock<Vec<Addr<partition::Partition>>>,
    pub(in crate::engine) arbiters: Vec<Arbiter>,
}

impl Services {
    pub(in crate::engine) fn partition_of(&self, execution: crate::ids::ExecutionId) -> PartitionId {
        PartitionId::of(execution, self.options.partitions)
    }

    pub(in crate::engine) fn partition(&self, id: PartitionId) -> Option<Addr<partition::Partition>> {
        self.partitions.get()?.get(usize::from(id.0)).cloned()
    }

    pub(in crate::engine) fn token(&self, key: &TaskKey) -> String {
        self.tokens.mint(key, self.partition_of(key.execution))
    }

    /// Makes an execution, or appends to its journal; durable when it returns `Ok`.
    pub(in crate::engine) async fn write(
        &self,
        birth: Option<Box<ExecutionHeader>>,
        append: Append,
    ) -> StoreResult<()> {
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
