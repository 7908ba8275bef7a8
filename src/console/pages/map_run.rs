//! A Map Run: its counts as a strip, and its children, failed ones first.

use maud::{Markup, html};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::store::{ExecutionRow, ExecutionStatus};

use super::super::story::Standing;
use super::super::words;
use super::layout::{Who, status};
use super::strip;

pub struct MapRun<'a> {
    /// As `DescribeMapRun` shows it.
    pub run: &'a Value,
    pub id: &'a str,
    pub parent: &'a ExecutionRow,
    /// How far each item has come, up to a bound.
    pub items: &'a [Option<Standing>],
    pub counts: &'a [(ExecutionStatus, u64)],
    pub children: &'a [ExecutionRow],
    /// Only these; `None`: all, failed ones first.
    pub only: Option<ExecutionStatus>,
    pub more: Option<String>,
    pub now: Timestamp,
    pub who: &'a Who,
    pub said: Markup,
}

pub fn page(of: &MapRun<'_>) -> Markup {
    let text = |name: &str| of.run[name].as_str().unwrap_or_default();
    let number = |name: &str| of.run[name].as_f64().unwrap_or_default();
    html! {
        (of.said)
        h1 { "Map Run " (of.id) span.status { (text("status").to_lowercase().replace('_', " ")) } }
        p.meta { "of " a href={ "../../" (of.parent.header.id) } { (of.parent.header.name) } }
        section.card aria-label="Items" data-live="items" {
            p { b { (strip::counts(of.items)) } }
            (strip::strip(of.items, "Items"))
            dl {
                dt { "At once" }
                dd {
                    @if number("maxConcurrency") > 0.0 { (number("maxConcurrency")) }
                    @else { "as many as there is room for" }
                }
                dt { "Tolerated" }
                dd { (number("toleratedFailureCount")) " failures, " (number("toleratedFailurePercentage")) " %" }
            }
            @if of.who.start && text("status") == "RUNNING" { (limits(of)) }
        }
        nav.bar aria-label="Status" data-live="chips" {
            a.chip href=(of.id) aria-current=[of.only.is_none().then_some("true")] { "All, failed first" }
            @for (counted, n) in of.counts {
                a.chip href={ (of.id) "?status=" (counted.as_str()) }
                    aria-current=[(of.only == Some(*counted)).then_some("true")] {
                    (counted.as_str().to_lowercase().replace('_', " ")) " " (words::count(*n))
                }
            }
        }
        div.card.flush data-live="rows" { (children(of)) }
        @if let (Some(more), Some(only)) = (&of.more, of.only) {
            p.foot { a href={ (of.id) "?status=" (only.as_str()) "&after=" (words::encoded(more)) } { "Older" } }
        }
    }
}

fn limits(of: &MapRun<'_>) -> Markup {
    let whole = |name: &str| of.run[name].as_u64().unwrap_or_default();
    html! {
        details.act {
            summary { "Change…" }
            form method="post" action=(of.id) {
                label for="concurrency" { "At once" span.hint { " (0: no limit)" } }
                input #concurrency name="concurrency" type="number" min="0" value=(whole("maxConcurrency"));
                label for="failures" { "Tolerated failures" }
                input #failures name="failures" type="number" min="0" value=(whole("toleratedFailureCount"));
                div.acts { button.first type="submit" { "Save" } }
            }
        }
    }
}

fn children(of: &MapRun<'_>) -> Markup {
    html! {
        @if of.children.is_empty() { div.empty { p { b { "There are none." } } } } @else {
            table {
                thead { tr {
                    th.num scope="col" { "Item" } th scope="col" { "Status" } th scope="col" { "Child" }
                    th.fold scope="col" { "Took" } th.fold scope="col" { "Error" }
                } }
                tbody {
                    @for row in of.children {
                        @let closed = row.summary.closed.as_ref();
                        tr {
                            td.num { @if let Some(index) = row.header.item_index { (words::count(index)) } }
                            td.nowrap { (status(row.summary.status, 0)) }
                            td { a href={ "../../" (row.header.id) } { (row.header.name) } }
                            @let ended = closed.map_or(of.now, |closing| closing.at);
                            td.fold.nowrap { (words::since(row.header.started, ended)) }
                            @let error = closed.and_then(|closing| closing.error.as_deref());
                            td.fold { @if let Some(error) = error { span.bad { (error) } } }
                        }
                    }
                }
            }
        }
    }
}
