//! Bulk actions as notes of the store: open ones, ended ones, leases, and wishes to cancel.

use serde_json::json;

use crate::clock::Timestamp;
use crate::limits::{BULK_DAYS, BULK_LEASE_SECONDS, BULK_OPEN_MAX};
use crate::store::{Catalog, NoteRow, StoreError, StoreResult};

use super::{Bulk, Status};

/// Under way; it has no end, so that it is not forgotten while no server runs.
const OPEN: &str = "bulk.open";
const ENDED: &str = "bulk.ended";
const LEASE: &str = "bulk.lease";
const CANCEL: &str = "bulk.cancel";

/// Ids of later ones come first, as notes are listed in the order of their keys.
pub fn new_id(at: Timestamp) -> String {
    let from_the_end = (1_u64 << 44).saturating_sub(u64::try_from(at.millis()).unwrap_or_default());
    format!("{from_the_end:011x}-{:08x}", rand::random::<u32>())
}

fn read(note: &NoteRow) -> Option<Bulk> {
    serde_json::from_str(&note.body).ok()
}

/// Writes its present form. An ended action is written before its open form goes.
pub async fn save(catalog: &dyn Catalog, bulk: &Bulk, now: Timestamp) -> StoreResult<()> {
    let is_open = bulk.status == Status::Running;
    let (kind, until) =
        if is_open { (OPEN, None) } else { (ENDED, Some(now.plus_seconds(f64::from(BULK_DAYS) * 86_400.0))) };
    let body = serde_json::to_string(bulk).unwrap_or_default();
    catalog.put_note(NoteRow { kind: kind.to_owned(), key: bulk.id.clone(), body, until }, false, now).await?;
    if !is_open {
        for kind in [OPEN, CANCEL, LEASE] {
            catalog.take_note(kind, &bulk.id).await?;
        }
    }
    Ok(())
}

/// Those under way.
pub async fn open(catalog: &dyn Catalog) -> StoreResult<Vec<Bulk>> {
    let notes = catalog.notes(OPEN, None, u32::try_from(BULK_OPEN_MAX).unwrap_or(u32::MAX)).await?;
    Ok(notes.iter().filter_map(read).collect())
}

/// The one with this id, under way or not.
pub async fn find(catalog: &dyn Catalog, id: &str) -> StoreResult<Option<Bulk>> {
    for kind in [ENDED, OPEN, ENDED] {
        // It may end between two looks.
        if let Some(note) = catalog.note(kind, id).await? {
            return Ok(read(&note));
        }
    }
    Ok(None)
}

/// Newest first: all that are under way, and as many that have ended as there is room for.
pub async fn list(catalog: &dyn Catalog, limit: u32) -> StoreResult<Vec<Bulk>> {
    let mut all = open(catalog).await?;
    let ended = catalog.notes(ENDED, None, limit).await?;
    all.extend(ended.iter().filter_map(read));
    // An action that ended in between is in both: its end counts.
    all.sort_by(|a, b| a.id.cmp(&b.id).then_with(|| b.ended.cmp(&a.ended)));
    all.dedup_by(|later, first| later.id == first.id);
    all.truncate(limit as usize);
    Ok(all)
}

/// Asks for its end. It ends before its next step, on the server that has it.
pub async fn cancel(catalog: &dyn Catalog, id: &str, by: &str, now: Timestamp) -> StoreResult<()> {
    let until = Some(now.plus_seconds(f64::from(BULK_DAYS) * 86_400.0));
    let note = NoteRow { kind: CANCEL.to_owned(), key: id.to_owned(), body: json!({"by": by}).to_string(), until };
    catalog.put_note(note, false, now).await
}

pub async fn is_cancelled(catalog: &dyn Catalog, id: &str) -> StoreResult<bool> {
    Ok(catalog.note(CANCEL, id).await?.is_some())
}

/// Takes the lease of one for this server, `me`, where no other has it.
pub async fn lease(catalog: &dyn Catalog, id: &str, me: &str, now: Timestamp) -> StoreResult<bool> {
    match catalog.put_note(lease_of(id, me, now), true, now).await {
        Ok(()) => Ok(true),
        Err(StoreError::AlreadyExists { .. }) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Renews it; `false`: another server has it.
pub async fn renew(catalog: &dyn Catalog, id: &str, me: &str, now: Timestamp) -> StoreResult<bool> {
    let held = catalog.note(LEASE, id).await?;
    if held.is_some_and(|note| note.body != me) {
        return Ok(false);
    }
    catalog.put_note(lease_of(id, me, now), false, now).await?;
    Ok(true)
}

fn lease_of(id: &str, me: &str, now: Timestamp) -> NoteRow {
    let until = Some(now.plus_seconds(f64::from(BULK_LEASE_SECONDS)));
    NoteRow { kind: LEASE.to_owned(), key: id.to_owned(), body: me.to_owned(), until }
}
