//! The engine's own state in figures, for people.

use crate::bus::BusHealth;
use crate::engine::delivery::parked_messages::ParkedMessages;
use crate::store::Figures;

use super::handle::EngineHandle;

/// The parts of an engine, and their health.
#[derive(Debug)]
pub struct System {
    pub partitions: u16,
    pub threads: usize,
    /// Standard and express executions that are open, and their open tasks.
    pub executions_open: u64,
    pub tasks_open: u64,
    /// Bytes that executions in memory hold.
    pub executions_bytes: u64,
    pub starts_under_way: u64,
    /// Task messages that the broker has not confirmed.
    pub tasks_unpublished: u64,
    /// Refused messages that wait for the parking queue.
    pub parking_waiting: u64,
    pub store: Figures,
    /// `up`, `blocked` or `down`, and why.
    pub broker: (&'static str, Option<String>),
    /// Queues outlive the process.
    pub bus_is_durable: bool,
    pub connections_lost: u64,
    /// Why it is not ready.
    pub missing: Vec<String>,
    /// Facts that stop no work, and are worth a look.
    pub doubts: Vec<String>,
}

impl EngineHandle {
    /// The parking queue, for a person.
    #[must_use]
    pub fn parked_messages(&self) -> ParkedMessages {
        ParkedMessages::new(self.inner.services.bus.clone())
    }

    pub async fn system(&self) -> System {
        let services = &self.inner.services;
        let (store, (express, express_tasks)) = (services.journal.figures(), self.inner.express.open());
        let (starts, unpublished) = services.work_in_progress();
        let (missing, doubts) = match self.ready().await {
            Ok(doubts) => (Vec::new(), doubts),
            Err(missing) => (missing, Vec::new()),
        };
        System {
            partitions: services.options.partitions,
            threads: services.options.threads,
            executions_open: store.open_executions + express,
            tasks_open: store.open_tasks + express_tasks,
            executions_bytes: services.footprint.bytes(),
            starts_under_way: starts as u64,
            tasks_unpublished: unpublished as u64,
            parking_waiting: self.inner.parking.waiting() as u64,
            broker: match services.bus.health() {
                BusHealth::Up => ("up", None),
                BusHealth::Blocked(why) => ("blocked", Some(why)),
                BusHealth::Down(why) => ("down", Some(why)),
            },
            bus_is_durable: services.bus.is_durable(),
            connections_lost: services.bus.facts().connections_lost,
            store,
            missing,
            doubts,
        }
    }
}
