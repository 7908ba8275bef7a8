//! How many standard executions are open: a quota, as AWS has one.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::store::{ExecutionFilter, ExecutionStatus, StoreError};

use crate::engine::services::Services;

/// Counted as they begin and end, and now and then anew from the store: an answer that was lost is made good.
#[derive(Debug, Default)]
pub(in crate::engine) struct Open(AtomicI64);

impl Open {
    pub fn began(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn ended(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn count(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

impl Services {
    pub(in crate::engine) async fn count_open(&self) -> Result<(), StoreError> {
        let filter = ExecutionFilter { status: Some(ExecutionStatus::Running), ..ExecutionFilter::default() };
        let counts = self.journal.count(filter).await?;
        let open: u64 = counts.iter().map(|(_, n)| *n).sum();
        self.open.0.store(i64::try_from(open).unwrap_or(i64::MAX), Ordering::Relaxed);
        Ok(())
    }

    /// May one more standard execution begin? Else the reason, in AWS's words.
    pub(in crate::engine) fn has_room_for_one_more(&self) -> Result<(), String> {
        let most = self.options.executions_open_max;
        if self.open.count() < most {
            return Ok(());
        }
        self.metrics.start_refused("open");
        Err(format!(
            "The maximum number of running executions has been reached ({most}, engine.executions_open_max). Running \
             executions must end or be stopped before a new execution can be started."
        ))
    }
}
