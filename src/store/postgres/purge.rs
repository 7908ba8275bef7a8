//! Removing executions that closed long ago, with all their rows.

use tokio_postgres::Client;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::clock::Timestamp;

use super::error::Outcome;
use super::{machines, waits};

/// Locked: an execution that is redriven at this moment is not removed.
pub(super) const VICTIMS: &str = "SELECT id FROM executions WHERE closed IS NOT NULL AND closed < $1 AND NOT \
    owes_parent ORDER BY closed, id LIMIT $2 FOR UPDATE SKIP LOCKED";
pub(super) const DELETES: [&str; 6] = [
    "DELETE FROM journal WHERE execution = ANY($1)",
    "DELETE FROM closings WHERE id = ANY($1)",
    "DELETE FROM headers WHERE id = ANY($1)",
    "DELETE FROM waits WHERE execution = ANY($1)",
    "DELETE FROM map_runs WHERE execution = ANY($1)",
    "DELETE FROM executions WHERE id = ANY($1)",
];

pub(super) async fn purge(client: &Client, before: Timestamp, limit: u32) -> Outcome<u64> {
    let values: super::values::Params = &[(&before.millis(), Type::INT8), (&i64::from(limit), Type::INT8)];
    let found = client.query_typed(VICTIMS, values).await?;
    let victims = found.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
    if !victims.is_empty() {
        for sql in DELETES {
            client.execute_typed(sql, &[(&victims, Type::UUID_ARRAY)]).await?;
        }
    }
    machines::drop_unused_revisions(client).await?;
    if victims.len() < limit as usize {
        client.execute_typed(waits::DROP_EMPTY, &[]).await?;
    }
    Ok(victims.len() as u64)
}
