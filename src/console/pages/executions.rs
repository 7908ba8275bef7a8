//! The list of executions.

use maud::{Markup, html};

use crate::clock::Timestamp;
use crate::store::{ExecutionRow, ExecutionStatus};

use super::super::words;
use super::layout::{Who, status};

/// Executions of one status are counted up to this number, in each machine. PostgreSQL looks up one by one those that
/// have changed since its last vacuum: 10,000 of each of three machines took it 100 ms.
pub const COUNTED_MAX: u32 = 1_000;

/// One row of the list.
pub struct Item {
    pub row: ExecutionRow,
    /// States that wait, up to a few.
    pub waits: Vec<String>,
}

pub struct List<'a> {
    pub query: &'a str,
    /// Words of the query that are not understood.
    pub unknown: &'a [String],
    pub items: &'a [Item],
    /// The query's value for the next page, and how many executions were looked at where some were left out.
    pub more: Option<String>,
    pub searched: Option<u64>,
    pub counts: &'a [(ExecutionStatus, u64)],
    pub now: Timestamp,
    /// Nothing was ever started here.
    pub fresh: bool,
    pub who: &'a Who,
    pub said: Markup,
}

/// Shown in the empty field of the search.
const WORDS_OF_A_SEARCH: &str = "name, id or ARN   machine:   status:failed   state:   error:   \
    started:>2026-11-28   took:>5m";

const CHIPS: [(&str, &str, Option<ExecutionStatus>); 6] = [
    ("All", "", None),
    ("Running", "running", Some(ExecutionStatus::Running)),
    ("Waiting", "waiting", None),
    ("Failed", "failed", Some(ExecutionStatus::Failed)),
    ("Timed out", "timed_out", Some(ExecutionStatus::TimedOut)),
    ("Succeeded", "succeeded", Some(ExecutionStatus::Succeeded)),
];

pub fn list(list: &List<'_>) -> Markup {
    html! {
        h1 { "Executions" }
        (list.said)
        form.bar method="get" action="executions" role="search" {
            label.hidden for="q" { "Search executions" }
            input.wide #q type="search" name="q" value=(list.query) autocomplete="off" spellcheck="false"
                placeholder=(WORDS_OF_A_SEARCH);
            button type="submit" { "Search" }
        }
        @for text in list.unknown { div.say.fail role="alert" { p { "Not understood: " (text) } } }
        div.bar {
            nav.chips aria-label="Status" data-live="chips" {
                @for (name, word, of) in CHIPS { (chip(list, name, word, of)) }
            }
            (bulk(list))
        }
        div.bar data-views=(list.query) role="group" aria-label="Saved views" hidden {}
        div.card.flush data-live="rows" {
            @if list.items.is_empty() { (empty(list)) } @else { (table(list)) }
        }
        p.foot {
            @if let Some(searched) = list.searched {
                "Looked at the newest " (words::count(searched)) " executions. "
            }
            @if let Some(after) = &list.more {
                a href={ "executions?q=" (words::encoded(list.query)) "&after=" (words::encoded(after)) } { "Older \
                    executions" }
            }
        }
    }
}

/// The query with another status.
fn with_status(query: &str, status: &str) -> String {
    let others = query.split_whitespace().filter(|word| !word.starts_with("status:"));
    let mut words: Vec<String> = others.map(str::to_owned).collect();
    if !status.is_empty() {
        words.push(format!("status:{status}"));
    }
    words.join(" ")
}

fn chip(list: &List<'_>, name: &str, word: &str, of: Option<ExecutionStatus>) -> Markup {
    let query = with_status(list.query, word);
    let now = list.query.split_whitespace().find_map(|part| part.strip_prefix("status:")).unwrap_or_default();
    let count = of.map(|of| list.counts.iter().find(|(status, _)| *status == of).map_or(0, |(_, n)| *n));
    html! {
        a.chip href={ "executions?q=" (words::encoded(&query)) } aria-current=[(now == word).then_some("true")] {
            (name) @if let Some(count) = count {
                " " (words::count_to(count, COUNTED_MAX.into()))
            }
        }
    }
}

/// Acts on all that the query finds, on this page and behind it.
fn bulk(list: &List<'_>) -> Markup {
    let failed = ["status:failed", "status:timed_out", "status:aborted"];
    let action = if failed.iter().any(|status| list.query.contains(status)) { "REDRIVE" } else { "STOP" };
    html! {
        @if list.who.start && !list.query.is_empty() && list.unknown.is_empty() && !list.items.is_empty() {
            a.button.push href={ "bulk/new?action=" (action) "&q=" (words::encoded(list.query)) } {
                "Act on all of these…"
            }
        } @else if !list.fresh {
            a.push href="bulk" { "Bulk actions" }
        }
    }
}

fn empty(list: &List<'_>) -> Markup {
    html! {
        div.empty {
            @if list.fresh {
                p { b { "Nothing has been started here yet." } }
                p { "Make a state machine with the AWS CLI or " code { "reveille" } ", then start it on its page under "
                    a href="machines" { "Machines" } "." }
            } @else {
                p { b { "No execution matches." } }
                p { a href="executions" { "Show all" } }
            }
        }
    }
}

fn table(list: &List<'_>) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "Status" } th scope="col" { "Name" } th.fold scope="col" { "State machine" }
                th scope="col" { "Started" } th scope="col" { "Took" } th.fold scope="col" { "Where it stands" }
            } }
            tbody { @for item in list.items { (row(item, list.now)) } }
        }
    }
}

fn row(item: &Item, now: Timestamp) -> Markup {
    let Item { row, waits } = item;
    let closed = row.summary.closed.as_ref();
    let took = closed.map_or(now, |closing| closing.at);
    html! {
        tr {
            td.nowrap { (status(row.summary.status, waits.len() as u64)) }
            td { a href={ "executions/" (row.header.id) } { (row.header.name) } }
            td.fold {
                a href={ "machines/" (words::encoded(row.header.state_machine.last())) } {
                    (row.header.state_machine.last())
                }
            }
            td.nowrap { (words::moment(row.header.started)) }
            td.nowrap { (words::since(row.header.started, took)) }
            td.fold {
                @if !waits.is_empty() { (waits.join(", ")) }
                @if let Some(error) = closed.and_then(|closing| closing.error.as_deref()) { span.bad { (error) } }
            }
        }
    }
}
