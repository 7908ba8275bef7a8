//! Tasks that wait for an answer.

use serde_json::Value;
use uuid::Uuid;

use crate::engine::EngineError;
use crate::ids::{EventId, ExecutionId, TaskKey};
use crate::store::{ExecutionRow, WaitFilter, WaitRow};

use super::super::act;
use super::super::infer::{self, Expected};
use super::super::live;
use super::super::pages::execution::Asked;
use super::super::pages::inbox::{Inbox, Open, Typed, inbox as page};
use super::super::pages::layout::{Tab, said};
use super::super::serve::{Page, Reply};
use super::{Asking, execution};

const PAGE: u32 = 50;

/// The task that an address names.
pub fn key(text: &str) -> Option<TaskKey> {
    let (execution, scheduled) = text.rsplit_once('-')?;
    let execution = ExecutionId(Uuid::parse_str(execution).ok()?);
    Some(TaskKey { execution, scheduled: EventId(scheduled.parse().ok()?) })
}

/// An open task with all that its page shows.
pub struct Found {
    pub row: ExecutionRow,
    pub asked: Asked,
    pub expected: Expected,
    pub parameters: String,
    /// For the operation that answers; never in a page.
    pub token: String,
}

/// `None`: it does not wait any more.
pub async fn open(asking: &Asking<'_>, key: TaskKey) -> Result<Option<Found>, EngineError> {
    let engine = &asking.console.engine;
    let Some(row) = engine.journal().execution(key.execution).await? else { return Ok(None) };
    let tasks = engine.waiting_tasks_of(&row.header.arn).await?;
    let Some(task) = tasks.into_iter().find(|task| task.key == key) else { return Ok(None) };
    let told = execution::told(asking, &row).await?;
    let visit = told.story.visit_of(key.scheduled);
    let definition: Value = serde_json::from_str(&told.definition).unwrap_or_default();
    let expected = visit.map(|visit| infer::expected(&definition, &visit.pointer)).unwrap_or_default();
    let parameters = visit.and_then(|visit| visit.task.as_ref()).map(|(_, payload)| payload.text().to_owned());
    let looks = if task.wait.queue {
        asking.console.looks.at(asking.console, vec![task.wait.destination.clone()]).await
    } else {
        std::collections::HashMap::new()
    };
    let queue = looks.get(&task.wait.destination).copied().and_then(Result::ok).flatten();
    let asked = Asked { wait: task.wait, queue };
    Ok(Some(Found { row, asked, expected, parameters: parameters.unwrap_or_default(), token: task.token }))
}

/// `task`: the one that is shown whole, with an answer that was refused.
pub async fn list(asking: &Asking<'_>, task: Option<(&str, Option<Typed>)>) -> Result<Reply, EngineError> {
    let (machine, queue) = (asking.query("machine"), asking.query("queue"));
    let realm = asking.console.engine.realm();
    let filter = WaitFilter {
        state_machine: Some(machine.trim()).filter(|name| !name.is_empty()).map(|name| realm.state_machine(name)),
        destination: Some(queue.trim()).filter(|queue| !queue.is_empty()).map(str::to_owned),
        after: cursor(&asking.query("after")),
        limit: PAGE + 1,
        ..WaitFilter::default()
    };
    let mut rows = asking.console.engine.journal().waits(filter).await?;
    let more = rows.len() > PAGE as usize;
    rows.truncate(PAGE as usize);
    let more = rows.last().filter(|_| more).map(cursor_behind);
    let (wanted, typed) = match task {
        Some((text, typed)) => match key(text) {
            Some(key) => (Some(key), typed),
            None => return Ok(Reply::missing("There is no such task.")),
        },
        None => (rows.first().map(WaitRow::key), None),
    };
    let found = match wanted {
        Some(key) => match open(asking, key).await? {
            None if task_was_named(asking) => return act::over(asking, key).await,
            found => found.map(|found| (key, found)),
        },
        None => None,
    };
    let up = if task_was_named(asking) { "../" } else { "" };
    let open = found.as_ref().map(|(key, found)| Open {
        key: *key,
        row: &found.row,
        asked: Asked { wait: found.asked.wait.clone(), queue: found.asked.queue },
        expected: &found.expected,
        parameters: &found.parameters,
        typed,
    });
    let content = page(&Inbox {
        rows: &rows,
        machine: &machine,
        queue: &queue,
        more,
        now: asking.console.engine.clock().now(),
        who: asking.who,
        open,
        up,
        said: said(Some(&asking.query("said"))),
    });
    Ok(Reply::Page(Page::new("Inbox", Tab::Inbox, content).live(live::WAITS, 15)))
}

fn task_was_named(asking: &Asking<'_>) -> bool {
    asking.request.match_info().get("rest").is_some_and(|rest| rest.starts_with("inbox/"))
}

fn cursor_behind(row: &WaitRow) -> String {
    format!("{}:{}:{}", row.wait.since.millis(), row.execution, row.wait.scheduled.0)
}

fn cursor(text: &str) -> Option<(crate::clock::Timestamp, TaskKey)> {
    let mut parts = text.split(':');
    let since = crate::clock::Timestamp::from_millis(parts.next()?.parse().ok()?);
    let execution = ExecutionId(Uuid::parse_str(parts.next()?).ok()?);
    Some((since, TaskKey { execution, scheduled: EventId(parts.next()?.parse().ok()?) }))
}
