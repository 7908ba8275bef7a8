//! Places in listings. Places of deleted rows are kept too (`departed`), so that a client can delete page by page.

use rusqlite::{Connection, OptionalExtension, params};

use crate::ids::Arn;
use crate::limits;

use super::error::{Outcome, not_found};

#[derive(Clone, Copy)]
pub(super) enum Listing {
    Machines,
    Aliases,
    Activities,
    MapRuns,
}

impl Listing {
    const fn find(self) -> &'static str {
        match self {
            Self::Machines => "SELECT place FROM machines WHERE arn = ?1",
            Self::Aliases => "SELECT place FROM aliases WHERE arn = ?1",
            Self::Activities => "SELECT place FROM activities WHERE arn = ?1",
            Self::MapRuns => "SELECT place FROM map_runs WHERE arn = ?1",
        }
    }
}

const FIND_DEPARTED: &str = "SELECT place FROM departed WHERE arn = ?1";
const REMEMBER: &str =
    "INSERT OR REPLACE INTO departed (arn, place, n) VALUES (?1, ?2, (SELECT coalesce(max(n), 0) + 1 FROM departed))";
const FORGET: &str = "DELETE FROM departed WHERE arn = ?1";
const FORGET_OLDEST: &str = "DELETE FROM departed WHERE n <= (SELECT max(n) FROM departed) - ?1";

/// Where a listing goes on after `arn`.
pub(super) fn place(connection: &Connection, listing: Listing, arn: &Arn) -> Outcome<i64> {
    let there = connection.prepare_cached(listing.find())?.query_row([arn.as_str()], |row| row.get(0)).optional()?;
    let place = match there {
        Some(place) => Some(place),
        None => connection.prepare_cached(FIND_DEPARTED)?.query_row([arn.as_str()], |row| row.get(0)).optional()?,
    };
    place.ok_or_else(|| not_found("place in the listing", arn))
}

/// Remembers the place of a row that is about to be deleted. Does nothing where there is no row.
pub(super) fn departed(connection: &Connection, listing: Listing, arn: &Arn) -> Outcome<()> {
    let place: Option<i64> =
        connection.prepare_cached(listing.find())?.query_row([arn.as_str()], |row| row.get(0)).optional()?;
    if let Some(place) = place {
        connection.prepare_cached(REMEMBER)?.execute(params![arn.as_str(), place])?;
        connection.prepare_cached(FORGET_OLDEST)?.execute([limits::DEPARTED_MAX])?;
    }
    Ok(())
}

/// Forgets the old place of a name that has been created again.
pub(super) fn returned(connection: &Connection, arn: &Arn) -> Outcome<()> {
    connection.prepare_cached(FORGET)?.execute([arn.as_str()])?;
    Ok(())
}
