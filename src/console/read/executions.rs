//! The list of executions: found by the search box.

use std::collections::BTreeMap;

use futures_util::future::try_join;
use uuid::Uuid;

use crate::api::matches::{Place, Search, Seen, filter, parse_place, place, place_text, states};
use crate::api::search::Query;
use crate::engine::EngineError;
use crate::ids::{Arn, ExecutionId};
use crate::store::{ExecutionFilter, ExecutionRow};

use super::super::live;
use super::super::pages::executions::{COUNTED_MAX, Item, List, list as page};
use super::super::pages::layout::{Tab, said};
use super::super::serve::{Page, Reply};
use super::Asking;

/// Executions of a page.
const PAGE: usize = 200;
/// Rows that one search looks at.
const SEARCHED_MAX: u64 = 10_000;
/// States that a row tells.
const WAITS_TOLD: u32 = 3;

pub async fn list(asking: &Asking<'_>) -> Result<Reply, EngineError> {
    let text = asking.query("q");
    let query = Query::parse(&text);
    if let Some(row) = exact(asking, &query).await? {
        return Ok(Reply::Moved(format!("executions/{}", row.header.id)));
    }
    let counted = ExecutionFilter { limit: COUNTED_MAX, ..filter(&asking.console.engine, &query) };
    let counts = async { Ok(asking.console.engine.journal().count(counted).await?) };
    let (found, counts) = try_join(search(asking, &query, parse_place(&asking.query("after"))), counts).await?;
    let items = items(asking, found.rows).await?;
    let fresh = items.is_empty() && text.is_empty();
    let content = page(&List {
        query: &text,
        unknown: &query.unknown,
        items: &items,
        more: found.more.map(place_text),
        searched: found.searched,
        counts: &counts,
        now: asking.console.engine.clock().now(),
        fresh,
        who: asking.who,
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

struct Found {
    rows: Vec<ExecutionRow>,
    more: Option<Place>,
    searched: Option<u64>,
}

/// A page of matches, from after `after`. A search that leaves rows out looks at a bounded number of them.
async fn search(asking: &Asking<'_>, query: &Query, after: Option<Place>) -> Result<Found, EngineError> {
    let selective = query.is_selective();
    let wanted = u32::try_from(PAGE + 1).unwrap_or(u32::MAX);
    let mut search = Search::new(&asking.console.engine, query, query.status(), after, wanted);
    let (mut rows, mut searched, mut last) = (Vec::new(), 0_u64, after);
    let more = loop {
        if searched >= SEARCHED_MAX {
            break last;
        }
        let Some(Seen { row, matches }) = search.next().await? else { break None };
        if matches && rows.len() == PAGE {
            break rows.last().map(place);
        }
        searched += 1;
        last = Some(place(&row));
        if matches {
            rows.push(row);
        }
    };
    Ok(Found { rows, more, searched: selective.then_some(searched) })
}

/// With the states that wait, and with the errors, which the rows of a listing may lack.
async fn items(asking: &Asking<'_>, rows: Vec<ExecutionRow>) -> Result<Vec<Item>, EngineError> {
    let engine = &asking.console.engine;
    let mut waits = states(engine, &rows, WAITS_TOLD).await?;
    let failed = rows.iter().filter(|row| row.summary.status.is_unsuccessful());
    let whole = engine.journal().executions(failed.map(|row| row.header.id).collect()).await?;
    let mut whole: BTreeMap<ExecutionId, ExecutionRow> = whole.into_iter().map(|row| (row.header.id, row)).collect();
    let item = |row: ExecutionRow| {
        let id = row.header.id;
        Item { row: whole.remove(&id).unwrap_or(row), waits: waits.remove(&id).unwrap_or_default() }
    };
    Ok(rows.into_iter().map(item).collect())
}
