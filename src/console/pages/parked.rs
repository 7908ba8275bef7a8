//! Parked messages: refused replies and starts, dead letters.

use maud::{Markup, html};
use serde_json::Value;

use crate::clock::Timestamp;

use super::super::words;
use super::layout::{Who, json};

pub struct Parked<'a> {
    /// As `Reveille.ListParkedMessages` lists them.
    pub messages: &'a [Value],
    pub queue: &'a str,
    /// There are more in the queue than were looked at.
    pub more: bool,
    /// Only these are shown; empty: all.
    pub verdict: &'a str,
    /// Verdicts of all that were looked at, with their numbers.
    pub verdicts: &'a [(String, usize)],
    pub who: &'a Who,
    pub said: Markup,
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub fn list(parked: &Parked<'_>) -> Markup {
    let all: usize = parked.verdicts.iter().map(|(_, n)| n).sum();
    let chip = |name: &str, verdict: &str, n: usize| {
        html! {
            a.chip href={ "parked?verdict=" (words::encoded(verdict)) }
                aria-current=[(verdict == parked.verdict).then_some("true")] { (name) " " (words::count(n as u64)) }
        }
    };
    html! {
        h1 { "Parked" }
        p.meta { "Answers and starts that were refused, and dead letters, in the queue " (parked.queue) "." }
        (parked.said)
        @if all > 0 {
            nav.bar aria-label="Verdicts" {
                (chip("All", "", all))
                @for (verdict, n) in parked.verdicts { (chip(verdict, verdict, *n)) }
            }
        }
        @if !parked.messages.is_empty() { (bulk(parked)) }
        div.card.flush {
            @if parked.messages.is_empty() {
                div.empty {
                    p { b { "Nothing is parked." } }
                    p { "A reply that cannot be used comes here with its reason." }
                }
            } @else { (table(parked)) }
        }
        @if parked.more {
            p.foot {
                "There are more behind these: they show when these are gone. "
                @if parked.who.complete && parked.who.start {
                    @let verdict = if parked.verdict.is_empty() { "all" } else { parked.verdict };
                    a href={ "bulk/new?action=REPLAY&q=verdict:" (words::encoded(verdict)) } {
                        "Send all of them again…"
                    }
                }
            }
        }
    }
}

fn table(parked: &Parked<'_>) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "Id" }
                th scope="col" { "Verdict" }
                th scope="col" { "Why" }
                th.fold scope="col" { "Refused in" }
                th.fold.num scope="col" { "Bytes" }
                th.fold scope="col" { "Parked" }
            } }
            tbody {
                @for message in parked.messages {
                    tr {
                        td.nowrap { (link(parked, message)) }
                        td.nowrap { span.status.fail { (text(message, "verdict")) } }
                        td { (text(message, "reason")) }
                        td.fold { (text(message, "from")) }
                        td.fold.num { (words::count(message["bytes"].as_u64().unwrap_or_default())) }
                        td.fold.nowrap { (at(message)) }
                    }
                }
            }
        }
    }
}

fn link(parked: &Parked<'_>, message: &Value) -> Markup {
    let id = text(message, "id");
    html! { @if parked.who.complete { a href={ "parked/" (words::encoded(id)) } { (id) } } @else { (id) } }
}

fn at(message: &Value) -> Markup {
    html! {
        @match Timestamp::parse_iso(text(message, "parkedAt")) {
            Ok(at) => { (words::moment(at)) }
            Err(_) => { "not known" }
        }
    }
}

/// Acts on all that are shown, and on nothing that comes after.
fn bulk(parked: &Parked<'_>) -> Markup {
    let n = parked.messages.len() as u64;
    let ids = html! { @for message in parked.messages { input type="hidden" name="id" value=(text(message, "id")); } };
    html! {
        div.bar {
            @if parked.who.complete {
                form method="post" action="parked" {
                    input type="hidden" name="kind" value="replay";
                    (ids)
                    button type="submit" { "Send " (words::many(n, "message")) " again" }
                }
            }
            @if parked.who.admin {
                details.act {
                    summary { "Delete…" }
                    form method="post" action="parked" {
                        input type="hidden" name="kind" value="purge";
                        (ids)
                        p { "A deleted message is gone for good." }
                        (sure(n))
                        div.acts { button.danger type="submit" { "Delete for good" } }
                    }
                }
            }
        }
    }
}

fn sure(n: u64) -> Markup {
    let what = words::many(n, "message");
    html! { label { input type="checkbox" name="sure" value="yes" required; " Yes, delete " (what) } }
}

/// One message, as `Reveille.DescribeParkedMessage` shows it.
pub fn one(message: &Value, who: &Who, why: Option<&str>) -> Markup {
    let id = text(message, "id");
    html! {
        h1 { "Parked message " (id) }
        p.meta { a href="../parked" { "All that are parked" } }
        @if let Some(why) = why { div.say.fail role="alert" { p { (why) } } }
        div.bar {
            form method="post" action={ "../parked" } {
                input type="hidden" name="kind" value="replay";
                input type="hidden" name="id" value=(id);
                button.first type="submit" { "Send again" }
            }
            details.act {
                summary { "To another queue…" }
                form method="post" action="../parked" {
                    input type="hidden" name="kind" value="replay";
                    input type="hidden" name="id" value=(id);
                    label for="queue" { "Queue" }
                    input #queue name="queue" maxlength="255" required value=(text(message, "from"));
                    div.acts { button.first type="submit" { "Send" } }
                }
            }
            @if who.admin {
                details.act {
                    summary { "Delete…" }
                    form method="post" action="../parked" {
                        input type="hidden" name="kind" value="purge";
                        input type="hidden" name="id" value=(id);
                        (sure(1))
                        div.acts { button.danger type="submit" { "Delete for good" } }
                    }
                }
            }
        }
        section.card aria-label="Why" {
            dl {
                dt { "Verdict" } dd { span.status.fail { (text(message, "verdict")) } }
                dt { "Why" } dd { (text(message, "reason")) }
                dt { "Refused in" } dd { (text(message, "from")) }
                dt { "Parked" } dd { (at(message)) }
                @if let Some(cut) = message.get("cut").and_then(Value::as_str) { dt { "Cut" } dd { (cut) } }
            }
        }
        section.card aria-label="Message" {
            h2 { "Body" }
            @match (message.get("body"), message.get("bodyBase64")) {
                (Some(body), _) => { (json(&body.to_string())) }
                (None, Some(body)) => { p.quiet { "In Base64:" } (json(body.as_str().unwrap_or_default())) }
                (None, None) => {}
            }
            h2 { "Properties and headers" }
            dl {
                @for part in ["properties", "headers"] {
                    @for (name, value) in message[part].as_object().into_iter().flatten() {
                        @let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        @if !value.is_null() { dt.wrap { (name) } dd { (shown) } }
                    }
                }
            }
        }
    }
}
