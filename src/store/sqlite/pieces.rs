//! Reading a journal piece by piece: first the places of its batches, without their bytes, then the wanted batches.

use rusqlite::{Connection, OptionalExtension};

use crate::ids::{ExecutionId, Version};
use crate::store::{Batch, Opened, Place, gone};

use super::error::{Outcome, corrupt, not_found};
use super::values::{blob, uint};

const TAIL: &str = "SELECT n, tail, version FROM executions WHERE id = ?1";
/// SQLite stores the length of a blob before its bytes, so the pages of the blob are not read.
const PLACE: &str = "SELECT execution, previous, after, events, length(bytes) FROM journal WHERE n = ?1";
const BYTES: &str = "SELECT bytes FROM journal WHERE n = ?1 AND after = ?2 AND events = ?3 \
     AND execution = (SELECT n FROM executions WHERE id = ?4)";

/// All batches where they are `whole` bytes at most, else their places.
pub(super) fn open(connection: &Connection, id: ExecutionId, whole: u64) -> Outcome<Opened> {
    let places = places(connection, id)?;
    if places.iter().map(|place| place.bytes).sum::<u64>() > whole {
        return Ok(Opened::Large(places));
    }
    Ok(Opened::Whole(read(connection, id, &places)?))
}

pub(super) fn read(connection: &Connection, id: ExecutionId, places: &[Place]) -> Outcome<Vec<Batch>> {
    let mut statement = connection.prepare_cached(BYTES)?;
    let mut batches = Vec::with_capacity(places.len());
    for Place { at, after, events, .. } in places {
        let values = rusqlite::params![at, super::values::int(after.0), events, blob(id)];
        let bytes = statement.query_row(values, |row| row.get(0)).optional()?.ok_or_else(|| gone(id))?;
        batches.push(Batch { after: *after, events: *events, bytes });
    }
    Ok(batches)
}

/// Follows the chain from the newest batch to the first, and checks each link: a gap must never be folded over.
fn places(connection: &Connection, id: ExecutionId) -> Outcome<Vec<Place>> {
    let standing = connection
        .prepare_cached(TAIL)?
        .query_row([blob(id)], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, uint(row, 2)?)))
        .optional()?;
    let (n, tail, version) = standing.ok_or_else(|| not_found("execution", &id))?;

    let broken = |why: String| corrupt("journal of execution", &id, &why);
    let mut places = Vec::new();
    let mut statement = connection.prepare_cached(PLACE)?;
    let mut next = Some(tail);
    let mut end = version;
    while let Some(at) = next {
        let row = statement.query_row([at], |row| {
            let place = Place { at, after: Version(uint(row, 2)?), events: row.get(3)?, bytes: uint(row, 4)? };
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, place))
        });
        let (owner, previous, place) = row.optional()?.ok_or_else(|| broken(format!("batch {at} is missing")))?;
        if owner != n || place.after.0.checked_add(u64::from(place.events)) != Some(end) {
            return Err(broken(format!("batch {at} does not end at version {end}")));
        }
        if previous.is_some_and(|previous| previous >= at) {
            return Err(broken(format!("batch {at} follows a later one")));
        }
        end = place.after.0;
        places.push(place);
        next = previous;
    }
    if end != 0 {
        return Err(broken(format!("it begins at version {end}")));
    }
    places.reverse();
    Ok(places)
}
