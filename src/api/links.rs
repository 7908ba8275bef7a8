//! Approval links: which task and which buttons a code allows, and those that were withdrawn.

use serde_json::json;

use crate::clock::Timestamp;
use crate::engine::{AskedTask, EngineHandle};
use crate::forms::Form;
use crate::ids::{EventId, TaskKey};
use crate::integrations::is_name;
use crate::limits::LINK_DAYS_MAX;
use crate::store::{NoteRow, StoreResult};

use super::context::Context;
use super::error::ApiError;
use super::{arn, forms};

/// The kind of the notes of withdrawn links.
const WITHDRAWN: &str = "withdrawn-link";

/// A link that was made.
pub struct Made {
    pub address: String,
    pub id: String,
    pub until: Timestamp,
    pub actions: Vec<String>,
}

/// The open task of a request: that of an event, or of a state, or the only one with a form.
pub async fn task(
    ctx: &Context,
    execution: &str,
    scheduled: Option<u64>,
    state: Option<&str>,
) -> Result<(AskedTask, Form), ApiError> {
    let execution = arn::execution(execution)?;
    let tasks = ctx.engine().waiting_tasks_of(&execution).await?;
    let mut found = Vec::new();
    let fits = |wait: &crate::store::Wait| {
        scheduled.is_none_or(|id| wait.scheduled == EventId(id)) && state.is_none_or(|state| wait.state == state)
    };
    let (mut why, mut waits) = (None, 0_usize);
    for task in tasks.into_iter().filter(|task| fits(&task.wait)) {
        waits += 1;
        let Some(asked) = ctx.engine().asked(task.key).await? else { continue };
        match forms::of(&*ctx.catalog, &asked).await? {
            Ok(Some(form)) => found.push((asked, form)),
            Ok(None) => {}
            Err(fault) => why = Some(fault),
        }
    }
    match (found.pop(), found.is_empty(), waits) {
        (Some(one), true, _) => Ok(one),
        (Some(_), false, _) => {
            Err(ApiError::validation("Several tasks wait: name one by scheduledEventId or stateName"))
        }
        (None, _, 0) => Err(ApiError::new("TaskDoesNotExist", "No such task waits in this execution")),
        (None, _, _) => Err(ApiError::validation(why.map_or_else(
            || "The task has no form, and the page of a link shows nothing else: give its state a Form".to_owned(),
            |why| format!("The form of the task cannot be shown: {why}"),
        ))),
    }
}

/// Makes a link for the caller.
pub fn make(
    ctx: &Context,
    (asked, form): &(AskedTask, Form),
    audience: &str,
    labels: Option<&[&str]>,
    seconds: Option<u64>,
) -> Result<Made, ApiError> {
    if !is_name(audience) {
        return Err(ApiError::validation("'for' is a name or an address of at most 254 bytes, on one line"));
    }
    let bits = form.bits(labels).map_err(|label| ApiError::validation(format!("The form has no action '{label}'")))?;
    if bits == 0 || seconds == Some(0) {
        return Err(ApiError::validation("A link allows at least one action, for at least a second"));
    }
    let maker = ctx.asker.by.as_ref().map_or_else(|| "a caller without a key".to_owned(), ToString::to_string);
    let (address, id, until) = ctx.engine().make_link(&asked.task, bits, audience, &maker, seconds);
    let allowed = form.actions.iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0);
    Ok(Made { address, id, until, actions: allowed.map(|(_, action)| action.label.clone()).collect() })
}

/// Withdraws a link for good. A link that never was is no error: nothing is stored of links that were made.
pub async fn withdraw(ctx: &Context, id: &str) -> Result<(), ApiError> {
    if id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(ApiError::validation("'linkId' has 32 hexadecimal digits"));
    }
    let now = ctx.now();
    let by = ctx.asker.by.as_ref().map(ToString::to_string);
    let until = Some(now.plus_seconds(f64::from(LINK_DAYS_MAX) * 86_400.0));
    let note = NoteRow {
        kind: WITHDRAWN.to_owned(),
        key: id.to_ascii_lowercase(),
        body: json!({"by": by}).to_string(),
        until,
    };
    Ok(ctx.catalog.put_note(note, false, now).await?)
}

/// Whether the link of this code was withdrawn.
pub async fn is_withdrawn(engine: &EngineHandle, id: &str) -> StoreResult<bool> {
    Ok(engine.catalog().note(WITHDRAWN, id).await?.is_some())
}

/// How a page names a task: by its execution and event, never its token.
#[must_use]
pub fn address(task: &TaskKey) -> String {
    format!("{}-{}", task.execution, task.scheduled.0)
}
