//! Parked messages: they are looked at, sent again, or deleted. The command line does it over a broker alone, the
//! API and the console over the engine's bus.
//!
//! Messages are taken out of the queue without acknowledging them, and go back in their order when they are dropped,
//! also if the process dies. Meanwhile no other client sees them. A replayed message is acknowledged after the broker
//! has confirmed its copy.

mod shown;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::bus::parked::{self, Parked};
use crate::bus::{Address, BusError, BusHealth, Delivery, Message, Publication, Settlement, TaskBus};

pub use crate::bus::parked::Filter;
pub use shown::{line, whole};

/// Two looks at once would each see a part of the queue.
static LOOKS: Semaphore = Semaphore::const_new(1);
/// The broker has messages that were given back after so long.
const GIVEN_BACK: Duration = Duration::from_millis(50);

/// The only look at present. The next one begins when the messages of this one are back.
struct Look(Option<SemaphorePermit<'static>>);

impl Drop for Look {
    fn drop(&mut self) {
        if let (Some(permit), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                tokio::time::sleep(GIVEN_BACK).await;
                drop(permit);
            });
        }
    }
}

/// The parking queue of a broker.
pub struct ParkedMessages {
    bus: Arc<dyn TaskBus>,
}

/// A message that was taken out of the queue.
pub struct Held {
    pub parked: Parked,
    /// The filter selects it.
    pub chosen: bool,
    pub delivery: Delivery,
}

/// Messages that were taken out. When dropped, they go back in their order. Messages that the filter does not select
/// are held too, or they would come again at once.
pub struct Taken {
    held: Vec<Held>,
    /// There was more in the queue.
    pub more: bool,
    _look: Look,
}

/// A message that stays in the queue, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stays {
    pub id: String,
    pub why: String,
}

/// The outcome of messages that were to be sent again.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Id and queue.
    pub sent: Vec<(String, String)>,
    pub kept: Vec<Stays>,
}

impl Taken {
    pub fn chosen(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| held.chosen)
    }

    /// The given ids without a parked message.
    pub fn missing(&self, ids: &[String]) -> Vec<Stays> {
        let there = |id: &&String| self.chosen().any(|held| held.parked.id == **id);
        let missing = ids.iter().filter(|id| !there(id));
        missing.map(|id| Stays { id: id.clone(), why: "there is no parked message with this id".to_owned() }).collect()
    }

    /// Deletes the chosen ones for good; returns their ids.
    pub fn purge(self) -> Vec<String> {
        let (mut purged, mut stay) = (Vec::new(), Vec::new());
        for held in self.held {
            if held.chosen {
                held.delivery.settle(Settlement::Ack);
                purged.push(held.parked.id);
            } else {
                stay.push(held.delivery);
            }
        }
        // They go back in their order.
        drop(stay);
        purged
    }
}

impl ParkedMessages {
    #[must_use]
    pub fn new(bus: Arc<dyn TaskBus>) -> Self {
        Self { bus }
    }

    /// The name of the queue.
    #[must_use]
    pub fn queue(&self) -> String {
        self.bus.names().parked()
    }

    /// Takes up to `limit` messages out of the queue, oldest first.
    ///
    /// # Errors
    /// The broker's answer.
    pub async fn take(&self, filter: &Filter, limit: u32) -> Result<Taken, BusError> {
        // It is never closed.
        let look = Look(LOOKS.acquire().await.ok());
        let mut held = Vec::new();
        let hold = |delivery: Delivery, within: bool| {
            let parked = Parked::of(&delivery.message);
            Held { chosen: within && filter.takes(&parked), parked, delivery }
        };
        let queue = self.queue();
        for _ in 0..limit {
            match self.bus.get(&queue).await? {
                Some(delivery) => held.push(hold(delivery, true)),
                None => return Ok(Taken { held, more: false, _look: look }),
            }
        }
        let next = self.bus.get(&queue).await?;
        let more = next.is_some();
        held.extend(next.map(|delivery| hold(delivery, false)));
        Ok(Taken { held, more, _look: look })
    }

    /// Why the broker takes no message now.
    #[must_use]
    pub fn blocked(&self) -> Option<String> {
        match self.bus.health() {
            BusHealth::Blocked(why) => Some(why),
            BusHealth::Up | BusHealth::Down(_) => None,
        }
    }

    /// Sends the chosen messages again, to the queue in which each was refused or to this one. All were taken out
    /// before the first is sent: a message that is refused again comes back behind them and is not replayed in a
    /// circle.
    pub async fn replay(&self, taken: Taken, to: Option<&str>) -> Replayed {
        let (mut replayed, mut stay) = (Replayed::default(), Vec::new());
        for held in taken.held {
            if !held.chosen {
                stay.push(held.delivery);
                continue;
            }
            let id = held.parked.id;
            let sent = match held.delivery.unreadable() {
                Some(why) => Err(why),
                None => self.send_again(&held.delivery.message, to).await,
            };
            match sent {
                Ok(queue) => {
                    held.delivery.settle(Settlement::Ack);
                    replayed.sent.push((id, queue));
                }
                Err(why) => {
                    stay.push(held.delivery);
                    replayed.kept.push(Stays { id, why });
                }
            }
        }
        drop(stay);
        replayed
    }

    /// Publishes a parked message again. Returns its queue, or the reason why it stays.
    async fn send_again(&self, parked: &Message, to: Option<&str>) -> Result<String, String> {
        if let Some((why, bytes)) = Parked::of(parked).cut {
            return Err(format!("only a part of its {bytes} bytes was parked: {why}"));
        }
        let (home, message) = parked::replay(parked);
        let queue = to.map(str::to_owned).or(home.map(|to| to.routing_key));
        let queue = queue.ok_or("it does not say which queue it was refused in; give one")?;
        let to = Address { exchange: String::new(), routing_key: queue.clone() };
        match self.bus.publish(to, message).await {
            Ok(Publication::Confirmed) => Ok(queue),
            Ok(Publication::Unroutable { .. }) => Err(format!("there is no queue {queue}")),
            Ok(Publication::Nacked) => Err(format!("queue {queue} is full")),
            Ok(Publication::Refused { text }) => Err(text),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
