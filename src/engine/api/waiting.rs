//! How many tasks wait at each destination, for `/metrics`.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::store::{DestinationWaits, Journal};

/// Waiting tasks are counted again after so long, or after so many times the time that the last count took.
const FRESH: Duration = Duration::from_secs(5);
const REST: u32 = 20;
/// A scrape waits so long for the count.
const WITHIN: Duration = Duration::from_secs(2);
/// Destinations that are counted; those behind them in the order of the names are not.
const DESTINATIONS_MAX: u32 = 10_000;

/// How many tasks wait at each destination, as of a moment ago. The store goes through its waiting tasks for that, so a
/// scrape asks seldom, and one at a time.
#[derive(Debug, Default)]
pub(in crate::engine) struct Waiting(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    at: Option<Instant>,
    took: Duration,
    waits: Option<Vec<DestinationWaits>>,
}

impl Waiting {
    /// `None`: never counted yet.
    pub async fn now(&self, journal: &dyn Journal) -> Option<Vec<DestinationWaits>> {
        let mut counted = self.0.lock().await;
        let rest = FRESH.max(counted.took * REST);
        if counted.at.is_none_or(|at| at.elapsed() >= rest) {
            let began = Instant::now();
            if let Ok(Ok(waits)) = tokio::time::timeout(WITHIN, journal.waits_by_destination(DESTINATIONS_MAX)).await {
                counted.waits = Some(waits);
            }
            (counted.at, counted.took) = (Some(began), began.elapsed());
        }
        counted.waits.clone()
    }
}
