//! A Map Run and its children.

use serde_json::{Value, json};

use crate::api::matches::{parse_place, place, place_text};
use crate::engine::{EngineError, redriven};
use crate::graph::Items;
use crate::ids::Arn;
use crate::store::{ExecutionFilter, ExecutionRow, ExecutionStatus, MapRunRow};

use super::super::pages::layout::{Tab, said};
use super::super::pages::map_run::{MapRun, page};
use super::super::serve::{Page, Reply};
use super::super::story::Standing;
use super::super::words;
use super::{Asking, execution, parked};

/// Map Runs of one execution that are looked through for one.
const RUNS: u32 = 1_000;
/// Children of a page, of each status.
const CHILDREN: u32 = 100;
/// Children that failed or run, whose places the strip shows.
const PLACED: u32 = 2_000;
/// Items of which a strip is drawn.
const ITEMS_MAX: u64 = 1_000_000;

/// Failed ones first.
const ORDER: [ExecutionStatus; 6] = [
    ExecutionStatus::Failed,
    ExecutionStatus::TimedOut,
    ExecutionStatus::Aborted,
    ExecutionStatus::PendingRedrive,
    ExecutionStatus::Running,
    ExecutionStatus::Succeeded,
];

/// The Map Runs of an execution, oldest first.
pub async fn of(asking: &Asking<'_>, row: &ExecutionRow) -> Result<Vec<MapRunRow>, EngineError> {
    Ok(asking.console.engine.catalog().map_runs(row.header.id, None, RUNS).await?)
}

/// The Map Run with this id, and its execution.
pub async fn find(
    asking: &Asking<'_>,
    execution: &str,
    run: &str,
) -> Result<Option<(ExecutionRow, MapRunRow)>, EngineError> {
    let Some(row) = execution::row(asking, execution).await? else { return Ok(None) };
    let found = of(asking, &row).await?.into_iter().find(|found| found.arn.last() == run);
    Ok(found.map(|run| (row, run)))
}

pub async fn show(asking: &Asking<'_>, execution: &str, id: &str) -> Result<Reply, EngineError> {
    let Some((parent, run)) = find(asking, execution, id).await? else {
        return Ok(Reply::missing("There is no such Map Run."));
    };
    let described = match parked::ask(asking, "DescribeMapRun", json!({"mapRunArn": run.arn.as_str()})).await {
        Ok(described) => described,
        Err(reply) => return Ok(reply),
    };
    let journal = asking.console.engine.journal();
    let filter = |status: Option<ExecutionStatus>, limit: u32, brief: bool| ExecutionFilter {
        map_run: Some(run.arn.clone()),
        run_redriven: redriven(&run),
        status,
        limit,
        brief,
        ..ExecutionFilter::default()
    };
    let counts = journal.count(filter(None, 0, true)).await?;
    let only = ExecutionStatus::parse(&asking.query("status"));
    let mut children = Vec::new();
    for status in ORDER.into_iter().filter(|status| only.is_none_or(|only| only == *status)) {
        if counts.iter().any(|(counted, _)| *counted == status) {
            let after = parse_place(&asking.query("after")).filter(|_| only.is_some());
            children.extend(journal.list(ExecutionFilter { after, ..filter(Some(status), CHILDREN, false) }).await?);
        }
    }
    let full = only.is_some() && children.len() == CHILDREN as usize;
    let more = children.last().filter(|_| full).map(|row| place_text(place(row)));
    let mut placed = Vec::new();
    for status in ORDER.into_iter().filter(|status| *status != ExecutionStatus::Succeeded) {
        if counts.iter().any(|(counted, _)| *counted == status) {
            placed.extend(journal.list(filter(Some(status), PLACED, true)).await?);
        }
    }
    let items = items(&described, &counts, &placed);
    let content = page(&MapRun {
        run: &described,
        id,
        parent: &parent,
        items: &items,
        counts: &counts,
        children: &children,
        only,
        more,
        now: asking.console.engine.clock().now(),
        who: asking.who,
        said: said(Some(&asking.query("said"))),
    });
    let every = if run.stopped.is_none() { 5 } else { 0 };
    let page = Page::new(format!("Map Run of {}", parent.header.name), Tab::Executions, content);
    Ok(Reply::Page(page.live(format!("execution:{}", parent.header.id), every)))
}

/// The children of a run by how far they have come, as `DescribeMapRun` counts them: those that matter most first.
fn counted(described: &Value) -> [(Option<Standing>, u64); 6] {
    let of = |name: &str| described["executionCounts"][name].as_u64().unwrap_or_default();
    let begun = of("failed") + of("timedOut") + of("aborted") + of("pendingRedrive") + of("running") + of("succeeded");
    [
        (Some(Standing::Failed), of("failed") + of("timedOut")),
        (Some(Standing::Stopped), of("aborted")),
        (Some(Standing::Retrying), of("pendingRedrive")),
        (Some(Standing::Running), of("running")),
        (Some(Standing::Done), of("succeeded")),
        (None, of("total").saturating_sub(begun)),
    ]
}

/// The same for the box of the Map in the graph.
pub fn told(described: &Value) -> Items {
    let counts = counted(described);
    let whole: u64 = counts.iter().map(|(_, n)| n).sum();
    let done = counts.iter().find(|(standing, _)| *standing == Some(Standing::Done)).map_or(0, |(_, n)| *n);
    let mut text = format!("{} of {} done", words::count(done), words::count(whole));
    for (standing, n) in counts {
        if let Some(standing) = standing.filter(|standing| *standing != Standing::Done && n > 0) {
            text.extend([", ", words::count(n).as_str(), " ", standing.words()]);
        }
    }
    let parts = counts.map(|(standing, n)| (standing.map_or("pending", Standing::class), n));
    Items { words: text, parts: parts.to_vec() }
}

/// How far each child has come. Children begin in the order of their items; those that are not placed have succeeded.
fn items(described: &Value, counts: &[(ExecutionStatus, u64)], placed: &[ExecutionRow]) -> Vec<Option<Standing>> {
    let begun = counts.iter().map(|(_, n)| n).sum::<u64>();
    let total = described["executionCounts"]["total"].as_u64().unwrap_or(begun).max(begun);
    if total > ITEMS_MAX {
        return Vec::new();
    }
    if begun == 0 {
        // Express children have no rows: their numbers are known, their places are not.
        let some = |(standing, n): (Option<Standing>, u64)| (0..n).map(move |_| standing);
        return counted(described).into_iter().flat_map(some).collect();
    }
    let of = |row: &ExecutionRow| match row.summary.status {
        ExecutionStatus::Failed | ExecutionStatus::TimedOut => Standing::Failed,
        ExecutionStatus::Aborted => Standing::Stopped,
        ExecutionStatus::PendingRedrive => Standing::Retrying,
        ExecutionStatus::Running => Standing::Running,
        ExecutionStatus::Succeeded => Standing::Done,
    };
    let mut items: Vec<_> = (0..total).map(|n| (n < begun).then_some(Standing::Done)).collect();
    for row in placed {
        let index = row.header.item_index.and_then(|index| usize::try_from(index).ok());
        if let Some(place) = index.and_then(|index| items.get_mut(index)) {
            *place = Some(of(row));
        }
    }
    items
}

/// The address of a Map Run below `executions/`.
pub fn address(run: &MapRunRow) -> String {
    format!("{}/runs/{}", run.execution, run.arn.last())
}

/// The Map Run that an execution is a child of.
pub async fn parent(asking: &Asking<'_>, run: &Arn) -> Result<Option<MapRunRow>, EngineError> {
    Ok(asking.console.engine.catalog().map_run(run).await?)
}
