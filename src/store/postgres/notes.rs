//! `notes`: small documents by kind and key.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::clock::Timestamp;
use crate::store::NoteRow;

use super::error::{Outcome, already_exists};
use super::values::{Params, optional_time};

const ONE: &str = "SELECT kind, key, body, until FROM notes WHERE kind = $1 AND key = $2";
const PAGE: &str = "SELECT kind, key, body, until FROM notes WHERE kind = $1 AND key > $2 ORDER BY key LIMIT $3";
const ADD: &str =
    "INSERT INTO notes (kind, key, body, until) VALUES ($1, $2, $3, $4) ON CONFLICT (kind, key) DO NOTHING";
const PUT: &str = "INSERT INTO notes (kind, key, body, until) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body, until = excluded.until";
const TAKE: &str = "DELETE FROM notes WHERE kind = $1 AND key = $2 RETURNING kind, key, body, until";
const PURGE: &str = "DELETE FROM notes WHERE until <= $1";

pub(super) async fn put(client: &Client, note: &NoteRow, new: bool, now: Timestamp) -> Outcome<()> {
    client.execute_typed(PURGE, &[(&now.millis(), Type::INT8)]).await?;
    let values: Params = &[
        (&note.kind, Type::TEXT),
        (&note.key, Type::TEXT),
        (&note.body, Type::TEXT),
        (&note.until.map(Timestamp::millis), Type::INT8),
    ];
    if client.execute_typed(if new { ADD } else { PUT }, values).await? == 0 {
        return Err(already_exists("note", &note.key));
    }
    Ok(())
}

pub(super) async fn one(client: &Client, kind: &str, key: &str) -> Outcome<Option<NoteRow>> {
    let row = client.query_typed_opt(ONE, &[(&kind, Type::TEXT), (&key, Type::TEXT)]).await?;
    row.as_ref().map(decode).transpose()
}

pub(super) async fn page(client: &Client, kind: &str, after: Option<&str>, limit: u32) -> Outcome<Vec<NoteRow>> {
    let after = after.unwrap_or_default();
    let values: Params = &[(&kind, Type::TEXT), (&after, Type::TEXT), (&i64::from(limit), Type::INT8)];
    client.query_typed(PAGE, values).await?.iter().map(decode).collect()
}

pub(super) async fn take(client: &Client, kind: &str, key: &str) -> Outcome<Option<NoteRow>> {
    let row = client.query_typed_opt(TAKE, &[(&kind, Type::TEXT), (&key, Type::TEXT)]).await?;
    row.as_ref().map(decode).transpose()
}

fn decode(row: &Row) -> Outcome<NoteRow> {
    Ok(NoteRow { kind: row.try_get(0)?, key: row.try_get(1)?, body: row.try_get(2)?, until: optional_time(row, 3)? })
}
