//! The encoding of values in columns. Codes are persisted: they never change their meaning.

use std::fmt;

use rusqlite::Row;

use crate::clock::Timestamp;
use crate::ids::ExecutionId;
use crate::store::{ExecutionStatus, RevisionId};

use super::error::{Outcome, corrupt};

pub(super) fn blob(id: ExecutionId) -> [u8; 16] {
    id.0.into_bytes()
}

pub(super) fn execution_id(bytes: [u8; 16]) -> ExecutionId {
    ExecutionId(uuid::Uuid::from_bytes(bytes))
}

pub(super) fn revision_blob(id: RevisionId) -> [u8; 16] {
    id.0.into_bytes()
}

pub(super) fn revision_id(bytes: [u8; 16]) -> RevisionId {
    RevisionId(uuid::Uuid::from_bytes(bytes))
}

/// SQLite's integers are signed; the bits come back as they went.
pub(super) fn int(value: u64) -> i64 {
    value.cast_signed()
}

pub(super) fn uint(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_millis(row.get(column)?))
}

pub(super) fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

pub(super) fn status_code(status: ExecutionStatus) -> i64 {
    status.code().into()
}

pub(super) fn status(code: i64, key: &dyn fmt::Display) -> Outcome<ExecutionStatus> {
    let known = u8::try_from(code).ok().and_then(ExecutionStatus::of_code);
    known.ok_or_else(|| corrupt("execution", key, &format!("status {code} is unknown")))
}

pub(super) fn json(text: &str, what: &'static str, key: &dyn fmt::Display) -> Outcome<serde_json::Value> {
    serde_json::from_str(text).map_err(|error| corrupt(what, key, &error))
}
