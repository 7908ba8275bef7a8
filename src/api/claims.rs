//! Claims: who works on a task now, as others see it. A soft lock of a quarter of an hour, and no right.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::ids::{EventId, TaskKey};
use crate::limits::{CLAIM_SECONDS, CLAIMS_SHOWN_MAX};
use crate::store::{Catalog, NoteRow, StoreError, StoreResult};

use super::arn;
use super::context::Context;
use super::error::ApiError;
use super::links::address;

const KIND: &str = "claim";

/// A claim of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub by: String,
    pub until: Timestamp,
}

/// The open task that a request names.
pub async fn task(ctx: &Context, execution: &str, scheduled: u64) -> Result<TaskKey, ApiError> {
    let execution = arn::execution(execution)?;
    let tasks = ctx.engine().waiting_tasks_of(&execution).await?;
    let found = tasks.into_iter().find(|task| task.key.scheduled == EventId(scheduled));
    found.map(|task| task.key).ok_or_else(|| {
        ApiError::new("TaskDoesNotExist", format!("No task that event {scheduled} scheduled waits in this execution"))
    })
}

/// Claims a task for the caller, or renews his claim.
pub async fn claim(ctx: &Context, task: &TaskKey, force: bool) -> Result<Claim, ApiError> {
    let (now, key) = (ctx.now(), address(task));
    let by = ctx.asker.by.as_ref().map_or_else(|| "a caller without a key".to_owned(), ToString::to_string);
    let until = now.plus_seconds(f64::from(CLAIM_SECONDS));
    let note = NoteRow { kind: KIND.to_owned(), key, body: json!({"by": by}).to_string(), until: Some(until) };
    match ctx.catalog.put_note(note.clone(), true, now).await {
        Ok(()) => return Ok(Claim { by, until }),
        Err(StoreError::AlreadyExists { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    let before = ctx.catalog.note(KIND, &note.key).await?.as_ref().and_then(read);
    match before {
        Some(before) if before.by != by && !force => {
            let left = before.until.since(now).as_secs().div_ceil(60);
            let message = format!("{} claimed this task, for {left} more minutes; force takes it over", before.by);
            Err(ApiError::new("ConflictException", message))
        }
        _ => {
            ctx.catalog.put_note(note, false, now).await?;
            Ok(Claim { by, until })
        }
    }
}

/// Ends the claim of the caller; one of another stays.
pub async fn release(ctx: &Context, task: &TaskKey) -> Result<(), ApiError> {
    let by = ctx.asker.by.as_ref().map(ToString::to_string);
    let key = address(task);
    if ctx.catalog.note(KIND, &key).await?.as_ref().and_then(read).map(|claim| claim.by) == by {
        ctx.catalog.take_note(KIND, &key).await?;
    }
    Ok(())
}

/// The claims at this time, by the address of their tasks.
pub async fn all(catalog: &dyn Catalog, now: Timestamp) -> StoreResult<HashMap<String, Claim>> {
    let notes = catalog.notes(KIND, None, CLAIMS_SHOWN_MAX).await?;
    let claims = notes.into_iter().filter_map(|note| Some((note.key.clone(), read(&note)?)));
    Ok(claims.filter(|(_, claim)| claim.until > now).collect())
}

fn read(note: &NoteRow) -> Option<Claim> {
    let body: Value = serde_json::from_str(&note.body).ok()?;
    Some(Claim { by: body.get("by")?.as_str()?.to_owned(), until: note.until? })
}
