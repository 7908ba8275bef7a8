//! `reveille history EXECUTION`; and the table of events, which `run` and `demo` print too.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::follow::{Tail, is_open};
use super::output::{Format, OutputArgs, Table, Tone, json_line, line, maybe, short, text};
use super::{CliError, names, time};
use crate::clock::Timestamp;

/// The width of the last column, where it is cut.
pub(super) const DETAIL_CHARS: usize = 72;
/// Between two looks for new events.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille history art-event:open-studios
  reveille history art-event:open-studios --follow          each event as it comes, until the end
  reveille history art-event:open-studios --full            causes, inputs and outputs whole
  reveille history art-event:open-studios -o json > history.json")]
pub(super) struct Args {
    /// Execution: ARN, or MACHINE:NAME
    execution: String,
    /// Newest first
    #[arg(long, short, conflicts_with = "follow")]
    reverse: bool,
    /// Print new events as they come, until the execution has ended
    #[arg(long, short)]
    follow: bool,
    /// At most so many events [default: all]; with --follow, so many of the past
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
    if args.follow {
        return follow(&client, &arn, limit, args.output);
    }
    let request = json!({"executionArn": arn, "reverseOrder": args.reverse, "includeExecutionData": true});
    let events = client.pages("GetExecutionHistory", request, "events", limit)?;
    let most = args.output.cut(DETAIL_CHARS);
    args.output
        .print(&json!({"events": events}), |answer| table(answer["events"].as_array().map_or(&[], Vec::as_slice), most))
}

/// Lines of JSON for programs, rows for people, until the end of the execution.
fn follow(client: &Client, arn: &str, limit: usize, output: OutputArgs) -> Result<(), CliError> {
    let described = client.call("DescribeExecution", &json!({"executionArn": arn}))?;
    let started = time::parse(&described["startDate"]);
    let (mut tail, mut ended) = (Tail::of(arn), !is_open(&described));
    let for_people = matches!(output.format(), Format::Table | Format::Wide);
    loop {
        for event in tail.news(client, limit, true)? {
            if for_people {
                line(&row(&event, started, output.cut(DETAIL_CHARS)))?;
            } else {
                line(&json_line(&event))?;
            }
        }
        if ended {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
        // Asked before the events: the last ones are there when it has ended.
        ended = !is_open(&client.call("DescribeExecution", &json!({"executionArn": arn}))?);
    }
}

fn row(event: &Value, started: Option<Timestamp>, most: usize) -> String {
    let kind = text(event, "type");
    format!(
        "{} {} {} {:<24} {}",
        Tone::Faint.paint(&format!("{:>5}", text(event, "id"))),
        Tone::Faint.paint(&format!("{:>13}", after(event, started))),
        tone(&kind).paint(&format!("{kind:<24}")),
        subject_of(event),
        Tone::Faint.paint(&short(&detail_of(event), most)),
    )
}

fn after(event: &Value, first: Option<Timestamp>) -> String {
    match (first, time::parse(&event["timestamp"])) {
        (Some(first), Some(at)) => format!("+{}", time::duration(at.since(first))),
        _ => String::new(),
    }
}

/// A table of events: number, time since the first, type, state or resource, and detail.
pub(super) fn table(events: &[Value], most: usize) -> String {
    let first = events.iter().filter_map(|event| time::parse(&event["timestamp"])).min();
    let mut table = Table::new(&["ID", "AFTER", "TYPE", "OF", "DETAIL"]);
    for event in events {
        let kind = text(event, "type");
        table.row(vec![
            (text(event, "id"), Tone::Faint),
            (after(event, first), Tone::Faint),
            (kind.clone(), tone(&kind)),
            (subject_of(event), Tone::Plain),
            (short(&detail_of(event), most), Tone::Faint),
        ]);
    }
    table.render()
}

/// The state, resource or worker of an event.
pub(super) fn subject_of(event: &Value) -> String {
    details_of(event).map(subject).unwrap_or_default()
}

fn details_of(event: &Value) -> Option<&Value> {
    event.as_object()?.iter().find(|(name, _)| name.ends_with("EventDetails")).map(|(_, details)| details)
}

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

/// Error and cause of an event that has them.
pub(super) fn failure_of(event: &Value) -> Option<String> {
    let details = details_of(event)?;
    let error = maybe(details, "error")?;
    Some(maybe(details, "cause").map_or(error.clone(), |cause| format!("{error}: {cause}")))
}

fn detail_of(event: &Value) -> String {
    failure_of(event).unwrap_or_else(|| {
        let details = details_of(event).unwrap_or(&Value::Null);
        // Parameters of a task may hold its token, so they are not shown.
        ["output", "input", "length"].iter().find_map(|name| maybe(details, name)).unwrap_or_default()
    })
}

pub(super) fn tone(kind: &str) -> Tone {
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
