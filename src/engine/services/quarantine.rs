//! Executions whose journals cannot be read, or do not fit together. Each stands still and is named: in the log once,
//! in `DescribeExecution`, in a metric. All others run. Nothing of it is deleted. With its journal mended it goes on,
//! because each message and each start tries again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::{Arn, ExecutionId};
use crate::store::Journal;
use crate::telemetry::metrics::Metrics;

use crate::engine::types::DeliverError;

/// The error that `DescribeExecution` shows for a quarantined execution.
pub const QUARANTINED: &str = "Reveille.Quarantined";

pub(in crate::engine) struct Quarantine {
    held: Mutex<HashMap<ExecutionId, String>>,
    journal: Arc<dyn Journal>,
    metrics: Metrics,
}

impl Quarantine {
    pub fn new(journal: Arc<dyn Journal>, metrics: Metrics) -> Self {
        Self { held: Mutex::default(), journal, metrics }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<ExecutionId, String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it cannot be read.
    pub fn why(&self, execution: ExecutionId) -> Option<String> {
        self.held().get(&execution).cloned()
    }

    /// After a journal was read, or could not be.
    pub async fn record_load<T>(&self, execution: ExecutionId, loaded: &Result<T, DeliverError>) {
        match loaded {
            Ok(_) => {
                if self.held().remove(&execution).is_some() {
                    self.metrics.execution_quarantined(-1);
                    tracing::info!(
                        event = "execution.released",
                        execution.id = %execution,
                        "an execution can be read again and goes on"
                    );
                }
            }
            Err(e) if e.is_corrupt() => {
                if self.held().insert(execution, e.to_string()).is_some() {
                    return;
                }
                self.metrics.execution_quarantined(1);
                // Its row may be whole although its journal is not.
                let arn = self.journal.execution(execution).await.ok().flatten().map(|row| row.header.arn);
                tracing::error!(
                    event = "execution.quarantined",
                    execution.arn = arn.as_ref().map(Arn::as_str).unwrap_or_default(),
                    execution.id = %execution,
                    reason = %e,
                    "an execution cannot be read and stands still; all others go on"
                );
            }
            Err(_) => {}
        }
    }
}
