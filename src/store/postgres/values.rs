//! The encoding of values in columns. Codes are persisted: they never change their meaning.

use std::fmt;

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::clock::Timestamp;
use crate::store::ExecutionStatus;

use super::error::{Outcome, corrupt};

/// Parameters of a statement with their types: an unnamed statement, which a pooler such as pgbouncer can hand to any
/// session.
pub(super) type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// PostgreSQL's integers are signed; the bits come back as they went.
pub(super) fn int(value: u64) -> i64 {
    value.cast_signed()
}

pub(super) fn uint(row: &Row, column: usize) -> Outcome<u64> {
    Ok(row.try_get::<_, i64>(column)?.cast_unsigned())
}

pub(super) fn small(row: &Row, column: usize) -> Outcome<u32> {
    let value: i64 = row.try_get(column)?;
    u32::try_from(value).map_err(|_| corrupt("row", &"of the store", &format!("the number {value} is out of range")))
}

pub(super) fn time(row: &Row, column: usize) -> Outcome<Timestamp> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

pub(super) fn optional_time(row: &Row, column: usize) -> Outcome<Option<Timestamp>> {
    Ok(row.try_get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// A client's text, which may hold a NUL: the type `text` refuses it, so it is stored as bytes.
pub(super) fn words(row: &Row, column: usize) -> Outcome<Option<String>> {
    let bytes: Option<Vec<u8>> = row.try_get(column)?;
    let text = bytes.map(String::from_utf8).transpose();
    text.map_err(|error| corrupt("row", &"of the store", &error))
}

pub(super) fn status_code(status: ExecutionStatus) -> i16 {
    status.code().into()
}

pub(super) fn status(code: i16, key: &dyn fmt::Display) -> Outcome<ExecutionStatus> {
    let known = u8::try_from(code).ok().and_then(ExecutionStatus::of_code);
    known.ok_or_else(|| corrupt("execution", key, &format!("status {code} is unknown")))
}

pub(super) fn json(text: &str, what: &'static str, key: &dyn fmt::Display) -> Outcome<serde_json::Value> {
    serde_json::from_str(text).map_err(|error| corrupt(what, key, &error))
}
