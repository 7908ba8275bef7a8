//! One execution: its row, its journal as a story, its waiting tasks.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::history;
use crate::clock::Timestamp;
use crate::engine::{EngineError, HistoryQuery};
use crate::graph::{Diagram, Fold, Laid, Look, Mark, svg};
use crate::ids::{EventId, ExecutionId};
use crate::store::{ExecutionRow, Wait, WaitFilter};

use super::super::live;
use super::super::pages::execution::{Asked, Events, RELATIVES_SHOWN, View, ViewTab, page};
use super::super::pages::layout::{Tab, said};
use super::super::pages::panel::Part;
use super::super::pages::strip::{self, MapItems};
use super::super::serve::{Console, Page, Reply};
use super::super::story::{HIDDEN, Standing, Story};
use super::stories::Looked;
use super::{Asking, map_run, parked};

/// Entries of a journal that is read as a whole for its open tasks.
const SHORT: u64 = 500;
/// Waiting tasks that the page knows of a longer one.
const WAITS_MAX: u32 = 1_000;
/// Events of a page of the history.
const EVENTS: usize = 200;
/// Events that a search in a history looks at, in all and at once.
const EVENTS_SEARCHED: usize = 25_000;
const EVENTS_AT_ONCE: usize = 2_500;
/// Map Runs of one execution whose counts the graph shows.
const MAP_RUNS_TOLD: usize = 20;

/// Forks and children that the page shows, each.
const RELATIVES: u32 = 100;
const _: () = assert!(RELATIVES as usize == RELATIVES_SHOWN);

/// The execution with this id, or this ARN's.
pub async fn row(asking: &Asking<'_>, id: &str) -> Result<Option<ExecutionRow>, EngineError> {
    let Ok(id) = Uuid::parse_str(id) else { return Ok(None) };
    Ok(asking.console.engine.journal().execution(ExecutionId(id)).await?)
}

/// An execution with its story and its definition.
pub struct Told {
    pub story: Looked,
    pub definition: String,
    pub now: Timestamp,
}

pub async fn told(console: &Console, row: &ExecutionRow) -> Result<Told, EngineError> {
    let story = console.stories.look(console, row).await?;
    let definition = story.definition().to_owned();
    Ok(Told { story, definition, now: console.engine.clock().now() })
}

/// The same as this person may see it.
pub async fn told_to(asking: &Asking<'_>, row: &ExecutionRow) -> Result<Told, EngineError> {
    let told = told(asking.console, row).await?;
    if asking.who.payload {
        return Ok(told);
    }
    Ok(Told { story: told.story.without_payloads(), ..told })
}

/// The items of the Distributed Maps of an execution; those of inline ones are in its story.
async fn distributed(asking: &Asking<'_>, story: &Story) -> MapItems {
    let mut items = MapItems::new();
    let visits = story.visits.iter().rev().filter_map(|visit| Some((visit, visit.map_run.as_ref()?)));
    for (visit, run) in visits.take(MAP_RUNS_TOLD) {
        let described = parked::ask(asking, "DescribeMapRun", json!({"mapRunArn": run.as_str()})).await;
        if let Ok(described) = described
            && !items.contains_key(&visit.pointer)
        {
            items.insert(visit.pointer.clone(), map_run::told(&described));
        }
    }
    items
}

/// The picture of a definition with the standing of its states. `items`: of Distributed Maps.
pub fn graph(
    definition: &str,
    story: Option<(&Story, &MapItems)>,
    chosen: Option<&str>,
    link: Option<String>,
) -> String {
    let Ok(definition) = serde_json::from_str::<Value>(definition) else { return String::new() };
    let diagram = Diagram::read(&definition);
    let standings = story.map(|(story, _)| story.standings()).unwrap_or_default();
    let items = |pointer: &str| {
        let (story, distributed) = story?;
        let inline = || story.visit(pointer).filter(|visit| !visit.iterations.is_empty());
        distributed.get(pointer).cloned().or_else(|| inline().map(|visit| strip::parts(&visit.iterations)))
    };
    let mark = |(pointer, standing): (&str, Standing)| {
        let mark = Mark { class: standing.class(), words: standing.words(), items: items(pointer) };
        (pointer.to_owned(), mark)
    };
    let look = Look {
        style: false,
        link,
        marks: standings.into_iter().map(mark).collect(),
        taken: story.map(|(story, _)| story.taken.clone()).unwrap_or_default(),
        chosen: chosen.map(str::to_owned),
    };
    svg::draw(&Laid::of(&diagram, Fold::for_size(diagram.states())), &look)
}

/// The waiting tasks of an execution, with the broker's word on their queues.
pub async fn asked(asking: &Asking<'_>, row: &ExecutionRow) -> Result<Vec<Asked>, EngineError> {
    if !row.summary.status.is_open() {
        return Ok(Vec::new());
    }
    // The table has a task when it has waited for a second; a journal that is short is read for the younger ones.
    let tasks: Vec<Wait> = if row.version.0 > SHORT {
        let filter = WaitFilter { execution: Some(row.header.id), limit: WAITS_MAX, ..WaitFilter::default() };
        asking.console.engine.journal().waits(filter).await?.into_iter().map(|row| row.wait).collect()
    } else {
        let open = asking.console.engine.waiting_tasks_of(&row.header.arn).await?;
        open.into_iter().map(|task| task.wait).collect()
    };
    let queues = tasks.iter().filter(|wait| wait.queue).map(|wait| wait.destination.clone());
    let mut queues: Vec<String> = queues.collect();
    queues.sort_unstable();
    queues.dedup();
    let looks = asking.console.looks.at(asking.console, queues).await;
    let of = |wait: &Wait| looks.get(&wait.destination).copied().and_then(Result::ok).flatten();
    Ok(tasks.into_iter().map(|wait| Asked { queue: of(&wait), wait }).collect())
}

pub async fn one(asking: &Asking<'_>, id: &str) -> Result<Reply, EngineError> {
    let Some(row) = row(asking, id).await? else { return Ok(Reply::missing("There is no such execution here.")) };
    let tab = ViewTab::parse(Some(&asking.query("view")));
    let row = seen(asking, row);
    let told = told_to(asking, &row).await?;
    let asked = asked(asking, &row).await?;
    let wanted = asking.query("state");
    let chosen = if wanted.is_empty() { None } else { told.story.visit(&wanted) }.or_else(|| told.story.foremost());
    let items = if tab == ViewTab::Graph { distributed(asking, &told.story).await } else { MapItems::new() };
    let graph = if tab == ViewTab::Graph {
        let link = format!("{}?view=graph&state=", row.header.id);
        let chosen = chosen.map(|visit| visit.pointer.as_str());
        graph(&told.definition, Some((&told.story, &items)), chosen, Some(link))
    } else {
        String::new()
    };
    let events = if tab == ViewTab::Events { Some(events(asking, &row).await?) } else { None };
    let lineage = asking.console.engine.lineage(&row.header.arn, RELATIVES + 1).await?;
    let view = View {
        row: &row,
        now: told.now,
        who: asking.who,
        tab,
        part: Part::parse(Some(&asking.query("part"))),
        story: &told.story,
        chosen,
        asked: &asked,
        graph,
        items: &items,
        events,
        definition: &told.definition,
        lineage: &lineage,
        runs: map_run::of(asking, &row)
            .await?
            .iter()
            .map(|run| (map_run::address(run), run.arn.last().to_owned()))
            .collect(),
        run: match &row.header.map_run {
            Some(run) => map_run::parent(asking, run).await?.map(|run| map_run::address(&run)),
            None => None,
        },
        said: said(Some(&asking.query("said"))),
    };
    let every = if asked.is_empty() { 0 } else { 5 };
    let page = Page::new(row.header.name.clone(), Tab::Executions, page(&view));
    Ok(Reply::Page(page.live(format!("execution:{} {}", row.header.id, live::WAITS), every)))
}

/// The row as this person may see it.
fn seen(asking: &Asking<'_>, mut row: ExecutionRow) -> ExecutionRow {
    if !asking.who.payload {
        row.header.input = format!("\"{HIDDEN}\"");
        if let Some(closed) = &mut row.summary.closed {
            closed.output = closed.output.as_ref().map(|_| format!("\"{HIDDEN}\""));
            closed.cause = None;
        }
    }
    row
}

/// A page of the history, newest first: all events, or those that a search finds.
async fn events(asking: &Asking<'_>, row: &ExecutionRow) -> Result<Events, EngineError> {
    let from = asking.query("from").parse::<u64>().ok();
    let find = asking.query("find").trim().to_lowercase();
    let payload = asking.who.payload;
    let view = history::View { data: payload, parameters: payload, region: &asking.console.engine.realm().region };
    let limit = if find.is_empty() { EVENTS } else { EVENTS_AT_ONCE };
    let (mut shown, mut looked) = (Vec::new(), 0);
    // The page begins with this event.
    let mut after = from.map(|from| EventId(from.saturating_add(1)));
    let older = 'pages: loop {
        let query = HistoryQuery { reverse: true, after, limit };
        let found = asking.console.engine.history(&row.header.arn, query).await?;
        for entry in &found.entries {
            if shown.len() == EVENTS {
                break 'pages Some(entry.id.0);
            }
            (after, looked) = (Some(entry.id), looked + 1);
            shown.extend(history::render(entry, view).filter(|event| find.is_empty() || is_found(event, &find)));
        }
        match after {
            Some(EventId(last)) if found.more && (find.is_empty() || looked >= EVENTS_SEARCHED) => {
                break Some(last.saturating_sub(1));
            }
            _ if found.more && !found.entries.is_empty() => {}
            _ => break None,
        }
    };
    Ok(Events { shown, older, from, find })
}

/// Whether an event's type, or the name of its state, task or error, holds this text, which is in lower case.
fn is_found(event: &Value, text: &str) -> bool {
    let holds =
        |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|value| value.to_lowercase().contains(text));
    let mut details = event.as_object().into_iter().flatten().filter(|(key, _)| key.ends_with("EventDetails"));
    holds(event.get("type"))
        || details.any(|(_, of)| ["name", "resource", "error"].into_iter().any(|name| holds(of.get(name))))
}
