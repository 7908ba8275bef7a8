//! Writing a journal: the only place that appends.

use crate::clock::Timestamp;
use crate::engine::services::Services;
use crate::store::{Append, ExecutionHeader, StoreError, StoreResult};

/// Makes an execution of this header, or appends to its journal; durable when it returns `Ok`.
pub(in crate::engine) async fn write(
    services: &Services,
    new: Option<Box<ExecutionHeader>>,
    append: Append,
) -> StoreResult<()> {
    let began = tokio::time::Instant::now();
    let written = match new {
        Some(header) => {
            let reusable_before = name_reusable_before(services, &header);
            services.journal.create(*header, append, reusable_before).await
        }
        None => services.journal.append(append).await,
    };
    match &written {
        Ok(()) => services.metrics.append(began.elapsed()),
        Err(StoreError::VersionConflict { .. }) => services.metrics.append_conflict(),
        Err(StoreError::Fenced { .. }) => services.metrics.append_fenced(),
        Err(_) => {}
    }
    written
}

/// The name of this execution is free if its holder closed before this moment.
fn name_reusable_before(services: &Services, header: &ExecutionHeader) -> Timestamp {
    if header.map_run.is_some() {
        // A child of a map run is itself for ever: its run may be redriven when its name would be free for others.
        return Timestamp::from_millis(i64::MIN);
    }
    let held = i64::try_from(services.options.name_held.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(services.clock.now().millis().saturating_sub(held))
}
