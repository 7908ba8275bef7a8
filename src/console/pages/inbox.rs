//! The inbox: tasks that wait for an answer, and the answer itself.

use std::collections::HashMap;

use maud::{Markup, html};
use serde_json::Value;

use crate::api::claims::Claim;
use crate::clock::Timestamp;
use crate::forms::Form;
use crate::ids::TaskKey;
use crate::store::{ExecutionRow, Wait, WaitRow};

use super::super::answers::Answered;
use super::super::infer::Expected;
use super::super::words;
use super::execution::Asked;
use super::form::{self, Entered, plain};
use super::layout::{Who, json};
use super::panel::consumers;

pub struct Inbox<'a> {
    pub rows: &'a [WaitRow],
    pub machine: &'a str,
    pub queue: &'a str,
    /// By the address of their tasks.
    pub claims: &'a HashMap<String, Claim>,
    /// Titles of forms, in the same way.
    pub titles: &'a HashMap<String, String>,
    /// How a claim of this person is named.
    pub me: String,
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
    /// Its form, or the fault of a form that cannot be shown.
    pub form: Result<Option<&'a Form>, &'a str>,
    /// The parameters of the task: JSON.
    pub parameters: &'a str,
    /// An answer that was refused, and why.
    pub typed: Option<Typed>,
}

#[derive(Debug, Clone, Default)]
pub struct Typed {
    pub output: String,
    pub why: String,
    /// The typed fields of the task's form.
    pub entered: Entered,
    /// An approval link that was made, or why none was.
    pub link: Option<Result<String, String>>,
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
            a.chip href={ (inbox.up) "inbox" } aria-current=[(inbox.queue.is_empty()).then_some("true")] { "All" }
            a.chip href={ (inbox.up) "inbox?queue=inbox" } aria-current=[(inbox.queue == "inbox").then_some("true")] {
                "For people"
            }
            a.chip href={ (inbox.up) "inbox/answered" } { "Answered" }
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
                ul.tasks { @for row in inbox.rows { (item(inbox, row)) } }
                @if let Some(more) = &inbox.more { (older(inbox, more)) }
            }
            // A form that a person works in is not replaced.
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
                @let title = inbox.titles.get(&address(&row.key())).unwrap_or(&row.wait.state);
                div.row { b { (title) } span.quiet.small { (words::since(row.wait.since, inbox.now)) } }
                div.small { (row.state_machine.last()) " · " (row.arn.last()) }
                div.small.quiet {
                    @if let Some(claim) = inbox.claims.get(&address(&row.key())) {
                        span.status { (claim.by) " works on it" } " "
                    }
                    (asked_of(&row.wait))
                    @if let Some(due) = row.wait.due() {
                        @if due > inbox.now { " · " (words::since(inbox.now, due)) " left" } @else { " · due" }
                    }
                }
            }
        }
    }
}

/// The person or worker that a task waits for, in words.
fn asked_of(wait: &Wait) -> String {
    match (wait.queue, wait.destination.as_str()) {
        (true, queue) => format!("queue {queue}"),
        (false, "inbox") => "people, here".to_owned(),
        (false, destination) => destination.to_owned(),
    }
}

fn task(inbox: &Inbox<'_>, open: &Open<'_>) -> Markup {
    let wait = &open.asked.wait;
    let form = open.form.ok().flatten();
    let text = form.and_then(|form| form.text.as_deref()).or(open.expected.comment.as_deref());
    html! {
        section.card aria-label="Task" {
            h2.big { (form.and_then(|form| form.title.as_deref()).unwrap_or(&wait.state)) }
            @if let Some(text) = text { p.quiet.prose { (text) } }
            dl {
                dt { "Execution" } dd {
                    a href={ (inbox.up) "executions/" (open.row.header.id) } { (open.row.header.name) } " of "
                    a href={ (inbox.up) "machines/" (words::encoded(open.row.header.state_machine.last())) } {
                        (open.row.header.state_machine.last())
                    }
                }
                dt { "Asked of" } dd {
                    @match form.map(|form| form.audience.join(", ")).filter(|audience| !audience.is_empty()) {
                        Some(audience) => { b { (audience) } }
                        None => { (asked_of(wait)) }
                    }
                    " " (consumers(&open.asked))
                }
                @if inbox.who.complete || inbox.claims.contains_key(&address(&open.key)) {
                    dt { "Claimed by" } dd { (claimed(inbox, open)) }
                }
                dt { "Waits" } dd { "since " (words::moment(wait.since)) " \
                    (" (words::since(wait.since, inbox.now)) ")" }
                dt { "Until" } dd {
                    @match wait.timeout { Some(at) => { (words::moment(at)) } None => { "no time limit" } }
                    @if let Some(due) = wait.heartbeat_due { ", heartbeat due " (words::moment(due)) }
                }
                @if wait.attempt > 1 { dt { "Attempt" } dd { (wait.attempt) } }
            }
            h3 { "What it is about" }
            @match form.filter(|form| !form.show.is_empty()) {
                Some(form) => {
                    (form::shown(&form.show))
                    details { summary { "Whole payload" } (json(open.parameters)) }
                }
                None => { (about(open.parameters)) }
            }
            @if inbox.who.complete { (answer(inbox, open)) }
            @else { p.quiet { "You may not answer tasks here." } }
        }
    }
}

/// Makes an approval link for a person who does not sign in here.
fn link(open: &Open<'_>, action: &str) -> Markup {
    let made = open.typed.as_ref().and_then(|typed| typed.link.as_ref());
    html! {
        @if let Some(Ok(address)) = made {
            div.say.done role="status" {
                p { b { "The link is made." } " Whoever has it can answer this task. It is shown once." }
                label.hidden for="made-link" { "Link" }
                textarea #made-link readonly rows="3" spellcheck="false" { (address) }
            }
        }
        details open[made.is_some_and(Result::is_err)] {
            summary { "Ask another person by a link" }
            @if let Some(Err(why)) = made { div.say.fail role="alert" { p { (why) } } }
            form.field method="post" action=(action) {
                input type="hidden" name="kind" value="link";
                label for="link-for" { "For" span.hint { " (a name or an address; the history shows it)" } }
                input #link-for name="for" maxlength="200" required autocomplete="off";
                label for="link-days" { "Good for" }
                select #link-days name="days" {
                    option value="" { "as long as the task waits" }
                    option value="1" { "1 day" }
                    option value="7" { "7 days" }
                }
                div.acts { button type="submit" { "Make a link" } }
            }
        }
    }
}

/// The person that works on it, and the buttons to claim it.
fn claimed(inbox: &Inbox<'_>, open: &Open<'_>) -> Markup {
    let address = address(&open.key);
    let action = format!("{}inbox/{address}", inbox.up);
    let button = |kind: &str, text: &str| {
        html! {
            form.inline method="post" action=(action) {
                input type="hidden" name="kind" value=(kind);
                button.small type="submit" { (text) }
            }
        }
    };
    html! {
        @match inbox.claims.get(&address) {
            None => { span.quiet { "nobody" } " " (button("claim", "Claim")) }
            Some(claim) => {
                b { (claim.by) } ", for " (words::since(inbox.now, claim.until)) " "
                @if inbox.who.complete {
                    @if claim.by == inbox.me { (button("release", "Release")) } @else { (button("take", "Take over")) }
                }
            }
        }
    }
}

/// Answers of people, newest first.
pub fn answered(answers: &[Answered], more: Option<&str>, now: Timestamp) -> Markup {
    html! {
        h1 { "Answered" }
        p.meta { "By people, here or by a link, in the last 30 days. The history of each execution has it for good." }
        div.bar {
            a.chip href="../inbox" { "All" }
            a.chip href="../inbox?queue=inbox" { "For people" }
            a.chip href="answered" aria-current="true" { "Answered" }
        }
        div.card.flush data-live="answered" {
            @if answers.is_empty() {
                div.empty { p { b { "Nobody has answered here yet." } } }
            } @else {
                table {
                    thead { tr { th { "When" } th { "Who" } th { "Said" } th { "Task" } th.fold { "Execution" } } }
                    tbody {
                        @for answer in answers {
                            tr {
                                td {
                                    (words::moment(answer.at())) br;
                                    span.quiet.small { (words::since(answer.at(), now)) " ago" }
                                }
                                td { (answer.by) }
                                td { b { (answer.said) } }
                                td {
                                    a href={ "../executions/" (words::encoded(&answer.execution)) } { (answer.state) }
                                }
                                td.fold { (answer.machine) " · " (answer.name) }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(more) = more { p.foot { a href={ "answered?after=" (words::encoded(more)) } { "More" } } }
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

fn answer(inbox: &Inbox<'_>, open: &Open<'_>) -> Markup {
    let action = format!("{}inbox/{}", inbox.up, address(&open.key));
    let Expected { answers, fields, errors, .. } = open.expected;
    let whole = open.typed.as_ref().map_or("", |typed| typed.output.as_str());
    let form = open.form.ok().flatten();
    let entered = open.typed.as_ref().map(|typed| &typed.entered).filter(|entered| !entered.fields.is_empty());
    let why = open.typed.as_ref().map(|typed| typed.why.as_str()).filter(|why| !why.is_empty());
    html! {
        h2 { "Your answer" }
        @if let Some(why) = why { div.say.fail role="alert" { p { (why) } } }
        @if let Err(fault) = open.form {
            div.say { p { "The form of this task cannot be shown: " (fault) } }
        }
        @if let Some(form) = form {
            (form::form(form, &action, &[("kind", "form")], |_| true, entered))
        }
        @if !answers.is_empty() && form.is_none() {
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
        @if !fields.is_empty() && form.is_none() {
            form.field method="post" action=(action) {
                input type="hidden" name="kind" value="fields";
                @for name in fields {
                    label for={ "field-" (name) } { (name) }
                    input id={ "field-" (name) } name={ "field." (name) } required;
                }
                div.acts { button.first type="submit" { "Answer" } }
            }
        }
        details open[answers.is_empty() && fields.is_empty() && form.is_none() || why.is_some()] {
            summary { "Answer with JSON" }
            form method="post" action=(action) {
                input type="hidden" name="kind" value="success";
                label for="output" { "Output" span.hint { " (JSON; the state goes on with it)" } }
                div.wrong[why.is_some()] {
                    textarea #output name="output" rows="6" spellcheck="false" required { (whole) }
                }
                div.acts { button type="submit" { "Send the answer" } }
            }
        }
        @if form.is_some() { (link(open, &action)) }
        details {
            summary { "Refuse" @if open.asked.wait.heartbeat_due.is_some() { ", or ask for more time" } }
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
            @if let Some(due) = open.asked.wait.heartbeat_due {
                form method="post" action=(action) {
                    input type="hidden" name="kind" value="heartbeat";
                    p.hint { "The next sign of life is due " (words::moment(due)) "; this puts it off." }
                    div.acts { button type="submit" { "Ask for more time" } }
                }
            }
        }
    }
}
