//! Places in listings. Places of deleted rows are kept too (`departed`), so that a client can delete page by page.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

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
            Self::Machines => "SELECT place FROM machines WHERE arn = $1",
            Self::Aliases => "SELECT place FROM aliases WHERE arn = $1",
            Self::Activities => "SELECT place FROM activities WHERE arn = $1",
            Self::MapRuns => "SELECT place FROM map_runs WHERE arn = $1",
        }
    }
}

const FIND_DEPARTED: &str = "SELECT place FROM departed WHERE arn = $1";
const REMEMBER: &str = "INSERT INTO departed (arn, place, n) VALUES ($1, $2, (SELECT coalesce(max(n), 0) + 1 FROM \
    departed)) ON CONFLICT (arn) DO UPDATE SET place = excluded.place, n = excluded.n";
const FORGET: &str = "DELETE FROM departed WHERE arn = $1";
const FORGET_OLDEST: &str = "DELETE FROM departed WHERE n <= (SELECT max(n) FROM departed) - $1";

/// Where a listing goes on after `arn`.
pub(super) async fn place(client: &Client, listing: Listing, arn: &Arn) -> Outcome<i64> {
    for sql in [listing.find(), FIND_DEPARTED] {
        if let Some(row) = client.query_typed_opt(sql, &[(&arn.as_str(), Type::TEXT)]).await? {
            return Ok(row.try_get(0)?);
        }
    }
    Err(not_found("place in the listing", arn))
}

/// Remembers the place of a row that is about to be deleted. Does nothing where there is no row.
pub(super) async fn departed(client: &Client, listing: Listing, arn: &Arn) -> Outcome<()> {
    if let Some(row) = client.query_typed_opt(listing.find(), &[(&arn.as_str(), Type::TEXT)]).await? {
        let place: i64 = row.try_get(0)?;
        client.execute_typed(REMEMBER, &[(&arn.as_str(), Type::TEXT), (&place, Type::INT8)]).await?;
        client.execute_typed(FORGET_OLDEST, &[(&i64::from(limits::DEPARTED_MAX), Type::INT8)]).await?;
    }
    Ok(())
}

/// Forgets the old place of a name that has been created again.
pub(super) async fn returned(client: &Client, arn: &Arn) -> Outcome<()> {
    client.execute_typed(FORGET, &[(&arn.as_str(), Type::TEXT)]).await?;
    Ok(())
}
