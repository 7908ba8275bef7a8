//! How journal entries are written: JSON text, so that an operator can read a journal with `sqlite3`.
//!
//! `{"v":1,"e":[...]}`. The names inside are pinned by a snapshot (see the tests): they never follow a Rust rename, and a journal of an
//! older version stays readable for ever. A new form gets a new `v` and its own reader here.

use serde::{Deserialize, Serialize};

use crate::interpreter::event::Entry;

/// The form that is written.
const FORM: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    e: &'a [Entry],
}

#[derive(Deserialize)]
struct Read {
    v: u32,
    e: Vec<Entry>,
}

/// Why a batch cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the journal was written by a newer version (form {0}; this one reads up to {FORM})")]
    Newer(u32),
    #[error("the journal does not decode: {0}")]
    Broken(String),
}

/// Encodes entries, in order.
///
/// # Errors
/// Never for what the core makes; the text of serde_json's complaint else.
pub fn encode(entries: &[Entry]) -> Result<Vec<u8>, RecordError> {
    serde_json::to_vec(&Written { v: FORM, e: entries }).map_err(|e| RecordError::Broken(e.to_string()))
}

/// Decodes one batch.
///
/// # Errors
/// Where it is of a newer form, or broken.
pub fn decode(bytes: &[u8]) -> Result<Vec<Entry>, RecordError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    // Payloads are up to 128 levels deep, and an event has a few around them.
    reader.disable_recursion_limit();
    match Read::deserialize(&mut reader) {
        Ok(read) if read.v == FORM => Ok(read.e),
        Ok(read) => Err(RecordError::Newer(read.v)),
        Err(e) => match serde_json::from_slice::<Form>(bytes) {
            Ok(form) if form.v > FORM => Err(RecordError::Newer(form.v)),
            _ => Err(RecordError::Broken(e.to_string())),
        },
    }
}

#[derive(Deserialize)]
struct Form {
    v: u32,
}
