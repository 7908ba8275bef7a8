//! `notes`: small documents by kind and key.

use rusqlite::{Connection, Row, params};

use crate::clock::Timestamp;
use crate::store::NoteRow;

use super::error::{Outcome, already_exists};
use super::values::optional_time;
use super::versions::{all, find};

const ONE: &str = "SELECT kind, key, body, until FROM notes WHERE kind = ?1 AND key = ?2";
const PAGE: &str = "SELECT kind, key, body, until FROM notes WHERE kind = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
const PUT: &str = "INSERT OR REPLACE INTO notes (kind, key, body, until) VALUES (?1, ?2, ?3, ?4)";
const TAKE: &str = "DELETE FROM notes WHERE kind = ?1 AND key = ?2";
const PURGE: &str = "DELETE FROM notes WHERE until <= ?1";

pub(super) fn put(connection: &Connection, note: &NoteRow, new: bool, now: Timestamp) -> Outcome<()> {
    connection.prepare_cached(PURGE)?.execute([now.millis()])?;
    if new && connection.prepare_cached(ONE)?.exists([&note.kind, &note.key])? {
        return Err(already_exists("note", &note.key));
    }
    let until = note.until.map(Timestamp::millis);
    connection.prepare_cached(PUT)?.execute(params![note.kind, note.key, note.body, until])?;
    Ok(())
}

pub(super) fn one(connection: &Connection, kind: &str, key: &str) -> Outcome<Option<NoteRow>> {
    find(connection, ONE, [kind, key], decode)
}

pub(super) fn page(connection: &Connection, kind: &str, after: Option<&str>, limit: u32) -> Outcome<Vec<NoteRow>> {
    all(connection, PAGE, params![kind, after.unwrap_or_default(), limit], decode)
}

pub(super) fn take(connection: &Connection, kind: &str, key: &str) -> Outcome<Option<NoteRow>> {
    let taken = one(connection, kind, key)?;
    connection.prepare_cached(TAKE)?.execute([kind, key])?;
    Ok(taken)
}

fn decode(row: &Row<'_>) -> Outcome<NoteRow> {
    Ok(NoteRow { kind: row.get(0)?, key: row.get(1)?, body: row.get(2)?, until: optional_time(row, 3)? })
}
