//! Executions whose journals cannot be read, or do not fit together. Each stands still and is named: in the log once,
//! in `DescribeExecution`, in a metric. All others run. Nothing of it is deleted. With its journal mended it goes on,
//! because each message and each start tries again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::ids::{Arn, ExecutionId};

use crate::engine::services::Services;
use crate::engine::types::DeliverError;

/// What `DescribeExecution` shows as the error of one.
pub const QUARANTINED: &str = "Reveille.Quarantined";

#[derive(Debug, Default)]
pub(in crate::engine) struct Quarantine(Mutex<HashMap<ExecutionId, String>>);

impl Quarantine {
    /// Why it cannot be read.
    pub fn why(&self, execution: ExecutionId) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&execution).cloned()
    }

    /// True where it is new.
    fn put(&self, execution: ExecutionId, why: String) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(execution, why).is_none()
    }

    fn take(&self, execution: ExecutionId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&execution).is_some()
    }
}

impl Services {
    /// After a journal was read, or could not be.
    pub(in crate::engine) async fn record_load<T>(&self, execution: ExecutionId, loaded: &Result<T, DeliverError>) {
        match loaded {
            Ok(_) => {
                if self.quarantine.take(execution) {
                    self.metrics.execution_quarantined(-1);
                    tracing::info!(event = "execution.released", execution.id = %execution, "an execution can be read again and goes on");
                }
            }
            Err(e) if e.is_corrupt() => {
                if !self.quarantine.put(execution, e.to_string()) {
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
