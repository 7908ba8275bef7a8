//! Bulk actions: what one would do, how far one has come, and all of the last time.

use maud::{Markup, html};
use serde_json::Value;

use crate::clock::Timestamp;

use super::super::words;
use super::layout::{Who, icon};

/// A bulk action that is about to be started.
pub struct Plan<'a> {
    pub query: &'a str,
    /// `STOP`, `REDRIVE` or `REPLAY`.
    pub action: &'a str,
    /// How many it would concern, and whether there may be more.
    pub expected: Result<(u64, bool), &'a str>,
    /// It was not confirmed, or was refused.
    pub why: Option<&'a str>,
}

/// The words for an action: present, past, and its object.
fn verbs(action: &str) -> [&'static str; 3] {
    match action {
        "REDRIVE" => ["Redrive", "redriven", "execution"],
        "REPLAY" => ["Send again", "sent again", "message"],
        _ => ["Stop", "stopped", "execution"],
    }
}

/// `Stop 7 executions`, `Send them again`.
fn order(action: &str, what: &str) -> String {
    match action {
        "REDRIVE" => format!("Redrive {what}"),
        "REPLAY" => format!("Send {what} again"),
        _ => format!("Stop {what}"),
    }
}

fn many((n, more): (u64, bool), action: &str) -> String {
    let things = words::many(n, verbs(action)[2]);
    if more { format!("at least {things}") } else { things }
}

/// The planned action, and the button for it.
pub fn plan(plan: &Plan<'_>) -> Markup {
    let [verb, _, _] = verbs(plan.action);
    html! {
        h1 { "Act on many" }
        p.meta { a href="../bulk" { "Bulk actions" } }
        @if plan.action != "REPLAY" {
            form.bar method="get" action="new" role="search" {
                label.hidden for="q" { "Which executions" }
                input.wide #q type="search" name="q" value=(plan.query) autocomplete="off" spellcheck="false"
                    placeholder="machine:   status:failed   error:   started:<2026-11-28";
                input type="hidden" name="action" value=(plan.action);
                button type="submit" { "Count" }
            }
            nav.bar aria-label="Action" {
                @for action in ["REDRIVE", "STOP"] {
                    a.chip href={ "new?action=" (action) "&q=" (words::encoded(plan.query)) }
                        aria-current=[(action == plan.action).then_some("true")] { (verbs(action)[0]) }
                }
            }
        }
        @if let Some(why) = plan.why { div.say.fail role="alert" { p { (why) } } }
        @match plan.expected {
            Err(why) => { div.say.fail role="alert" { p { (why) } } }
            Ok((0, false)) => {
                div.card { div.empty { p { b { "Nothing to " (verb.to_lowercase()) "." } } p { (none(plan.action)) } } }
            }
            Ok(expected) => {
                section.card aria-label=(verb) {
                    h2.big { (order(plan.action, &many(expected, plan.action))) }
                    p { (means(plan.action)) }
                    (confirm(plan, expected))
                }
            }
        }
    }
}

fn none(action: &str) -> &'static str {
    match action {
        "REDRIVE" => "No execution that failed, timed out or was stopped matches.",
        "REPLAY" => "No message with this verdict is parked.",
        _ => "No execution that runs matches.",
    }
}

fn means(action: &str) -> &'static str {
    match action {
        "REDRIVE" => {
            "Each goes on from where it failed. Those that cannot are listed with the reason. Executions that \
             start or fail from now on are left alone."
        }
        "REPLAY" => "Each goes to the queue in which it was refused. One that is refused again comes back here.",
        _ => "Each ends as aborted; a redrive lets it go on. Executions that start from now on are left alone.",
    }
}

fn confirm(plan: &Plan<'_>, expected: (u64, bool)) -> Markup {
    html! {
        form.answer method="post" action="new" {
            input type="hidden" name="action" value=(plan.action);
            input type="hidden" name="q" value=(plan.query);
            @if plan.action == "STOP" {
                label for="cause" { "Why" span.hint { " (in the history of each)" } }
                input #cause name="cause" maxlength="1000";
            }
            div.check {
                input #sure type="checkbox" name="sure" value="yes" required;
                label for="sure" { "Yes, " (order(plan.action, &many(expected, plan.action)).to_lowercase()) }
            }
            div.acts { button.danger type="submit" { (order(plan.action, "them")) } }
        }
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn moment(value: &Value, name: &str) -> Markup {
    let at = value.get(name).and_then(Value::as_f64).map(|seconds| Timestamp::default().plus_seconds(seconds));
    html! { @if let Some(at) = at { (words::moment(at)) } }
}

fn status(bulk: &Value) -> Markup {
    let (class, picture, words) = match text(bulk, "status") {
        "RUNNING" => ("run", "running", "under way"),
        "CANCELLED" => ("", "stopped", "cancelled"),
        _ if number(bulk, "refused") > 0 => ("wait", "done", "done, with refusals"),
        _ => ("done", "done", "done"),
    };
    html! { span class={ "status " (class) } { (icon(picture)) (words) } }
}

/// `120 of 340 stopped, 3 refused`.
fn progress(bulk: &Value) -> String {
    let (done, refused) = (number(bulk, "done"), number(bulk, "refused"));
    let more = if bulk["expectedMore"] == true { "at least " } else { "" };
    let [_, did, _] = verbs(text(bulk, "action"));
    let refused = if refused > 0 { format!(", {} refused", words::count(refused)) } else { String::new() };
    format!("{} of {more}{} {did}{refused}", words::count(done), words::count(number(bulk, "expected")))
}

/// One bulk action, as `Reveille.DescribeBulkAction` shows it.
pub fn one(bulk: &Value, who: &Who) -> Markup {
    let [_, _, thing] = verbs(text(bulk, "action"));
    let (at, of) = (number(bulk, "done") + number(bulk, "refused"), number(bulk, "expected"));
    let is_running = text(bulk, "status") == "RUNNING";
    let is_replay = text(bulk, "action") == "REPLAY";
    let refusals = bulk["refusals"].as_array().map_or(&[][..], Vec::as_slice);
    html! {
        div data-live="head" { h1 { (order(text(bulk, "action"), &format!("{thing}s"))) (status(bulk)) } }
        p.meta {
            a href="../bulk" { "Bulk actions" } " · " code { (text(bulk, "query")) } " · by " (text(bulk, "by"))
            " · started " (moment(bulk, "startDate"))
        }
        section.card aria-label="Progress" data-live="progress" data-tell {
            p { b { (progress(bulk)) } }
            progress.whole max=(of.max(at).max(1)) value=(if is_running { at } else { of.max(at).max(1) })
                aria-label="Progress" {}
            @if !is_running { p.quiet { "Ended " (moment(bulk, "stopDate")) "." } }
        }
        div data-live="acts" {
            @if is_running && who.start {
                form.bar method="post" action=(text(bulk, "bulkActionId")) {
                    button.danger type="submit" { "Cancel the rest" }
                }
            } @else if !is_replay {
                p { a href={ "../executions?q=" (words::encoded(text(bulk, "query"))) } { "Executions of this query" } }
            }
        }
        div.card.flush data-live="refusals" {
            @if refusals.is_empty() { div.empty { p { "None has refused it." } } } @else {
                table {
                    caption {
                        "Refused" @if number(bulk, "refused") > refusals.len() as u64 {
                            span.quiet { " (the first " (refusals.len()) ")" }
                        }
                    }
                    thead { tr { th scope="col" { "Which" } th scope="col" { "Why" } } }
                    tbody { @for refusal in refusals { (refused(refusal, is_replay)) } }
                }
            }
        }
    }
}

fn refused(refusal: &Value, is_replay: bool) -> Markup {
    let id = text(refusal, "id");
    let name = id.rsplit(':').next().unwrap_or(id);
    html! {
        tr {
            td {
                @if is_replay { a href={ "../parked/" (words::encoded(id)) } { (id) } }
                @else { a href={ "../executions?q=" (words::encoded(id)) } { (name) } }
            }
            td { (text(refusal, "why")) }
        }
    }
}

/// All of them, newest first.
pub fn list(all: &[Value], who: &Who) -> Markup {
    html! {
        h1 { "Bulk actions" }
        p.meta { "Stops, redrives and replays of many at once, of the last 30 days." }
        @if who.start { p { a.button href="bulk/new?action=REDRIVE&q=" { "New…" } } }
        div.card.flush data-live="rows" {
            @if all.is_empty() { div.empty { p { b { "There was none." } } } } @else {
                table {
                    thead { tr {
                        th scope="col" { "Status" } th scope="col" { "Action" } th scope="col" { "Query" }
                        th scope="col" { "Progress" } th.fold scope="col" { "By" } th.fold scope="col" { "Started" }
                    } }
                    tbody {
                        @for bulk in all {
                            tr {
                                td.nowrap { (status(bulk)) }
                                td.nowrap {
                                    a href={ "bulk/" (text(bulk, "bulkActionId")) } { (verbs(text(bulk, "action"))[0]) }
                                }
                                td { code { (text(bulk, "query")) } }
                                td { (progress(bulk)) }
                                td.fold { (text(bulk, "by")) }
                                td.fold.nowrap { (moment(bulk, "startDate")) }
                            }
                        }
                    }
                }
            }
        }
    }
}
