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
use super::services::{Services, activity_queues, admission, definitions, footprint, open_count, quarantine};
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
    let services = Arc::new(Services {
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
        admission: admission::Admission::default(),
        footprint: footprint::Footprint::new(options.memory_bytes_max),
        open: open_count::Open::default(),
        quarantine: quarantine::Quarantine::default(),
        parking: parking::Parking::default(),
        health: health::Health::default(),
        pending_starts: children::PendingStarts::default(),
        objects: Objects::new(&options.objects),
        partitions: OnceLock::new(),
        arbiters,
        options,
    });
    services.count_open().await?;
    declare(&services);
    let partitions: Vec<Addr<partition::Partition>> = (0..services.options.partitions)
        .map(|n| {
            let theirs = Arc::clone(&services);
            let own = usize::from(n).checked_rem(services.arbiters.len()).and_then(|at| services.arbiters.get(at));
            let arbiter = own.map_or_else(Arbiter::current, Arbiter::handle);
            partition::Partition::start_in_arbiter(&arbiter, move |_| partition::Partition::new(PartitionId(n), theirs))
        })
        .collect();
    let _ = services.partitions.set(partitions.clone());
    for result in futures_util::future::join_all(partitions.iter().map(|p| p.send(messages::Begin))).await {
        result.map_err(|e| EngineError::Internal(e.to_string()))?.map_err(engine_error)?;
    }
    actix_rt::spawn(dead_letters::run(Arc::clone(&services)));
    if let Some(pause) = services.options.health_check {
        actix_rt::spawn(health::watch(Arc::downgrade(&services), pause));
    }
    Ok(EngineHandle { inner: services })
}

/// The queues and exchanges that the engine owns. In the background: a broker that is away must not hold up the start.
fn declare(services: &Arc<Services>) {
    let exchanges = vec![ExchangeSpec { name: services.bus.names().events(), kind: "topic" }];
    let services = Arc::clone(services);
    actix_rt::spawn(async move {
        // First, and by itself: another's refusal must not leave it out.
        services.declare_parking().await;
        let said = services.bus.declare(exchanges, Vec::new(), Vec::new()).await;
        // What the broker refuses the bus tells.
        if let Err(e @ (BusError::BadUrl(_) | BusError::Closed | BusError::Unavailable(_))) = said {
            tracing::error!(error = %e, "the engine's exchanges could not be declared");
        }
        let (engine, pause) = (Arc::downgrade(&services), services.options.sweep);
        drop(services);
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
