//! `reveille history EXECUTION`; and the table of events, which `run` and `demo` print too.

use serde_json::{Value, json};

use super::client::ServerArgs;
use super::output::{OutputArgs, Table, Tone, maybe, short, text};
use super::{CliError, names, time};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Execution: ARN, or MACHINE:NAME
    execution: String,
    /// Newest first
    #[arg(long, short)]
    reverse: bool,
    /// At most so many events [default: all]
    #[arg(long, short = 'n')]
    limit: Option<u32>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let client = args.server.client()?;
    let arn = names::execution(&client, &args.execution)?;
    let limit = args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let request = json!({"executionArn": arn, "reverseOrder": args.reverse, "includeExecutionData": true});
    let events = client.pages("GetExecutionHistory", request, "events", limit)?;
    args.output
        .print(&json!({"events": events}), |answer| table(answer["events"].as_array().map_or(&[], Vec::as_slice)))
}

/// A table of events: number, time since the first, type, state or resource, and detail.
pub(super) fn table(events: &[Value]) -> String {
    let first = events.iter().filter_map(|event| time::parse(&event["timestamp"])).min();
    let mut table = Table::new(&["ID", "AFTER", "TYPE", "OF", "DETAIL"]);
    for event in events {
        let kind = text(event, "type");
        let after = match (first, time::parse(&event["timestamp"])) {
            (Some(first), Some(at)) => format!("+{}", time::duration(at.since(first))),
            _ => String::new(),
        };
        let details = details_of(event).unwrap_or(&Value::Null);
        table.row(vec![
            (text(event, "id"), Tone::Faint),
            (after, Tone::Faint),
            (kind.clone(), tone(&kind)),
            (subject(details), Tone::Plain),
            (short(&detail(details), 72), Tone::Faint),
        ]);
    }
    table.render()
}

/// The same of a whole event.
pub(super) fn subject_of(event: &Value) -> String {
    details_of(event).map(subject).unwrap_or_default()
}

fn details_of(event: &Value) -> Option<&Value> {
    event.as_object()?.iter().find(|(name, _)| name.ends_with("EventDetails")).map(|(_, details)| details)
}

/// The subject of an event: its state, resource or worker.
fn subject(details: &Value) -> String {
    if let Some(name) = maybe(details, "name") {
        return match details.get("index") {
            Some(index) => format!("{name} [{index}]"),
            None => name,
        };
    }
    match (maybe(details, "resourceType"), maybe(details, "resource")) {
        (Some(kind), Some(resource)) => format!("{kind}:{resource}"),
        (None, Some(resource)) => super::output::last_part(&resource).to_owned(),
        _ => maybe(details, "workerName").unwrap_or_default(),
    }
}

fn detail(details: &Value) -> String {
    if let Some(error) = maybe(details, "error") {
        return maybe(details, "cause").map_or(error.clone(), |cause| format!("{error}: {cause}"));
    }
    // Parameters of a task may hold its token, so they are not shown.
    ["output", "input", "length"].iter().find_map(|name| maybe(details, name)).unwrap_or_default()
}

fn tone(kind: &str) -> Tone {
    if kind.ends_with("Succeeded") {
        Tone::Good
    } else if ["Failed", "TimedOut", "Aborted"].iter().any(|end| kind.ends_with(end)) {
        Tone::Bad
    } else if kind.ends_with("Submitted") || kind.ends_with("Scheduled") {
        Tone::Waiting
    } else {
        Tone::Plain
    }
}
