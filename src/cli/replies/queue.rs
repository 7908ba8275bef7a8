//! The parking queue as the commands read it: messages are taken out without an acknowledgement and go back when they
//! are dropped.

use std::sync::Arc;

use crate::bus::parked::{Filter, Parked};
use crate::bus::{BusError, Delivery, TaskBus};
use crate::cli::CliError;
use crate::clock::Timestamp;

/// The parking queue of a broker.
pub(super) struct ParkingQueue {
    pub(super) bus: Arc<dyn TaskBus>,
    pub(super) now: Timestamp,
}

/// A message that was taken out of the queue.
pub(super) struct Held {
    pub(super) parked: Parked,
    /// The filter selects it.
    pub(super) chosen: bool,
    pub(super) delivery: Delivery,
}

/// Messages that were taken out. When dropped, they go back in their order. Messages that the filter does not select
/// are held too, or they would come again at once.
pub(super) struct Taken {
    pub(super) held: Vec<Held>,
    /// There was more in the queue.
    pub(super) more: bool,
}

impl Taken {
    pub(super) fn chosen(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| held.chosen)
    }
}

impl ParkingQueue {
    pub(super) async fn take(&self, filter: &Filter, limit: u32) -> Result<Taken, CliError> {
        let mut held = Vec::new();
        let hold = |delivery: Delivery, within: bool| {
            let parked = Parked::of(&delivery.message);
            Held { chosen: within && filter.takes(&parked), parked, delivery }
        };
        let queue = self.bus.names().parked();
        let asked = |taken: Result<Option<Delivery>, BusError>| taken.map_err(|error| bus_error(&error, &queue));
        for _ in 0..limit {
            match asked(self.bus.get(&queue).await)? {
                Some(delivery) => held.push(hold(delivery, true)),
                None => return Ok(Taken { held, more: false }),
            }
        }
        let next = asked(self.bus.get(&queue).await)?;
        let more = next.is_some();
        held.extend(next.map(|delivery| hold(delivery, false)));
        Ok(Taken { held, more })
    }
}

fn bus_error(error: &BusError, queue: &str) -> CliError {
    match error {
        BusError::Refused { why, .. } if why.contains("NOT_FOUND") => {
            CliError::failed(format!("there is no queue {queue} on this broker"))
                .hint("a server makes it when it starts; is the URL's virtual host right?")
        }
        _ => CliError::failed(error.to_string()),
    }
}
