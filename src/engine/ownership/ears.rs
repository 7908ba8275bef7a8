//! Whether this node reaches the broker. An owner that does not can neither order tasks nor hear their answers, while
//! its beats in the store go on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::bus::BusError;
use crate::engine::services::Services;
use crate::engine::services::seat::Seat;

use super::protocol::Terms;

#[derive(Debug, Default)]
pub(super) struct Ears {
    /// The last question that the broker has answered: when it was asked, in milliseconds of the seat.
    heard: AtomicU64,
}

impl Ears {
    pub fn unheard(&self, seat: &Seat) -> Duration {
        seat.now().saturating_sub(Duration::from_millis(self.heard.load(Ordering::Relaxed)))
    }

    /// Asks the broker again and again, on the connection that consumes.
    pub async fn listen(&self, services: &Services, terms: &Terms) {
        loop {
            let asked = services.seat.now();
            // A queue that is not there is an answer too.
            let queue = services.bus.names().node(services.seat.slot().unwrap_or_default());
            let heard = tokio::time::timeout(terms.deaf(), services.bus.look(&queue)).await;
            if matches!(heard, Ok(Ok(_) | Err(BusError::Refused { .. }))) {
                self.heard.store(u64::try_from(asked.as_millis()).unwrap_or_default(), Ordering::Relaxed);
            }
            tokio::time::sleep(terms.pause() * 2).await;
        }
    }
}
