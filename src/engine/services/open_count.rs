//! How many standard executions are open: a quota, as AWS has one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::store::Journal;
use crate::telemetry::metrics::Metrics;

/// Open executions, counted as they begin and end. Now and then the store is asked again, which mends lost answers.
pub(in crate::engine) struct Open {
    count: AtomicI64,
    most: u64,
    journal: Arc<dyn Journal>,
    metrics: Metrics,
}

impl Open {
    pub fn new(journal: Arc<dyn Journal>, most: u64, metrics: Metrics) -> Self {
        Self { count: AtomicI64::default(), most, journal, metrics }
    }

    pub fn began(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub fn ended(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn count(&self) -> u64 {
        u64::try_from(self.count.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Takes the store's own sum, which it writes with each commit: ten million open executions are not counted.
    pub fn recount(&self) {
        let open = self.journal.figures().open_executions;
        self.count.store(i64::try_from(open).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// May one more standard execution begin? Else the reason, in AWS's words.
    pub fn has_room_for_one_more(&self) -> Result<(), String> {
        let most = self.most;
        if self.count() < most {
            return Ok(());
        }
        self.metrics.start_refused("open");
        Err(format!(
            "The maximum number of running executions has been reached ({most}, engine.executions_open_max). Running \
             executions must end or be stopped before a new execution can be started."
        ))
    }
}
