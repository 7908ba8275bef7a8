//! The list of executions: found by the search box.

use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::engine::EngineError;
use crate::ids::{Arn, ExecutionId};
use crate::store::{ExecutionFilter, ExecutionRow, Kinship, WaitFilter};

use super::super::live;
use super::super::pages::executions::{Item, List, list as page};
use super::super::pages::layout::{Tab, said};
use super::super::search::Query;
use super::super::serve::{Page, Reply};
use super::Asking;

/// Executions of a page.
const PAGE: usize = 200;
/// Rows that are read at once where some are left out.
const SEARCH_PAGE: u32 = 500;
/// The same, where the rows' errors are needed, which come with their outputs.
const SEARCH_PAGE_WHOLE: u32 = 50;
/// Rows that one search looks at.
const SEARCHED_MAX: u64 = 10_000;
/// Children of one execution that are looked at.
const CHILDREN_MAX: u32 = 1_000;
/// Rows whose further parts are read at once.
const ROWS_AT_ONCE: usize = 8;
/// Waiting states of one execution that a search looks at.
const WAITS_SEARCHED: u32 = 100;
/// States that a row tells.
const WAITS_TOLD: u32 = 3;

pub async fn list(asking: &Asking<'_>) -> Result<Reply, EngineError> {
    let text = asking.query("q");
    let query = Query::parse(&text);
    if let Some(row) = exact(asking, &query).await? {
        return Ok(Reply::Moved(format!("executions/{}", row.header.id)));
    }
    let found = search(asking, &query, cursor(&asking.query("after"))).await?;
    let counts = asking.console.engine.journal().count(filter(asking, &query)).await?;
    let items: Vec<Item> =
        stream::iter(found.rows).map(|row| item(asking, row)).buffered(ROWS_AT_ONCE).try_collect().await?;
    let fresh = items.is_empty() && text.is_empty();
    let content = page(&List {
        query: &text,
        unknown: &query.unknown,
        items: &items,
        more: found.more.map(|(at, id)| format!("{}:{id}", at.millis())),
        searched: found.searched,
        counts: &counts,
        now: asking.console.engine.clock().now(),
        fresh,
        said: said(Some(&asking.query("said"))),
    });
    Ok(Reply::Page(
        Page::new("Executions", Tab::Executions, content).live(format!("{} {}", live::EXECUTIONS, live::WAITS), 30),
    ))
}

/// The execution that a lone ARN or id names.
async fn exact(asking: &Asking<'_>, query: &Query) -> Result<Option<ExecutionRow>, EngineError> {
    let [word] = &query.words[..] else { return Ok(None) };
    let journal = asking.console.engine.journal();
    if let Ok(id) = Uuid::parse_str(word) {
        return Ok(journal.execution(ExecutionId(id)).await?);
    }
    // The query is in lower case: an ARN is asked for as it was typed.
    let typed = asking.query("q");
    if word.starts_with("arn:") {
        return Ok(journal.execution_by_arn(&Arn::new(typed.trim())).await?);
    }
    Ok(None)
}

fn filter(asking: &Asking<'_>, query: &Query) -> ExecutionFilter {
    let realm = asking.console.engine.realm();
    ExecutionFilter {
        state_machine: query.machine.as_deref().map(|name| realm.state_machine(name)),
        qualified: query
            .machine
            .as_deref()
            .zip(query.version.as_deref())
            .map(|(name, version)| Arn::new(format!("{}:{version}", realm.state_machine(name)))),
        redriven: query.redriven,
        ..ExecutionFilter::default()
    }
}

/// The place of a row in a listing.
pub fn place(row: &ExecutionRow) -> String {
    format!("{}:{}", row.header.started.millis(), row.header.id)
}

pub fn cursor(text: &str) -> Option<(Timestamp, ExecutionId)> {
    let (millis, id) = text.split_once(':')?;
    Some((Timestamp::from_millis(millis.parse().ok()?), ExecutionId(Uuid::parse_str(id).ok()?)))
}

struct Found {
    rows: Vec<ExecutionRow>,
    more: Option<(Timestamp, ExecutionId)>,
    searched: Option<u64>,
}

/// A page of matches, from after `after`. A search that leaves rows out looks at a bounded number of them.
async fn search(
    asking: &Asking<'_>,
    query: &Query,
    after: Option<(Timestamp, ExecutionId)>,
) -> Result<Found, EngineError> {
    let journal = asking.console.engine.journal();
    let selective = query.is_selective();
    let limit = match (selective, query.error.is_some()) {
        (false, _) => u32::try_from(PAGE + 1).unwrap_or(u32::MAX),
        (true, false) => SEARCH_PAGE,
        (true, true) => SEARCH_PAGE_WHOLE,
    };
    let last = ExecutionId(Uuid::nil());
    let mut filter = ExecutionFilter {
        status: query.status(),
        after: after.or_else(|| query.until.map(|until| (until, last))),
        limit,
        brief: query.error.is_none(),
        ..filter(asking, query)
    };
    let now = asking.console.engine.clock().now();
    let (mut rows, mut searched) = (Vec::new(), 0_u64);
    loop {
        let page = match &query.parent {
            Some(parent) => children(asking, parent).await?,
            None => journal.list(filter.clone()).await?,
        };
        let whole = page.len() == limit as usize && query.parent.is_none();
        for row in page {
            if query.from.is_some_and(|from| row.header.started < from) {
                return Ok(Found { rows, more: None, searched: selective.then_some(searched) });
            }
            searched += 1;
            // Children come without their errors.
            let row = match (&query.parent, &query.error) {
                (Some(_), Some(_)) => journal.execution(row.header.id).await?.unwrap_or(row),
                _ => row,
            };
            let place = (row.header.started, row.header.id);
            let waits = if query.wants_waiting() && row.summary.status.is_open() {
                waits(asking, &row, WAITS_SEARCHED).await?
            } else {
                Vec::new()
            };
            if query.matches(&row, now, &waits) {
                if rows.len() == PAGE {
                    let more = rows.last().map(|last: &ExecutionRow| (last.header.started, last.header.id));
                    return Ok(Found { rows, more, searched: selective.then_some(searched) });
                }
                rows.push(row);
            }
            filter.after = Some(place);
        }
        if !whole {
            return Ok(Found { rows, more: None, searched: selective.then_some(searched) });
        }
        if searched >= SEARCHED_MAX {
            return Ok(Found { rows, more: filter.after, searched: Some(searched) });
        }
    }
}

/// Executions that a task of this one started and waits for, newest first.
async fn children(asking: &Asking<'_>, parent: &str) -> Result<Vec<ExecutionRow>, EngineError> {
    let engine = &asking.console.engine;
    let of = match (Uuid::parse_str(parent), parent.split_once(':')) {
        (Ok(id), _) => Some(ExecutionId(id)),
        (Err(_), _) if parent.starts_with("arn:") => of_arn(asking, Arn::new(parent)).await?,
        (Err(_), Some((machine, name))) => of_arn(asking, engine.realm().execution(machine, name)).await?,
        (Err(_), None) => None,
    };
    let Some(of) = of else { return Ok(Vec::new()) };
    let mut rows = engine.journal().kin(of, Kinship::Child, None, CHILDREN_MAX).await?;
    rows.sort_unstable_by_key(|row| std::cmp::Reverse((row.header.started, row.header.id)));
    Ok(rows)
}

async fn of_arn(asking: &Asking<'_>, arn: Arn) -> Result<Option<ExecutionId>, EngineError> {
    Ok(asking.console.engine.journal().execution_by_arn(&arn).await?.map(|row| row.header.id))
}

/// States of this execution that wait.
async fn waits(asking: &Asking<'_>, row: &ExecutionRow, limit: u32) -> Result<Vec<String>, EngineError> {
    let filter = WaitFilter { execution: Some(row.header.id), limit, ..WaitFilter::default() };
    let rows = asking.console.engine.journal().waits(filter).await?;
    Ok(rows.into_iter().map(|row| row.wait.state).collect())
}

async fn item(asking: &Asking<'_>, row: ExecutionRow) -> Result<Item, EngineError> {
    if row.summary.status.is_open() {
        let waits = waits(asking, &row, WAITS_TOLD).await?;
        return Ok(Item { row, waits });
    }
    // A listing's rows may lack their errors.
    let whole = if row.summary.status.is_unsuccessful() {
        asking.console.engine.journal().execution(row.header.id).await?
    } else {
        None
    };
    Ok(Item { row: whole.unwrap_or(row), waits: Vec::new() })
}
