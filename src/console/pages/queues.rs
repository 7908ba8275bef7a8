//! Queues that tasks wait in: what the broker holds, and who is there.

use maud::{Markup, html};

use crate::bus::QueueView;
use crate::clock::Timestamp;
use crate::store::DestinationWaits;

use super::super::words;
use super::layout::icon;

/// The broker's view of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    There(QueueView),
    Missing,
    /// The broker did not answer.
    Unknown,
    NoQueue,
}

pub fn list(rows: &[(DestinationWaits, Looked)], now: Timestamp) -> Markup {
    html! {
        h1 { "Queues" }
        p.meta { "Where tasks wait: how many messages are ready, and whether anybody consumes." }
        div.card.flush data-live="queues" {
            @if rows.is_empty() {
                div.empty { p { b { "No task waits anywhere." } } }
            } @else {
                table {
                    thead { tr {
                        th scope="col" { "Queue or other \
                            destination" } th scope="col" { "Consumers" } th.num scope="col" { "Messages ready" }
                        th.num scope="col" { "Tasks waiting" } th scope="col" { "Longest" }
                    } }
                    tbody { @for (waits, looked) in rows { (row(waits, *looked, now)) } }
                }
            }
        }
        p.foot { "Messages that a consumer has taken and not acknowledged are not counted as ready." }
    }
}

fn row(waits: &DestinationWaits, looked: Looked, now: Timestamp) -> Markup {
    html! {
        tr {
            td { (waits.destination) }
            td.nowrap {
                @match looked {
                    Looked::There(QueueView { consumers: 0, .. }) => { span.status.fail { (icon("failed")) "nobody \
                        consumes" } }
                    Looked::There(view) => {
                        span.status.done { (icon("done")) (words::many(u64::from(view.consumers), "consumer")) }
                    }
                    Looked::Missing => { span.status.fail { (icon("failed")) "there is no such queue" } }
                    Looked::Unknown => { span.status { "the broker does not answer" } }
                    Looked::NoQueue => { span.quiet { "no queue" } }
                }
            }
            td.num { @if let Looked::There(view) = looked { (words::count(view.ready)) } }
            td.num { a href={ "inbox?queue=" (words::encoded(&waits.destination)) } { (words::count(waits.count)) } }
            td.nowrap { (words::since(waits.oldest, now)) }
        }
    }
}
