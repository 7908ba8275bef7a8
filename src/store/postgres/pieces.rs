//! Reading a journal, whole or piece by piece.

use std::collections::HashMap;

use tokio_postgres::types::Type;

use crate::ids::{ExecutionId, Version};
use crate::store::{Batch, Opened, Place, gone};

use super::error::{Outcome, corrupt, not_found};
use super::packed;
use super::session::Session;
use super::values::{small, uint};

/// All batches, with their bytes where these are `$2` at most together. The length of a batch is read without its
/// bytes.
pub(super) const OPEN: &str = concat!(
    "SELECT version, n, after, events, length::bigint, CASE WHEN sum(length) OVER () <= $2 THEN bytes END FROM \
       (SELECT e.version, j.n, j.after, j.events, j.bytes, ",
    packed::length!(),
    " AS length FROM executions e LEFT JOIN journal j ON j.execution = e.id WHERE e.id = $1) batches ORDER BY n"
);
pub(super) const BYTES: &str = "SELECT n, after, events, bytes FROM journal WHERE execution = $1 AND n = ANY($2)";

/// All batches where they are `whole` bytes at most, else their places. Each batch must follow the one before it: a gap
/// must never be folded over.
pub(super) async fn open(session: &Session, id: ExecutionId, whole: u64) -> Outcome<Opened> {
    let whole = i64::try_from(whole).unwrap_or(i64::MAX);
    let rows = session.read(OPEN, &[(&id.0, Type::UUID), (&whole, Type::INT8)]).await?;
    let version = uint(rows.first().ok_or_else(|| not_found("execution", &id))?, 0)?;
    let (mut places, mut batches) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    let mut end = 0;
    for row in &rows {
        let Some(at) = row.try_get::<_, Option<i64>>(1)? else { break };
        let place = Place { at, after: Version(uint(row, 2)?), events: small(row, 3)?, bytes: uint(row, 4)? };
        if place.after.0 != end {
            let why = format!("batch {at} begins at version {}, the one before it ends at {end}", place.after.0);
            return Err(corrupt("journal of execution", &id, &why));
        }
        end += u64::from(place.events);
        if let Some(stored) = row.try_get(5)? {
            batches.push(Batch { after: place.after, events: place.events, bytes: unpack(stored, id)? });
        }
        places.push(place);
    }
    if end != version {
        return Err(corrupt("journal of execution", &id, &format!("it ends at version {end}, not at {version}")));
    }
    Ok(if batches.len() == places.len() { Opened::Whole(batches) } else { Opened::Large(places) })
}

fn unpack(stored: Vec<u8>, id: ExecutionId) -> Outcome<Vec<u8>> {
    packed::unpack(stored).map_err(|why| corrupt("journal of execution", &id, &format!("a packed batch: {why}")))
}

pub(super) async fn read(session: &Session, id: ExecutionId, places: &[Place]) -> Outcome<Vec<Batch>> {
    let numbers: Vec<i64> = places.iter().map(|place| place.at).collect();
    let rows = session.read(BYTES, &[(&id.0, Type::UUID), (&numbers, Type::INT8_ARRAY)]).await?;
    let mut found: HashMap<i64, Batch> = HashMap::with_capacity(rows.len());
    for row in rows {
        let bytes = unpack(row.try_get(3)?, id)?;
        let batch = Batch { after: Version(uint(&row, 1)?), events: small(&row, 2)?, bytes };
        found.insert(row.try_get(0)?, batch);
    }
    let take = |place: &Place| found.get(&place.at).filter(|batch| place.is_of(batch)).cloned();
    places.iter().map(|place| take(place).ok_or_else(|| gone(id).into())).collect()
}
