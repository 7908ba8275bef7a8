//! The figures of an engine, as `/metrics` shows them.

use std::time::Duration;

use crate::bus::BusHealth;
use crate::store::{CommitSizes, DestinationWaits};
use crate::telemetry::metrics::{Now, QueueNow};

use super::handle::{Engine, EngineHandle};

/// A scrape waits so long for the store. The former figures of queues stay then.
const WITHIN: Duration = Duration::from_secs(2);
/// Destinations that are read; those behind them in the order of the names are not.
const DESTINATIONS_MAX: u32 = 10_000;

impl EngineHandle {
    /// Metrics in Prometheus' text form. Costs about the same however much the store holds.
    pub async fn metrics(&self) -> String {
        let Engine { services, express, parking, health, .. } = &*self.inner;
        let now = services.clock.now();
        let queue = |waits: DestinationWaits| QueueNow {
            queue: if waits.queue { waits.destination } else { String::new() },
            waiting: waits.count,
            oldest_seconds: now.since(waits.oldest).as_secs_f64(),
        };
        let waits = tokio::time::timeout(WITHIN, services.journal.waits_by_destination(DESTINATIONS_MAX)).await;
        let (bus, facts) = (services.bus.health(), services.bus.facts());
        let (starts, unpublished) = services.work_in_progress();
        let (store, (express, express_tasks)) = (services.journal.figures(), express.open());
        let bounds = CommitSizes::BOUNDS.iter().map(|bound| f64::from(*bound)).chain([f64::INFINITY]);
        services.metrics.parking_waiting(parking.waiting());
        services.metrics.render(&Now {
            executions_open: store.open_executions + express,
            executions_bytes: services.footprint.bytes(),
            tasks_waiting: store.open_tasks + express_tasks,
            queues: waits.ok().and_then(Result::ok).map(|waits| waits.into_iter().map(queue).collect()),
            starts_under_way: starts as u64,
            tasks_unpublished: unpublished as u64,
            bus_up: !matches!(bus, BusHealth::Down(_)),
            bus_blocked: matches!(bus, BusHealth::Blocked(_)),
            bus_reconnects: facts.connections_lost,
            bus_deaf_queues: facts.deaf().count() as u64,
            bus_refused: facts.refused.len() as u64,
            unreadable_messages: facts.mended.clone(),
            set_aside_messages: facts.set_aside.clone(),
            not_ready: health.reasons(),
            commits: bounds.zip(store.commits.counts).collect(),
            commit_events: store.commits.events,
            store_bytes: store.bytes,
            store_log_bytes: store.log_bytes,
            store_failovers: store.failovers,
        })
    }
}
