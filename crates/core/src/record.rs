//! The form of journal entries: JSON text, so that an operator can read a journal with `sqlite3`.
//!
//! `{"v":1,"e":[...]}`. The names inside are pinned by a snapshot (see the tests): they never follow a Rust rename, and
//! a journal of an older version stays readable for ever. A new form gets a new `v` and its own reader here.
//!
//! `{"v":2,"s":[[3,1]],"e":[...]}` is a batch in which a large payload stands at several places: of all payloads of its
//! events, in the order of `interpreter::payloads`, the one with number 3 is written as `null` and is the one with
//! number 1. A batch without such a payload is written in form 1.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::interpreter::event::{Entry, Payload};
use crate::interpreter::payloads;
use crate::limits::JSON_DEPTH_MAX;
use crate::payload::LARGE;
use crate::payload::length::nests_deeper_than;

/// The form of a batch in which no large payload is repeated.
const PLAIN: u32 = 1;
/// The newest form.
const FORM: u32 = 2;
/// Room for an entry with a small payload, so that the buffer need not grow.
const ENTRY_BYTES: usize = 512;
/// Levels of batch, entries, entry, event, its fields, items of a Map and an item: twice the levels of today.
const LEVELS_AROUND_PAYLOAD: usize = 16;

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    e: &'a [Entry],
}

#[derive(Serialize)]
struct Sharing<'a> {
    v: u32,
    s: &'a [(u32, u32)],
    e: &'a [Cow<'a, Entry>],
}

#[derive(Deserialize)]
struct Read {
    v: u32,
    #[serde(default)]
    s: Vec<(u32, u32)>,
    e: Vec<Entry>,
}

/// Reasons why a batch cannot be read.
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
/// `Broken` with serde_json's text. Entries of the core always encode.
pub fn encode(entries: &[Entry]) -> Result<Vec<u8>, RecordError> {
    let mut bytes = Vec::with_capacity(ENTRY_BYTES * entries.len());
    let same = repeats(entries);
    let written = if same.is_empty() {
        serde_json::to_writer(&mut bytes, &Written { v: PLAIN, e: entries })
    } else {
        let entries = without(entries, &same);
        serde_json::to_writer(&mut bytes, &Sharing { v: FORM, s: &same, e: &entries })
    };
    written.map_err(|e| RecordError::Broken(e.to_string()))?;
    Ok(bytes)
}

/// Large payloads that repeat an earlier one: the numbers of both.
fn repeats(entries: &[Entry]) -> Vec<(u32, u32)> {
    let (mut first, mut same, mut number) = (HashMap::new(), Vec::new(), 0);
    for entry in entries {
        payloads::each(&entry.event, &mut |payload| {
            if payload.bytes() >= LARGE {
                let at = *first.entry(payload.address()).or_insert(number);
                if at != number {
                    same.push((number, at));
                }
            }
            number += 1;
        });
    }
    same
}

/// The entries with `null` in place of each repeated payload.
fn without<'e>(entries: &'e [Entry], same: &[(u32, u32)]) -> Vec<Cow<'e, Entry>> {
    let (mut same, mut number) = (same.iter().map(|(number, _)| *number).peekable(), 0);
    let mut written = Vec::with_capacity(entries.len());
    for entry in entries {
        let before = number;
        payloads::each(&entry.event, &mut |_| number += 1);
        let mut entry = Cow::Borrowed(entry);
        if same.peek().is_some_and(|repeated| *repeated < number) {
            let mut at = before;
            payloads::each_mut(&mut entry.to_mut().event, &mut |payload| {
                if same.next_if_eq(&at).is_some() {
                    *payload = Payload::default();
                }
                at += 1;
            });
        }
        written.push(entry);
    }
    written
}

/// Puts back the payloads that [`without`] took: one value in memory for all its places.
fn share(entries: &mut [Entry], same: &[(u32, u32)]) -> Result<(), RecordError> {
    let mut all: Vec<Payload> = Vec::new();
    for entry in &*entries {
        payloads::each(&entry.event, &mut |payload| all.push(Payload::clone(payload)));
    }
    let mut at = 0;
    let sources: HashMap<u32, u32> = same.iter().copied().collect();
    if sources.iter().any(|(number, source)| source >= number || *number as usize >= all.len()) {
        return Err(RecordError::Broken("a payload is said to be the same as none before it".to_owned()));
    }
    for entry in entries {
        payloads::each_mut(&mut entry.event, &mut |payload| {
            if let Some(source) = sources.get(&at).and_then(|source| all.get(*source as usize)) {
                *payload = Payload::clone(source);
            }
            at += 1;
        });
    }
    Ok(())
}

/// Decodes one batch.
///
/// # Errors
/// Where it is of a newer form, or broken.
pub fn decode(bytes: &[u8]) -> Result<Vec<Entry>, RecordError> {
    // The core bounds payloads, and an event has a few levels around them. A deeper batch is damaged, and would
    // overflow the stack.
    if nests_deeper_than(bytes, JSON_DEPTH_MAX + LEVELS_AROUND_PAYLOAD) {
        return Err(RecordError::Broken(format!("nested deeper than {JSON_DEPTH_MAX} levels")));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    // serde_json's own bound is just below ours.
    reader.disable_recursion_limit();
    match Read::deserialize(&mut reader) {
        Ok(read) if read.v == PLAIN => Ok(read.e),
        Ok(Read { v: FORM, s, mut e }) => share(&mut e, &s).map(|()| e),
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
