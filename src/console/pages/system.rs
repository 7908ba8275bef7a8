//! The server itself: its health, its parts, the settings in force.

use maud::{Markup, html};
use serde_json::Value;

use super::super::words;
use super::layout::icon;

/// The answers of `Reveille.DescribeSystem` and `Reveille.ListNodes` as a page.
pub fn page(system: &Value, nodes: &[Value]) -> Markup {
    let list = |name: &str| system[name].as_array().cloned().unwrap_or_default();
    let (missing, doubts) = (list("missing"), list("doubts"));
    let ready = system["ready"] == true;
    html! {
        h1 {
            "System"
            @if ready { span.status.done { (icon("done")) "ready" } }
            @else { span.status.fail { (icon("failed")) "not ready" } }
        }
        p.meta { "Reveille " (system["version"].as_str().unwrap_or_default()) }
        div data-live="health" data-tell {
            @for why in &missing { div.say.fail { p { (why.as_str().unwrap_or_default()) } } }
            @for why in &doubts { div.say { p { (why.as_str().unwrap_or_default()) } } }
            @if missing.is_empty() && doubts.is_empty() { div.say.done { p { "All that it needs is there." } } }
        }
        div.cards data-live="figures" {
            (figures("Engine", &system["engine"], &ENGINE))
            (figures("Store", &system["store"], &STORE))
            section.card aria-label="Broker" {
                h2 { "Broker" }
                dl {
                    dt { "Connection" }
                    dd {
                        (system["broker"]["health"].as_str().unwrap_or_default())
                        @if let Some(why) = system["broker"]["why"].as_str() { ": " (why) }
                    }
                    dt { "Queues outlive the process" }
                    dd { @if system["broker"]["durable"] == true { "yes" } @else { "no: it is in this process" } }
                    dt { "Connections lost" } dd { (number(&system["broker"]["connectionsLost"])) }
                }
            }
        }
        section.card.flush aria-label="Servers" data-live="nodes" { (servers(nodes)) }
        section.card.flush aria-label="Settings" {
            table {
                caption { "Settings in force" span.quiet { " (secrets are not shown)" } }
                thead { tr { th scope="col" { "Setting" } th scope="col" { "Value" } } }
                tbody {
                    @for (name, value) in system["settings"].as_object().into_iter().flatten() {
                        tr { td { code { (name) } } td { (value.as_str().unwrap_or_default()) } }
                    }
                }
            }
        }
    }
}

const ENGINE: [(&str, &str); 8] = [
    ("executionsOpen", "Open executions"),
    ("tasksOpen", "Open tasks"),
    ("executionsBytes", "Bytes of executions in memory"),
    ("startsUnderWay", "Starts under way"),
    ("tasksUnpublished", "Tasks that the broker has not confirmed"),
    ("parkingWaiting", "Refused messages not parked yet"),
    ("partitions", "Partitions"),
    ("threads", "Threads"),
];
const STORE: [(&str, &str); 5] = [
    ("bytes", "Bytes of its file"),
    ("logBytes", "Bytes of its log"),
    ("writes", "Writes since the start"),
    ("commits", "Commits since the start"),
    ("checkpoints", "Checkpoints since the start"),
];

/// The servers that share the store.
fn servers(nodes: &[Value]) -> Markup {
    let text = |node: &Value, name: &str| node[name].as_str().unwrap_or_default().to_owned();
    html! {
        table {
            caption { "Servers" span.quiet { " (that share this store)" } }
            thead { tr {
                th.num scope="col" { "Slot" } th scope="col" { "Server" } th.fold scope="col" { "Version" }
                th.num scope="col" { "Partitions" } th scope="col" { "Status" }
            } }
            tbody {
                @for node in nodes {
                    tr {
                        td.num { @if let Some(slot) = node["slot"].as_u64() { (slot) } @else { "–" } }
                        td {
                            (text(node, "name"))
                            @if node["answers"] == true { " " span.quiet { "(made this page)" } }
                        }
                        td.fold { (text(node, "version")) }
                        td.num { (number(&node["partitions"])) }
                        td.nowrap {
                            @if node["status"] == "ACTIVE" { span.status.done { (icon("done")) "active" } }
                            @else { span.status.wait { (icon("waiting")) (text(node, "status").to_lowercase()) } }
                        }
                    }
                }
            }
        }
    }
}

fn number(value: &Value) -> String {
    words::count(value.as_u64().unwrap_or_default())
}

fn figures(title: &str, of: &Value, names: &[(&str, &str)]) -> Markup {
    html! {
        section.card aria-label=(title) {
            h2 { (title) }
            dl { @for (name, words) in names { dt { (words) } dd { (number(&of[*name])) } } }
        }
    }
}
