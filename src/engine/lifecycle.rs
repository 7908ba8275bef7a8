//! An engine begins and ends: its rooms are made and wired here.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::{Actor, Addr, Arbiter};

use crate::bus::{BusError, ExchangeSpec};
use crate::ids::PartitionId;
use crate::objects::Objects;

use super::api::{EngineHandle, health};
use super::coordination::{children, map_run};
use super::delivery::{dead_letters, parking};
use super::execution::express;
use super::partition::{self, messages};
use super::services::{Shared, activity_queues, admission, definitions, footprint, open_count, quarantine};
use super::types::{EngineError, Parts, engine_error};

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
        activities: activity_queues::Activities::new(options.queue_kind, options.activity_pollers),
        express: express::Express::default(),
        map_runs: map_run::Runs::default(),
        pressure: admission::Pressure::default(),
        footprint: footprint::Footprint::new(options.memory_bytes_max),
        open: open_count::Open::default(),
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
        result.map_err(|e| EngineError::Internal(e.to_string()))?.map_err(engine_error)?;
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
