//! The parking queue, as the commands look at it: messages are taken out without an acknowledgement, and go back when
//! they are dropped.

use std::sync::Arc;

use crate::bus::parked::{Filter, Parked};
use crate::bus::{BusError, Delivery, TaskBus};
use crate::cli::CliError;
use crate::clock::Timestamp;

/// The parking queue of a broker.
pub(super) struct Desk {
    pub(super) bus: Arc<dyn TaskBus>,
    pub(super) now: Timestamp,
}

/// A message that was taken out of the queue.
pub(super) struct Held {
    pub(super) parked: Parked,
    /// The filter takes it.
    pub(super) chosen: bool,
    pub(super) delivery: Delivery,
}

/// What was taken out. Dropped, it goes back in its order: also what was not asked for is held till then, or it would
/// come again at once.
pub(super) struct Look {
    pub(super) held: Vec<Held>,
    /// There was more in the queue.
    pub(super) more: bool,
}

impl Look {
    pub(super) fn chosen(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| held.chosen)
    }
}

impl Desk {
    pub(super) async fn look(&self, filter: &Filter, limit: u32) -> Result<Look, CliError> {
        let mut held = Vec::new();
        let hold = |delivery: Delivery, within: bool| {
            let parked = Parked::of(&delivery.message);
            Held { chosen: within && filter.takes(&parked), parked, delivery }
        };
        let queue = self.bus.names().parked();
        let taken = |taken: Result<Option<Delivery>, BusError>| taken.map_err(|error| bus_error(&error, &queue));
        for _ in 0..limit {
            match taken(self.bus.get(&queue).await)? {
                Some(delivery) => held.push(hold(delivery, true)),
                None => return Ok(Look { held, more: false }),
            }
        }
        let next = taken(self.bus.get(&queue).await)?;
        let more = next.is_some();
        held.extend(next.map(|delivery| hold(delivery, false)));
        Ok(Look { held, more })
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
