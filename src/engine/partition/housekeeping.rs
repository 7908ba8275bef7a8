//! Work that belongs to no execution: closed executions leave the store after the retention time, deleted machines when
//! nothing runs them.

use std::sync::Arc;

use crate::clock::Timestamp;

use crate::engine::services::Services;

/// Removed at once: a large purge would hold the store's writer.
const PURGE_AT_ONCE: u32 = 200;

pub(super) async fn run(services: &Arc<Services>) {
    let retention = i64::try_from(services.options.retention.as_millis()).unwrap_or(i64::MAX);
    let before = Timestamp::from_millis(services.clock.now().millis().saturating_sub(retention));
    loop {
        match services.journal.purge(before, PURGE_AT_ONCE).await {
            Ok(n) if n >= u64::from(PURGE_AT_ONCE) => {}
            Ok(_) => break,
            Err(e) => {
                tracing::warn!(error = %e, "closed executions could not be purged; trying again later");
                break;
            }
        }
    }
    services.open.recount();
    if let Err(e) = services.catalog.reap_machines().await {
        tracing::warn!(error = %e, "deleted state machines could not be removed; trying again later");
    }
}
