//! Maps PostgreSQL's errors to the errors of the port.

use std::error::Error as _;
use std::fmt;

use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// Raised by `hold` of the migrations: the row of this process is gone.
const BURIED: &str = "RV001";
/// Raised by it: another process owns a partition, or this one owns it in another epoch.
const FOREIGN: &str = "RV003";

/// A failure inside a transaction.
#[derive(Debug)]
pub(super) enum Fault {
    /// The port's answer to this one request.
    Refused(StoreError),
    Postgres(tokio_postgres::Error),
}

pub(super) type Outcome<T> = Result<T, Fault>;

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
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
            Fault::Postgres(error) => classify(&error),
        }
    }
}

pub(super) fn is_buried(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code() == BURIED)
}

pub(super) fn is_foreign(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code() == FOREIGN)
}

/// Damage is `Corrupt`. Every other error may pass.
pub(super) fn classify(error: &tokio_postgres::Error) -> StoreError {
    let why = explain(error);
    match error.code() {
        Some(code) if [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(code) => {
            StoreError::Corrupt { what: "store", key: "database".into(), why }
        }
        None if why.contains("error deserializing column") => {
            StoreError::Corrupt { what: "row", key: "of the store".into(), why }
        }
        Some(code) if *code == SqlState::DISK_FULL => {
            StoreError::Unavailable(format!("the disk of PostgreSQL is full: {why}"))
        }
        _ => StoreError::Unavailable(why),
    }
}

/// True where the whole server cannot write now, or this session cannot: no request of the group is at fault.
pub(super) fn concerns_all(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else { return true };
    // 08 connection, 53 resources, 57 the operator or a crash, 58 the operating system; 25006 after a failover.
    ["08", "53", "57", "58", "25006", "XX"].iter().any(|class| code.code().starts_with(class))
}

/// PostgreSQL's own words. The driver's message leaves them in the error's source.
pub(super) fn explain(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("PostgreSQL says: {} ({})", said.message(), said.code().code());
    }
    let mut why = format!("PostgreSQL: {error}");
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !why.contains(&text) {
            why = format!("{why}: {text}");
        }
        source = inner.source();
    }
    why
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

/// True where waiting does not help: the login, the name of the database, a certificate.
pub(super) fn is_permanent(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        // 28 authorization, 3D no such database, 42 no right to connect.
        Some(code) => ["28", "3D", "42"].iter().any(|class| code.code().starts_with(class)),
        None => error.to_string().contains("TLS") || is_of_tls(error),
    }
}

/// True where a server refuses a request of a connection's first packet, as poolers do. It refuses neither the
/// login nor the database, and it is not out of connections.
pub(super) fn may_be_a_pooler(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| !["28", "3D", "53", "57"].iter().any(|class| code.code().starts_with(class)))
}

fn is_of_tls(error: &tokio_postgres::Error) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.is::<rustls::Error>() {
            return true;
        }
        let within = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(within) = within
            && within.is::<rustls::Error>()
        {
            return true;
        }
        source = inner.source();
    }
    false
}
