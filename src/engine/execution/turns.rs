//! Long work of a partition goes piece by piece, one piece of one execution at a time. All other work of the thread
//! waits for one piece at most, however many executions have more to do.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The executions that wait for a turn, in the order of asking.
#[derive(Clone)]
pub(in crate::engine) struct Turns(Arc<Semaphore>);

/// Held while one piece is worked on.
pub(in crate::engine) struct Turn {
    /// `None`: never, since the semaphore is not closed.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Turns {
    pub async fn next(self) -> Turn {
        Turn { _permit: self.0.acquire_owned().await.ok() }
    }
}

impl Turn {
    /// The piece ends here; the next piece begins when all others on this thread have had theirs.
    pub fn ends(self) {
        actix_rt::spawn(async move {
            tokio::task::yield_now().await;
            drop(self);
        });
    }
}
