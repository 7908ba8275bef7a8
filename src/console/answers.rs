//! Answers that people gave in the inbox or by a link, newest first: kept for a month, so that the inbox can show them.
//! The journal of the execution has each of them for good.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::engine::EngineHandle;
use crate::ids::TaskKey;
use crate::limits::ANSWERS_DAYS;
use crate::store::{ExecutionRow, NoteRow, StoreResult};

const KIND: &str = "answer";

/// An answer as the inbox shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    pub at: i64,
    pub by: String,
    /// The answer in words: the label of a button, or the error of a refusal.
    pub said: String,
    pub state: String,
    pub execution: String,
    pub name: String,
    pub machine: String,
}

/// Keeps an answer. That it was given is durable already: where this fails, the list lacks it.
pub async fn keep(engine: &EngineHandle, row: &ExecutionRow, task: TaskKey, state: &str, by: String, said: &str) {
    let now = engine.clock().now();
    let answer = Answered {
        at: now.millis(),
        by,
        said: said.to_owned(),
        state: state.to_owned(),
        execution: row.header.id.to_string(),
        name: row.header.name.clone(),
        machine: row.header.state_machine.last().to_owned(),
    };
    let note = NoteRow {
        kind: KIND.to_owned(),
        // Listings go up: the newest has the smallest key.
        key: format!("{:020}-{}-{}", i64::MAX - now.millis(), task.execution, task.scheduled.0),
        body: serde_json::to_string(&answer).unwrap_or_default(),
        until: Some(now.plus_seconds(f64::from(ANSWERS_DAYS) * 86_400.0)),
    };
    if let Err(error) = engine.catalog().put_note(note, false, now).await {
        tracing::warn!(%error, "an answer was taken, but the list of answers lacks it");
    }
}

/// A page of answers with their keys.
pub async fn page(engine: &EngineHandle, after: Option<String>, limit: u32) -> StoreResult<Vec<(String, Answered)>> {
    let notes = engine.catalog().notes(KIND, after, limit).await?;
    let answered = |note: NoteRow| Some((note.key, serde_json::from_str(&note.body).ok()?));
    Ok(notes.into_iter().filter_map(answered).collect())
}

impl Answered {
    pub const fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at)
    }
}
