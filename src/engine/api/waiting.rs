//! How many tasks wait at each destination, for `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::store::{DestinationWaits, Journal, StoreResult};

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
    /// A count in progress. It goes on when the scrape that began it has its answer: that of many millions takes longer
    /// than a scrape waits.
    under_way: Option<JoinHandle<(Duration, StoreResult<Vec<DestinationWaits>>)>>,
    waits: Option<Vec<DestinationWaits>>,
}

impl Waiting {
    /// `None`: never counted yet.
    pub async fn now(&self, journal: &Arc<dyn Journal>) -> Option<Vec<DestinationWaits>> {
        let mut counted = self.0.lock().await;
        let rest = FRESH.max(counted.took * REST);
        if counted.under_way.is_none() && counted.at.is_none_or(|at| at.elapsed() >= rest) {
            let journal = Arc::clone(journal);
            let began = Instant::now();
            let count = async move {
                let waits = journal.waits_by_destination(DESTINATIONS_MAX).await;
                (began.elapsed(), waits)
            };
            (counted.at, counted.under_way) = (Some(began), Some(tokio::spawn(count)));
        }
        if let Some(count) = &mut counted.under_way
            && let Ok(done) = tokio::time::timeout(WITHIN, count).await
        {
            counted.under_way = None;
            if let Ok((took, waits)) = done {
                counted.took = took;
                counted.waits = waits.ok().or(counted.waits.take());
            }
        }
        counted.waits.clone()
    }
}
