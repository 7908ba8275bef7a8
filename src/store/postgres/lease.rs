//! One process at a time: its row in `nodes`, kept alive by a beat.
//!
//! No session holds a lock, so a pooler may change sessions. A process that starts watches the beat of the row that is
//! there, by its own clock: one that stands still is removed. From then on no commit of the old process lands, because
//! each commit locks its process's row (`hold` in the migrations). No two machines compare their clocks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::store::{StoreError, StoreResult};

use super::connect::{Slot, Waits};
use super::error::{Fault, Outcome, classify};

const BEAT: Duration = Duration::from_secs(1);
/// A beat that stands still for so long is that of a process which is gone, or is fenced off from now on.
pub(super) const LAPSE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(250);
/// For the answer to one beat.
const ANSWER: Duration = Duration::from_secs(10);

const CLAIM: &str =
    "INSERT INTO nodes (node, beat, name, version, since) VALUES ($1, 0, $2, $3, $4) ON CONFLICT (one) DO NOTHING";
const HOLDER: &str = "SELECT node, beat, name, version FROM nodes";
/// It waits for a commit that is under way, and lets none through afterwards.
const REMOVE: &str = "DELETE FROM nodes WHERE node = $1 AND beat = $2";
const ADVANCE: &str = "UPDATE nodes SET beat = beat + 1 WHERE node = $1";
const LEAVE: &str = "DELETE FROM nodes WHERE node = $1";

/// Who has the store, as one look saw it.
#[derive(Debug, PartialEq)]
struct Holder {
    node: Uuid,
    beat: i64,
    name: String,
    version: String,
}

impl Holder {
    fn decode(row: &Row) -> Outcome<Self> {
        Ok(Self { node: row.try_get(0)?, beat: row.try_get(1)?, name: row.try_get(2)?, version: row.try_get(3)? })
    }
}

/// Makes this process's row. Waits for the beat of a process that may be gone.
///
/// # Errors
/// `Unusable` where another process is alive.
pub(super) async fn claim(client: &Client, me: Uuid, shown: &str) -> StoreResult<()> {
    let since = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis()).unwrap_or(0);
    let name = name();
    let mut seen: Option<(Holder, Instant)> = None;
    loop {
        let values: super::values::Params =
            &[(&me, Type::UUID), (&name, Type::TEXT), (&env!("CARGO_PKG_VERSION"), Type::TEXT), (&since, Type::INT8)];
        if client.execute_typed(CLAIM, values).await.map_err(|error| classify(&error))? == 1 {
            return Ok(());
        }
        let rows = client.query_typed(HOLDER, &[]).await.map_err(|error| classify(&error))?;
        let Some(now) = rows.first().map(Holder::decode).transpose()? else { continue };
        match &seen {
            Some((before, since)) if *before == now => {
                if since.elapsed() >= LAPSE {
                    let Holder { node, beat, name, .. } = now;
                    tracing::warn!(event = "store.taken_over", "the store's last process is gone: {name}");
                    let gone: super::values::Params = &[(&node, Type::UUID), (&beat, Type::INT8)];
                    client.execute_typed(REMOVE, gone).await.map_err(|error| classify(&error))?;
                    continue;
                }
            }
            Some((before, _)) if before.node == now.node => {
                return Err(StoreError::Unusable(format!(
                    "{shown} is in use by another process ({}, version {}): stop that one, or give this one another \
                     `store.url`",
                    now.name, now.version
                )));
            }
            _ => seen = Some((now, Instant::now())),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Host and process, for people.
fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    format!("host {}, process {}", host.as_deref().map_or("unknown", str::trim), std::process::id())
}

/// Beats until the row is gone, or the store is closed.
pub(super) async fn keep(slot: Arc<Slot>, me: Uuid, lost: watch::Sender<bool>) {
    let mut waits = Waits::default();
    loop {
        tokio::time::sleep(BEAT).await;
        match tokio::time::timeout(ANSWER, beat(&slot, me)).await {
            Ok(Ok(true)) => waits = Waits::default(),
            Ok(Ok(false)) => {
                lost.send_replace(true);
                return;
            }
            // An absent server takes nobody's row away.
            Ok(Err(_)) => tokio::time::sleep(waits.next()).await,
            Err(_) => slot.close().await,
        }
    }
}

async fn beat(slot: &Slot, me: Uuid) -> StoreResult<bool> {
    let client = slot.client().await?;
    let beats = client.execute_typed(ADVANCE, &[(&me, Type::UUID)]).await;
    Ok(beats.map_err(|error| StoreError::from(Fault::Postgres(error)))? == 1)
}

/// Removes this process's row, so that the next one need not wait.
pub(super) async fn leave(slot: &Slot, me: Uuid) -> StoreResult<()> {
    let client = slot.client().await?;
    client.execute_typed(LEAVE, &[(&me, Type::UUID)]).await.map_err(|error| classify(&error))?;
    Ok(())
}
