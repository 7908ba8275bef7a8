//! How journal entries are written: JSON text, so that an operator can read a journal with `sqlite3`.
//!
//! `{"v":1,"e":[...]}`. The names inside are pinned by a snapshot (see the tests): they never follow a Rust rename, and
//! a journal of an older version stays readable for ever. A new form gets a new `v` and its own reader here.

use serde::{Deserialize, Serialize};

use crate::interpreter::event::Entry;
use crate::limits::JSON_DEPTH_MAX;
use crate::payload::length::nests_deeper_than;

/// The form that is written.
const FORM: u32 = 1;
/// An entry with a small payload fits: room made once, not doubled from nothing.
const ENTRY_BYTES: usize = 512;
/// Batch, entries, entry, event, its fields, items of a Map, an item: twice of what there is today.
const LEVELS_AROUND_PAYLOAD: usize = 16;

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
    let mut bytes = Vec::with_capacity(ENTRY_BYTES * entries.len());
    serde_json::to_writer(&mut bytes, &Written { v: FORM, e: entries })
        .map_err(|e| RecordError::Broken(e.to_string()))?;
    Ok(bytes)
}

/// Decodes one batch.
///
/// # Errors
/// Where it is of a newer form, or broken.
pub fn decode(bytes: &[u8]) -> Result<Vec<Entry>, RecordError> {
    // The core bounds payloads, and an event has a few levels around them. What is deeper is damaged, and would end our
    // stack.
    if nests_deeper_than(bytes, JSON_DEPTH_MAX + LEVELS_AROUND_PAYLOAD) {
        return Err(RecordError::Broken(format!("nested deeper than {JSON_DEPTH_MAX} levels")));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    // serde_json's own bound is just below ours.
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

#[cfg(test)]
mod tests;
