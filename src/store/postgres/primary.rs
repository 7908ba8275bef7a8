//! The primary that the connections reach. PostgreSQL begins another timeline with each promotion, so a new connection
//! on another timeline has reached another primary.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio_postgres::{Client, Error};

/// The name of the file that the log is written to begins with the timeline. A standby writes none.
const LOOK: &str = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_insert_lsn()), \
    1, 8) END, host(inet_server_addr()) || ':' || inet_server_port()";

#[derive(Debug, Default)]
pub(super) struct Primary {
    timeline: Mutex<Option<String>>,
    failovers: AtomicU64,
}

impl Primary {
    /// How often a connection has reached another primary than the connection before.
    pub(super) fn failovers(&self) -> u64 {
        self.failovers.load(Ordering::Relaxed)
    }

    /// Looks at the server of a new connection. A server that does not tell (the role may not ask, a product of another
    /// kind) is as good.
    pub(super) async fn look(&self, client: &Client) {
        let Ok((Some(timeline), address)) = ask(client).await else { return };
        if self.meets(&timeline) {
            tracing::warn!(
                event = "store.failed_over",
                timeline,
                address,
                "another server is the primary of PostgreSQL now: the store's connections are on it"
            );
        }
    }

    /// True where this is another timeline than the last.
    fn meets(&self, timeline: &str) -> bool {
        let mut known = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
        let is_another = known.as_deref().is_some_and(|known| known != timeline);
        if known.as_deref() != Some(timeline) {
            *known = Some(timeline.to_owned());
        }
        if is_another {
            self.failovers.fetch_add(1, Ordering::Relaxed);
        }
        is_another
    }
}

/// Timeline and address. No address: not over TCP.
async fn ask(client: &Client) -> Result<(Option<String>, Option<String>), Error> {
    let row = client.query_typed_one(LOOK, &[]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_other_timeline_is_told_once() {
        let primary = Primary::default();
        let told: Vec<bool> = ["00000001", "00000001", "00000002", "00000002", "00000003"]
            .into_iter()
            .map(|timeline| primary.meets(timeline))
            .collect();
        assert_eq!((told, primary.failovers()), (vec![false, false, true, false, true], 2));
    }
}
