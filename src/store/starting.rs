//! The steps of a start, over a store that may go away in the middle of it.

use std::time::Duration;

use super::{Catalog, StoreError, StoreResult};

/// Between two attempts of a step: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Does a step of a start. A step that has lost the connection to the store waits for the store and is done again, so
/// it may be done twice.
///
/// # Errors
/// Those of the step, where the store has no connection that could come back; `Unusable`, where waiting does not help.
pub async fn patiently<T>(catalog: &dyn Catalog, step: impl AsyncFn() -> StoreResult<T>) -> StoreResult<T> {
    let mut pause = PAUSE_MIN;
    loop {
        match step().await {
            Err(lost @ StoreError::Unavailable(_)) => catalog.reconnected(lost).await?,
            done => return done,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
