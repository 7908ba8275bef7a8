//! Maps SQLite's errors to the errors of the port.

use std::fmt;

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// A failure inside a transaction.
#[derive(Debug)]
pub(super) enum Fault {
    /// The port's answer to this one request. Found before anything was written for it, or undone by its savepoint.
    Refused(StoreError),
    /// SQLite gave up. The transaction may be gone already (it rolls back by itself when the disk is full).
    Sqlite(rusqlite::Error),
}

pub(super) type Outcome<T> = Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => error,
            Fault::Sqlite(error) => classify(&error),
        }
    }
}

/// A row that does not decode, or a damaged file, is `Corrupt`. Every other error may pass.
pub(super) fn classify(error: &rusqlite::Error) -> StoreError {
    let why = error.to_string();
    match error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => StoreError::Corrupt { what: "row", key: "of the store".into(), why },
        _ => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt { what: "store", key: "file".into(), why }
            }
            Some(ErrorCode::DiskFull) => StoreError::Unavailable(
                "the disk is full, or the store is at its size limit (`store.size_bytes_max`)".into(),
            ),
            _ => StoreError::Unavailable(why),
        },
    }
}

/// The error of a stored value that this version cannot read.
pub(super) fn corrupt(what: &'static str, key: &dyn fmt::Display, why: &dyn fmt::Display) -> Fault {
    Fault::Refused(StoreError::Corrupt { what, key: key.to_string(), why: why.to_string() })
}

pub(super) fn not_found(what: &'static str, key: &dyn fmt::Display) -> Fault {
    Fault::Refused(StoreError::NotFound { what, key: key.to_string() })
}

pub(super) fn already_exists(what: &'static str, key: &dyn fmt::Display) -> Fault {
    Fault::Refused(StoreError::AlreadyExists { what, key: key.to_string() })
}
