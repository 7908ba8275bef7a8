//! The panel beside the graph: one state of an execution.

use maud::{Markup, html};

use crate::clock::Timestamp;
use crate::interpreter::event::Failure;

use super::super::story::{Attempt, Standing, Visit};
use super::super::words;
use super::execution::{Asked, View};
use super::layout::{icon, json};
use super::strip;

/// The parts of the panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    State,
    Input,
    Output,
    Attempts,
}

impl Part {
    const ALL: [(Self, &str, &str); 4] = [
        (Self::State, "state", "State"),
        (Self::Input, "input", "Input"),
        (Self::Output, "output", "Output"),
        (Self::Attempts, "attempts", "Attempts"),
    ];

    pub fn parse(text: Option<&str>) -> Self {
        Self::ALL.into_iter().find(|(_, word, _)| Some(*word) == text).map_or(Self::State, |(part, _, _)| part)
    }
}

pub fn standing(standing: Standing, waits_for_answer: bool) -> Markup {
    let class = match standing {
        Standing::Done => "done",
        Standing::Failed => "fail",
        Standing::Running => "run",
        Standing::Waiting | Standing::Retrying => "wait",
        Standing::Stopped => "",
    };
    let words = if waits_for_answer { "waits for an answer" } else { standing.words() };
    html! { span class={ "status " (class) } { (icon(standing.class())) (words) } }
}

pub fn panel(view: &View<'_>) -> Markup {
    let Some(visit) = view.chosen else {
        return html! { p.quiet { "No state has been entered yet." } };
    };
    let link = |part: &str| {
        let pointer = words::encoded(&visit.pointer);
        format!("{}?view={}&state={pointer}&part={part}", view.row.header.id, view.tab.word())
    };
    html! {
        h2 { (visit.name) @if let Some(index) = visit.index { span.quiet { " [" (index) "]" } } }
        nav.tabs aria-label="Parts of the state" {
            @for (part, word, name) in Part::ALL {
                a href=(link(word)) aria-current=[(part == view.part).then_some("true")] {
                    (name) @if part == Part::Attempts && visit.attempts.len() > 1 { " (" (visit.attempts.len()) ")" }
                }
            }
        }
        @match view.part {
            Part::State => (state(view, visit)),
            Part::Input => (json(visit.input.text())),
            Part::Output => (output(visit)),
            Part::Attempts => (attempts(visit, view.now)),
        }
    }
}

fn state(view: &View<'_>, visit: &Visit) -> Markup {
    let asked =
        visit.attempts.last().and_then(|attempt| view.asked.iter().find(|a| a.wait.scheduled == attempt.scheduled));
    html! {
        dl {
            dt { "Status" } dd { (standing(visit.standing, asked.is_some())) }
            dt { "Type" } dd { (visit.kind.as_str()) }
            dt { "Since" } dd { (words::moment(visit.entered)) " \
                (" (words::since(visit.entered, visit.left.unwrap_or(view.now))) ")" }
            @if let Some(until) = visit.until { dt { "Goes on" } dd { (words::moment(until)) } }
            @if let Some(asked) = asked { (waiting(asked)) }
            @else if let Some((resource, _)) = &visit.task { dt { "Resource" } dd { (words::resource(resource)) } }
            @if visit.attempts.len() > 1 { dt { "Attempt" } dd { (visit.attempts.len()) } }
            @if let Some(by) = visit.attempts.last().and_then(|attempt| attempt.by.as_ref()) { dt { "Answered \
                by" } dd { (by) } }
        }
        @if !visit.iterations.is_empty() {
            h3 { "Iterations" }
            p { (strip::counts(&visit.iterations)) }
            (strip::strip(&visit.iterations, "Iterations"))
        }
        @if let Some(run) = &visit.map_run {
            @if let Some(items) = view.items.get(&visit.pointer) { h3 { "Items" } p { (items.words) } }
            p { a.button href={ (view.row.header.id) "/runs/" (run.last()) } { "Its Map Run…" } }
        }
        @if let Some(failure) = visit.failure.as_ref().filter(|_| visit.standing != Standing::Done) {
            (failed(failure))
        }
        @if let Some((_, parameters)) = &visit.task {
            h3 { "What it was asked" }
            (json(parameters.text()))
        }
        div.acts {
            @if let Some(asked) = asked.filter(|_| view.who.complete) {
                a.button.first href={ "../inbox/" (view.row.header.id) "-" (asked.wait.scheduled.0) } { "Answer…" }
            }
            @if view.who.start && view.who.payload && visit.depth == 0 && view.can_fork() {
                @let state = words::encoded(&visit.name);
                a.button href={ (view.row.header.id) "/fork?state=" (state) "&event=" (visit.event.0) } {
                    "Fork from here…"
                }
            }
        }
    }
}

fn waiting(asked: &Asked) -> Markup {
    let wait = &asked.wait;
    html! {
        dt { "Asked of" }
        dd {
            @if wait.queue { "queue " b { (wait.destination) } br; (consumers(asked)) } @else { (wait.destination) }
        }
        dt { "Broker has it" } dd { @if wait.submitted { "yes" } @else { span.bad { "not yet" } } }
        @if let Some(timeout) = wait.timeout { dt { "Times out" } dd { (words::moment(timeout)) } }
        @if let Some(due) = wait.heartbeat_due { dt { "Heartbeat due" } dd { (words::moment(due)) } }
        @if let Some(last) = wait.last_heartbeat { dt { "Last heartbeat" } dd { (words::moment(last)) } }
        dt { "Resource" } dd { (words::resource(&wait.resource)) }
    }
}

/// Is anybody there?
pub fn consumers(asked: &Asked) -> Markup {
    html! {
        @match asked.queue {
            Some(view) if view.consumers > 0 => {
                span.status.done { (icon("done")) (words::many(u64::from(view.consumers), "consumer")) }
            }
            Some(_) => { span.status.fail { (icon("failed")) "no consumer" } }
            None if asked.wait.queue => { span.status { "not known" } }
            None => {}
        }
    }
}

fn output(visit: &Visit) -> Markup {
    html! {
        @match (&visit.output, &visit.failure) {
            (Some(output), _) => { (json(output.text())) }
            (None, Some(failure)) => { (failed(failure)) }
            (None, None) => { p.quiet { "There is none yet." } }
        }
    }
}

pub fn failed(failure: &Failure) -> Markup {
    html! {
        h3 { "Failed with" }
        p.bad { b { (failure.error.as_deref().unwrap_or("an error without a name")) } }
        @if let Some(cause) = failure.cause.as_deref().filter(|cause| !cause.is_empty()) { (json(cause)) }
    }
}

fn attempts(visit: &Visit, now: Timestamp) -> Markup {
    html! {
        @if visit.attempts.is_empty() { p.quiet { "This state has no task." } }
        @for (n, attempt) in (1..).zip(&visit.attempts) { (attempted(n, attempt, now)) }
    }
}

fn attempted(n: u64, attempt: &Attempt, now: Timestamp) -> Markup {
    html! {
        h3 { "Attempt " (n) }
        dl {
            dt { "Began" } dd { (words::moment(attempt.at)) }
            dt { "Took" } dd {
                (words::since(attempt.at, attempt.ended.unwrap_or(now)))
                @if attempt.ended.is_none() { ", still open" }
            }
            @if let Some(by) = &attempt.by { dt { "Answered by" } dd { (by) } }
            @if let Some(failure) = &attempt.failure {
                dt { "Error" } dd { span.bad { (failure.error.as_deref().unwrap_or("without a name")) } }
                @if let Some(cause) = failure.cause.as_deref().filter(|cause| !cause.is_empty()) {
                    dt { "Cause" }
                    dd { (cause) }
                }
            }
        }
    }
}
