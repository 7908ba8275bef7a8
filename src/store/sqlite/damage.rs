//! Rows of the index that do not decode. Each is left out and logged once, so that one damaged row does not hide all
//! others.
//!
//! A damaged file, from which nothing decodes, stays an error.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::store::StoreError;

use super::error::{Fault, Outcome, classify};

/// Damaged rows that are remembered as logged. Beyond it the memory is emptied and each is logged again.
const NAMED_MAX: usize = 10_000;
static NAMED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// The row, or nothing where it alone is damaged.
pub(super) fn left_out<T>(row: Outcome<T>, key: impl FnOnce() -> String) -> Outcome<Option<T>> {
    let fault = match row {
        Ok(row) => return Ok(Some(row)),
        Err(fault) => fault,
    };
    let (what, why) = match &fault {
        Fault::Refused(StoreError::Corrupt { what, why, .. }) => (*what, why.clone()),
        Fault::Sqlite(error) => match classify(error) {
            StoreError::Corrupt { what: "row", why, .. } => ("execution", why),
            _ => return Err(fault),
        },
        Fault::Refused(_) => return Err(fault),
    };
    let key = key();
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    if named.len() >= NAMED_MAX {
        named.clear();
    }
    if named.insert(key.clone()) {
        tracing::error!(
            event = "execution.unreadable",
            execution.id = key,
            reason = why,
            "the store's row of this {what} does not decode; it is left out of listings and of recovery, all others \
             are not"
        );
    }
    Ok(None)
}
