//! The inbox: tasks that wait for an answer, and the answer itself.

use maud::{Markup, html};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::ids::TaskKey;
use crate::store::{ExecutionRow, WaitRow};

use super::super::infer::Expected;
use super::super::words;
use super::execution::Asked;
use super::layout::{Who, json};
use super::panel::consumers;

pub struct Inbox<'a> {
    pub rows: &'a [WaitRow],
    pub machine: &'a str,
    pub queue: &'a str,
    /// The query's value for the next page.
    pub more: Option<String>,
    pub now: Timestamp,
    pub who: &'a Who,
    pub open: Option<Open<'a>>,
    /// The way to the inbox from this page: empty, or `../`.
    pub up: &'a str,
    pub said: Markup,
}

/// The task that is shown whole.
pub struct Open<'a> {
    pub key: TaskKey,
    pub row: &'a ExecutionRow,
    pub asked: Asked,
    pub expected: &'a Expected,
    /// What the task was asked: JSON.
    pub parameters: &'a str,
    /// An answer that was refused, and why.
    pub typed: Option<Typed>,
}

#[derive(Debug, Clone, Default)]
pub struct Typed {
    pub output: String,
    pub why: String,
}

/// How a task is named in an address: its execution and event, never its token.
pub fn address(key: &TaskKey) -> String {
    format!("{}-{}", key.execution, key.scheduled.0)
}

pub fn inbox(inbox: &Inbox<'_>) -> Markup {
    html! {
        h1 { "Inbox" }
        p.meta { "Tasks that wait for an answer, longest waiting first." }
        (inbox.said)
        form.bar method="get" action={ (inbox.up) "inbox" } {
            label.hidden for="machine" { "State machine" }
            input #machine name="machine" value=(inbox.machine) placeholder="state machine" autocomplete="off";
            label.hidden for="queue" { "Queue" }
            input #queue name="queue" value=(inbox.queue) placeholder="queue" autocomplete="off";
            button type="submit" { "Filter" }
            @if !inbox.machine.is_empty() || !inbox.queue.is_empty() { a href={ (inbox.up) "inbox" } { "Show all" } }
        }
        div.inbox {
            div.card.flush data-live="tasks" {
                @if inbox.rows.is_empty() {
                    div.empty { p { b { "Nothing waits for an answer." } } p { "A task that waits appears here by \
                        itself after a second." } }
                }
                ul { @for row in inbox.rows { (item(inbox, row)) } }
                @if let Some(more) = &inbox.more { (older(inbox, more)) }
            }
            // What a person works in is not replaced.
            div data-live="task" data-keep=[inbox.open.is_some().then_some("")] {
                @match &inbox.open {
                    Some(open) => (task(inbox, open)),
                    None => { div.card.empty { "Choose a task." } }
                }
            }
        }
    }
}

fn older(inbox: &Inbox<'_>, more: &str) -> Markup {
    let filter = format!("machine={}&queue={}", words::encoded(inbox.machine), words::encoded(inbox.queue));
    html! { p.foot { a href={ (inbox.up) "inbox?" (filter) "&after=" (words::encoded(more)) } { "More" } } }
}

fn item(inbox: &Inbox<'_>, row: &WaitRow) -> Markup {
    let current = inbox.open.as_ref().is_some_and(|open| open.key == row.key());
    html! {
        li {
            a href={ (inbox.up) "inbox/" (address(&row.key())) } aria-current=[current.then_some("true")] {
                div.row { b { (row.wait.state) } span.quiet.small { (words::since(row.wait.since, inbox.now)) } }
                div.small { (row.state_machine.last()) " · " (row.arn.last()) }
                div.small.quiet {
                    @if row.wait.queue { "queue " } (row.wait.destination)
                    @if let Some(due) = row.wait.due() {
                        @if due > inbox.now { " · " (words::since(inbox.now, due)) " left" } @else { " · due" }
                    }
                }
            }
        }
    }
}

fn task(inbox: &Inbox<'_>, open: &Open<'_>) -> Markup {
    let wait = &open.asked.wait;
    html! {
        section.card aria-label="Task" {
            h2 { (wait.state) }
            @if let Some(comment) = &open.expected.comment { p.quiet { (comment) } }
            dl {
                dt { "Execution" } dd {
                    a href={ (inbox.up) "executions/" (open.row.header.id) } { (open.row.header.name) } " of "
                    a href={ (inbox.up) "machines/" (words::encoded(open.row.header.state_machine.last())) } {
                        (open.row.header.state_machine.last())
                    }
                }
                dt { "Asked of" } dd { @if wait.queue { "queue " } b { (wait.destination) } " \
                    " (consumers(&open.asked)) }
                dt { "Waits" } dd { "since " (words::moment(wait.since)) " \
                    (" (words::since(wait.since, inbox.now)) ")" }
                dt { "Until" } dd {
                    @match wait.timeout { Some(at) => { (words::moment(at)) } None => { "no time limit" } }
                    @if let Some(due) = wait.heartbeat_due { ", heartbeat due " (words::moment(due)) }
                }
                @if wait.attempt > 1 { dt { "Attempt" } dd { (wait.attempt) } }
            }
            h3 { "What it is about" }
            (about(open.parameters))
            @if inbox.who.complete { (answer(inbox, open)) }
            @else { p.quiet { "Your key may not answer tasks." } }
        }
    }
}

/// Members of a payload that are shown one by one.
const MEMBERS_MAX: usize = 12;

/// The message of a task: the members of its body one by one where they are few, and the whole below.
fn about(parameters: &str) -> Markup {
    let value: Value = serde_json::from_str(parameters).unwrap_or_default();
    let body = ["Body", "MessageBody", "Message", "Payload", "Input"].iter().find_map(|name| value.get(name));
    let members =
        body.unwrap_or(&value).as_object().filter(|members| members.len() <= MEMBERS_MAX && !members.is_empty());
    html! {
        @match members {
            Some(members) => {
                dl { @for (name, value) in members { dt { (name) } dd { (plain(value)) } } }
                details { summary { "Whole payload" } (json(parameters)) }
            }
            None => { (json(parameters)) }
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn answer(inbox: &Inbox<'_>, open: &Open<'_>) -> Markup {
    let action = format!("{}inbox/{}", inbox.up, address(&open.key));
    let Expected { answers, fields, errors, .. } = open.expected;
    let whole = open.typed.as_ref().map_or("", |typed| typed.output.as_str());
    html! {
        h2 { "Your answer" }
        @if let Some(typed) = &open.typed { div.say.fail role="alert" { p { (typed.why) } } }
        @if !answers.is_empty() {
            p.quiet.small { "Read from the Choice behind this task:" }
            div.acts {
                @for (n, answer) in answers.iter().enumerate() {
                    form method="post" action=(action) {
                        input type="hidden" name="kind" value="choice";
                        input type="hidden" name="n" value=(n);
                        button.first[n == 0] type="submit" { (answer.label) }
                    }
                }
            }
        }
        @if !fields.is_empty() {
            form.field method="post" action=(action) {
                input type="hidden" name="kind" value="fields";
                @for name in fields {
                    label for={ "field-" (name) } { (name) }
                    input id={ "field-" (name) } name={ "field." (name) } required;
                }
                div.acts { button.first type="submit" { "Answer" } }
            }
        }
        details open[answers.is_empty() && fields.is_empty() || open.typed.is_some()] {
            summary { "Answer with JSON" }
            form method="post" action=(action) {
                input type="hidden" name="kind" value="success";
                label for="output" { "Output" span.hint { " (JSON; the state goes on with it)" } }
                div.wrong[open.typed.is_some()] {
                    textarea #output name="output" rows="6" spellcheck="false" required { (whole) }
                }
                div.acts { button type="submit" { "Send the answer" } }
            }
        }
        details {
            summary { "Refuse, or ask for more time" }
            form.field method="post" action=(action) {
                input type="hidden" name="kind" value="failure";
                label for="error" { "Error" span.hint { " (Retry and Catch of the state see it)" } }
                input #error name="error" maxlength="256" list="errors"
                    value=(errors.first().map_or("Rejected", String::as_str));
                datalist #errors { @for error in errors { option value=(error) {} } }
                label for="cause" { "Cause" }
                input #cause name="cause" maxlength="1000";
                div.acts { button.danger type="submit" { "Let the task fail" } }
            }
            form method="post" action=(action) {
                input type="hidden" name="kind" value="heartbeat";
                div.acts { button type="submit" { "More time (heartbeat)" } }
            }
        }
    }
}
