//! Tasks that wait for an answer.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use serde_json::Value;
use uuid::Uuid;

use crate::api::{claims, forms};
use crate::asl::resource::Resource;
use crate::engine::{AskedTask, EngineError};
use crate::forms::Form;
use crate::ids::{EventId, ExecutionId, TaskKey};
use crate::store::{ExecutionRow, WaitFilter, WaitRow};

use super::super::infer::{self, Expected};
use super::super::live;
use super::super::pages::execution::Asked;
use super::super::pages::inbox::{Inbox, Open, Typed, address, answered as answered_page, inbox as page};
use super::super::pages::layout::{Tab, said};
use super::super::serve::{Page, Reply};
use super::super::story::HIDDEN;
use super::super::{answers, task_forms};
use super::{Asking, execution};

const PAGE: u32 = 50;
/// Executions that are read at once for the titles of their forms.
const TITLES_AT_ONCE: usize = 8;

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
    /// Its form, or the fault of a form that cannot be shown.
    pub form: Result<Option<Form>, String>,
    pub parameters: String,
    /// For the operation that answers; never in a page.
    pub token: String,
}

/// `None`: it does not wait any more.
pub async fn open(asking: &Asking<'_>, key: TaskKey) -> Result<Option<Found>, EngineError> {
    let engine = &asking.console.engine;
    let Some(open) = engine.asked(key).await? else { return Ok(None) };
    let form = forms::of(&**engine.catalog(), &open).await?;
    let AskedTask { row, task, input, parameters } = open;
    let told = execution::told_to(asking, &row).await?;
    let visit = told.story.visit_of(key.scheduled);
    let definition: Value = serde_json::from_str(&told.definition).unwrap_or_default();
    let expected = visit.map(|visit| infer::expected(&definition, &visit.pointer)).unwrap_or_default();
    // People who are asked without a message decide by the input of the state.
    let is_ask = Resource::parse(&task.wait.resource).is_some_and(|resource| resource.is_ask());
    let sees = asking.who.payload;
    let parameters = if is_ask { input } else { parameters };
    let parameters = if sees { parameters.text().to_owned() } else { format!("\"{HIDDEN}\"") };
    // Its title, text and values may be data.
    let bare = |form: Form| if sees { form } else { Form { title: None, text: None, show: Vec::new(), ..form } };
    let form = form.map(|form| form.map(bare));
    let looks = if task.wait.queue {
        asking.console.looks.at(asking.console, vec![task.wait.destination.clone()]).await
    } else {
        HashMap::new()
    };
    let queue = looks.get(&task.wait.destination).copied().and_then(Result::ok).flatten();
    let asked = Asked { wait: task.wait, queue };
    Ok(Some(Found { row, asked, expected, form, parameters, token: task.token }))
}

/// Answers of people, newest first.
pub async fn answered(asking: &Asking<'_>) -> Result<Reply, EngineError> {
    let after = Some(asking.query("after")).filter(|after| !after.is_empty());
    let mut found = answers::page(&asking.console.engine, after, PAGE + 1).await?;
    let more = found.len() > PAGE as usize;
    found.truncate(PAGE as usize);
    let more = found.last().filter(|_| more).map(|(key, _)| key.clone());
    let found: Vec<_> = found.into_iter().map(|(_, answered)| answered).collect();
    let content = answered_page(&found, more.as_deref(), asking.console.engine.clock().now());
    Ok(Reply::Page(Page::new("Answered", Tab::Inbox, content).live(live::WAITS, 30)))
}

/// The titles of the rows' own forms, as this person may see them, by the addresses of their tasks.
async fn titles(asking: &Asking<'_>, rows: &[WaitRow]) -> HashMap<String, String> {
    // A task with a form beside its definition has the state's name.
    let is_ask = |row: &&WaitRow| Resource::parse(&row.wait.resource).is_some_and(|resource| resource.is_ask());
    let asks: Vec<TaskKey> = rows.iter().filter(is_ask).filter(|_| asking.who.payload).map(WaitRow::key).collect();
    let found = stream::iter(asks).map(|key| async move { Some((address(&key), title(asking, key).await?)) });
    found.buffer_unordered(TITLES_AT_ONCE).filter_map(|found| async { found }).collect().await
}

async fn title(asking: &Asking<'_>, key: TaskKey) -> Option<String> {
    let row = asking.console.engine.journal().execution(key.execution).await.ok()??;
    let story = asking.console.stories.look(asking.console, &row).await.ok()?;
    let (_, parameters) = story.visit_of(key.scheduled)?.task.as_ref()?;
    parameters.get("Form")?.get("Title")?.as_str().map(str::to_owned)
}

/// `task`: the task that is shown whole, with an answer that was refused.
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
            None if task_was_named(asking) => return task_forms::over(asking, key).await,
            found => found.map(|found| (key, found)),
        },
        None => None,
    };
    let up = if task_was_named(asking) { "../" } else { "" };
    let now = asking.console.engine.clock().now();
    let claims = claims::all(&**asking.console.engine.catalog(), now).await?;
    let titles = titles(asking, &rows).await;
    let open = found.as_ref().map(|(key, found)| Open {
        key: *key,
        row: &found.row,
        asked: Asked { wait: found.asked.wait.clone(), queue: found.asked.queue },
        expected: &found.expected,
        form: found.form.as_ref().map(Option::as_ref).map_err(String::as_str),
        parameters: &found.parameters,
        typed,
    });
    let content = page(&Inbox {
        rows: &rows,
        machine: &machine,
        queue: &queue,
        more,
        claims: &claims,
        titles: &titles,
        me: asking.who.by().to_string(),
        now,
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
