//! One execution: its position in words, its graph, and beside it the chosen state.

use maud::{Markup, html};
use serde_json::Value;

use crate::bus::QueueView;
use crate::clock::Timestamp;
use crate::engine::Lineage;
use crate::ids::ExecutionKind;
use crate::interpreter::event::StateType;
use crate::store::{ExecutionRow, ExecutionStatus, Wait};

use super::super::story::{Story, Visit};
use super::super::words;
use super::layout::{Who, drawing, json, status};
use super::panel::{self, Part};
use super::strip::MapItems;
use super::timeline;

/// A task that waits, with what the broker says of its queue.
pub struct Asked {
    pub wait: Wait,
    pub queue: Option<QueueView>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewTab {
    Graph,
    Events,
    Definition,
}

impl ViewTab {
    const ALL: [(Self, &str); 3] = [(Self::Graph, "Graph"), (Self::Events, "Events"), (Self::Definition, "Definition")];

    pub fn parse(text: Option<&str>) -> Self {
        Self::ALL.into_iter().find(|(tab, _)| Some(tab.word()) == text).map_or(Self::Graph, |(tab, _)| tab)
    }

    pub const fn word(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Events => "events",
            Self::Definition => "definition",
        }
    }
}

/// A page of the history.
pub struct Events {
    /// As AWS shows them.
    pub shown: Vec<Value>,
    /// The first event of the next page, where there are older ones.
    pub older: Option<u64>,
    /// The event that this page begins with; `None`: the newest.
    pub from: Option<u64>,
    /// Only events that this finds; empty: all.
    pub find: String,
}

pub struct View<'a> {
    pub row: &'a ExecutionRow,
    pub now: Timestamp,
    pub who: &'a Who,
    pub tab: ViewTab,
    pub part: Part,
    pub story: &'a Story,
    pub chosen: Option<&'a Visit>,
    pub asked: &'a [Asked],
    /// The graph as SVG.
    pub graph: String,
    /// Of Distributed Maps.
    pub items: &'a MapItems,
    pub events: Option<Events>,
    pub definition: &'a str,
    pub lineage: &'a Lineage,
    /// Addresses and ids of its Map Runs.
    pub runs: Vec<(String, String)>,
    /// The address of the Map Run whose child it is.
    pub run: Option<String>,
    pub said: Markup,
}

impl View<'_> {
    /// Express executions leave no journal, and children of a Map Run belong to it.
    pub fn can_fork(&self) -> bool {
        self.row.header.kind() == ExecutionKind::Standard
    }
}

/// Forks and children that are listed, each.
pub const RELATIVES_SHOWN: usize = 100;
/// Waiting tasks that the sentence tells of one by one.
const TOLD_MAX: usize = 4;

pub fn page(view: &View<'_>) -> Markup {
    let waits = view.asked.len() as u64;
    html! {
        (view.said)
        div data-live="head" {
            h1 { (view.row.header.name) (status(view.row.summary.status, waits)) }
            (meta(view))
        }
        div data-live="sentence" data-tell { (sentence(view)) }
        div.bar {
            (actions(view))
            nav.bar.push aria-label="Views" {
                @for (tab, name) in ViewTab::ALL {
                    a.chip href={ (view.row.header.id) "?view=" (tab.word()) }
                        aria-current=[(tab == view.tab).then_some("true")] { (name) }
                }
            }
        }
        @match view.tab {
            ViewTab::Graph => {
                div.split {
                    div {
                        div.stage tabindex="0" role="region" aria-label="Graph of the state \
                            machine" data-live="graph" { (drawing(view.graph.clone())) }
                        section.card aria-label="Time line" {
                            h2 { "Time line" }
                            div data-live="timeline" { (timeline::timeline(view)) }
                        }
                    }
                    section.card.side aria-label="State" data-live="panel" { (panel::panel(view)) }
                }
            }
            ViewTab::Events => (events(view)),
            ViewTab::Definition => { (definition(view.definition)) }
        }
        @if view.tab != ViewTab::Events { (input_and_output(view)) (relatives(view)) }
    }
}

fn meta(view: &View<'_>) -> Markup {
    let ExecutionRow { header, summary, version } = view.row;
    let ended = summary.closed.as_ref().map(|closing| closing.at);
    html! {
        p.meta {
            a href={ "../machines/" (words::encoded(header.state_machine.last())) } { (header.state_machine.last()) }
            @if let Some(arn) = &header.version_arn { " version " (arn.last()) }
            @if let Some(arn) = &header.alias_arn { " (alias " (arn.last()) ")" }
            " · started " (words::moment(header.started))
            @match ended {
                Some(at) => { ", took " (words::since(header.started, at)) }
                None => { ", " (words::since(header.started, view.now)) " ago" }
            }
            " · " (words::count(version.0)) " entries"
            @if summary.redrive_count > 0 { " · redriven " (words::many(u64::from(summary.redrive_count), "time")) }
            @if let Some(parent) = &view.lineage.parent {
                " · parent " a href=(parent.header.id) { (parent.header.name) }
            }
            @if let Some(run) = &view.run {
                " · " a href=(run) {
                    "item " @if let Some(index) = header.item_index { (words::count(index)) } " of a Map Run"
                }
            }
            @if let Some((forked, source)) = &view.lineage.forked {
                " · forked from "
                @match source {
                    Some(source) => a href=(source.header.id) { (source.header.name) },
                    None => (forked.from.last()),
                }
                " at " (forked.state)
            }
        }
    }
}

/// The position of the execution, in words.
pub fn sentence(view: &View<'_>) -> Markup {
    let closed = view.row.summary.closed.as_ref();
    match view.row.summary.status {
        ExecutionStatus::Running | ExecutionStatus::PendingRedrive => standing(view),
        ExecutionStatus::Succeeded => html! { div.say.done { p { "It has succeeded." } } },
        ExecutionStatus::Aborted => html! {
            div.say.off { p { b { "It was stopped." } " \
                " (closed.and_then(|c| c.cause.as_deref()).unwrap_or_default()) } }
        },
        ExecutionStatus::Failed | ExecutionStatus::TimedOut => {
            let at = view.story.visits.iter().rev().find(|visit| visit.failure.is_some());
            let error = closed.and_then(|c| c.error.as_deref()).unwrap_or("an error without a name");
            html! {
                div.say.fail {
                    p {
                        b { "It failed with " (error) }
                        @if let Some(visit) = at { " in " a href=(link(view, visit)) { (visit.name) } } "."
                    }
                    @if let Some(cause) = closed.and_then(|c| c.cause.as_deref()) { p.small { (short(cause)) } }
                }
            }
        }
    }
}

fn short(text: &str) -> String {
    let cut: String = text.chars().take(300).collect();
    if cut.len() < text.len() { cut + "…" } else { cut }
}

fn link(view: &View<'_>, visit: &Visit) -> String {
    format!("{}?view=graph&state={}", view.row.header.id, words::encoded(&visit.pointer))
}

fn standing(view: &View<'_>) -> Markup {
    if view.asked.is_empty() {
        let next = view.story.visits.iter().filter_map(|visit| Some((visit.until?, visit))).min_by_key(|(at, _)| *at);
        return html! {
            @if let Some((at, visit)) = next {
                div.say {
                    p { b { "Waits for a moment." } " " a href=(link(view, visit)) { (visit.name) } " goes on \
                        " (words::moment(at)) "." }
                }
            } @else {
                div.say.run { p { b { "It is running." } } }
            }
        };
    }
    let n = view.asked.len();
    html! {
        div.say {
            p { b { "Waits for " (words::many(n as u64, "answer")) "." } }
            @for asked in view.asked.iter().take(TOLD_MAX) { (told(view, asked)) }
            @if n > TOLD_MAX { p { "And " (n - TOLD_MAX) " more." } }
        }
    }
}

/// One waiting task: on whom, is anybody there, until when.
fn told(view: &View<'_>, asked: &Asked) -> Markup {
    let wait = &asked.wait;
    let visit = view.story.visit_of(wait.scheduled);
    html! {
        p {
            @match visit {
                Some(visit) => {
                    a href=(link(view, visit)) { (wait.state) }
                    @if let Some(index) =
                        visit.index.filter(|_| visit.depth > 0 && visit.kind == StateType::Task) { " [" (index) "]" }
                }
                None => { (wait.state) }
            }
            ": " @if wait.queue { "queue " } b { (wait.destination) }
            @match asked.queue {
                Some(queue) if queue.consumers == 0 => {
                    " (" b.bad { "no consumer" } ", " (words::many(queue.ready, "message")) " there)"
                }
                Some(queue) => { " (" (words::many(u64::from(queue.consumers), "consumer")) ", \
                    " (words::count(queue.ready)) " ahead)" }
                None => {}
            }
            ", for " (words::since(wait.since, view.now))
            @if let Some(due) = wait.heartbeat_due { "; next heartbeat due " (words::moment(due)) }
            @match wait.timeout {
                Some(timeout) => { "; times out " (words::moment(timeout)) "." }
                None => { "; without a time limit." }
            }
            @if !wait.submitted { b.bad { " The broker does not have it yet." } }
        }
    }
}

fn actions(view: &View<'_>) -> Markup {
    let id = view.row.header.id;
    let status = view.row.summary.status;
    if !view.who.start || view.row.header.arn.is_express() {
        return html! {};
    }
    html! {
        @if status.is_open() {
            details.act {
                summary { "Stop…" }
                form method="post" action=(id) {
                    input type="hidden" name="kind" value="stop";
                    label for="cause" { "Why" span.hint { " (in the history)" } }
                    input #cause name="cause" maxlength="1000";
                    div.acts { button.danger type="submit" { "Stop the execution" } }
                }
            }
        }
        @if status.is_unsuccessful() && view.row.header.map_run.is_none() {
            form method="post" action=(id) {
                input type="hidden" name="kind" value="redrive";
                button.first type="submit" { "Redrive from the failure" }
            }
        }
        @if view.who.payload {
            details.act {
                summary { "Start again…" }
                form method="post" action={ "../machines/" (words::encoded(view.row.header.state_machine.last())) } {
                    label for="again" { "Input" span.hint { " (this execution's, to be changed)" } }
                    textarea #again name="input" rows="9" spellcheck="false" { (words::pretty(&view.row.header.input)) }
                    div.acts { button.first type="submit" { "Start" } }
                }
            }
        }
    }
}

/// Executions that came from this one.
fn relatives(view: &View<'_>) -> Markup {
    let Lineage { forks, children, .. } = view.lineage;
    html! {
        div data-live="relatives" {
            @if !view.runs.is_empty() {
                section.card aria-label="Map Runs" {
                    h2 { "Map Runs" }
                    ul.plain {
                        @for (address, id) in view.runs.iter().take(RELATIVES_SHOWN) {
                            li { a href=(address) { (id) } }
                        }
                    }
                }
            }
            @for (title, rows) in [("Forks", forks), ("Children", children)] {
                @if !rows.is_empty() {
                    section.card aria-label=(title) {
                        h2 { (title) }
                        ul.plain {
                            @for row in rows.iter().take(RELATIVES_SHOWN) {
                                li {
                                    a href=(row.header.id) { (row.header.name) } " "
                                    (status(row.summary.status, 0))
                                    " " span.quiet { "started " (words::moment(row.header.started)) }
                                }
                            }
                        }
                        @if rows.len() > RELATIVES_SHOWN { p.quiet { "The first " (RELATIVES_SHOWN) "." } }
                    }
                }
            }
        }
    }
}

fn input_and_output(view: &View<'_>) -> Markup {
    let output = view.row.summary.closed.as_ref().and_then(|closing| closing.output.as_deref());
    html! {
        details.card { summary { "Input of the execution" } (json(&view.row.header.input)) }
        @if let Some(output) = output { details.card open { summary { "Output" } (json(output)) } }
    }
}

fn events(view: &View<'_>) -> Markup {
    let Some(page) = &view.events else { return html! { p.quiet { "An express execution has no history." } } };
    let id = view.row.header.id;
    let find = if page.find.is_empty() { String::new() } else { format!("&find={}", words::encoded(&page.find)) };
    html! {
        form.bar method="get" action=(id) role="search" {
            input type="hidden" name="view" value="events";
            label.inline for="find" { "Find" }
            input #find type="search" name="find" value=(page.find) autocomplete="off"
                placeholder="state, type or error";
            label.inline for="from" { "from event" }
            input.number #from type="number" name="from" min="1" value=[page.from];
            button type="submit" { "Show" }
        }
        div.card.flush data-live="events" {
            @if page.shown.is_empty() { div.empty { p { b { "No event matches." } } } }
            table hidden[page.shown.is_empty()] {
                thead { tr {
                    th.num scope="col" { "Id" }
                    th scope="col" { "Time" }
                    th scope="col" { "Event" }
                    th scope="col" { "State or task" }
                    th.fold scope="col" { "Details" }
                } }
                tbody { @for event in &page.shown { (event_row(event)) } }
            }
        }
        p.foot {
            @if page.from.is_some() || !page.find.is_empty() { a href={ (id) "?view=events" } { "Newest events" } " " }
            @if let Some(older) = page.older { a href={ (id) "?view=events&from=" (older) (find) } { "Older events" } }
        }
    }
}

fn event_row(event: &Value) -> Markup {
    let number = |name: &str| event.get(name).and_then(Value::as_f64).unwrap_or_default();
    let at = Timestamp::default().plus_seconds(number("timestamp"));
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let details =
        event.as_object().into_iter().flatten().find(|(key, _)| key.ends_with("EventDetails")).map(|(_, d)| d);
    let text = |name: &str| details.and_then(|details| details.get(name)).and_then(Value::as_str);
    let of =
        text("name").map(str::to_owned).or_else(|| Some(format!("{}:{}", text("resourceType")?, text("resource")?)));
    let bad = kind.ends_with("Failed") || kind.ends_with("TimedOut") || kind.ends_with("Aborted");
    html! {
        tr {
            td.num { (event.get("id").and_then(Value::as_u64).unwrap_or_default()) }
            td.nowrap { (words::moment(at)) }
            td { span.bad[bad] { (kind) } }
            td { (of.unwrap_or_default()) @if let Some(error) = text("error") { " " span.bad { (error) } } }
            td.fold { @if let Some(details) = details { details { summary { "Show" } (json(&details.to_string())) } } }
        }
    }
}

/// A definition with numbered lines.
pub fn definition(text: &str) -> Markup {
    let pretty = words::pretty(text);
    html! {
        section.card aria-label="Definition" {
            pre.long.lines tabindex="0" { @for line in pretty.lines() { span { (line) } } }
        }
    }
}
