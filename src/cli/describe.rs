//! `reveille describe EXECUTION|MACHINE`.

use serde_json::{Value, json};

use super::client::ServerArgs;
use super::names::{self, Named};
use super::output::{Format, OutputArgs, fields, maybe, status_tone, text, visible};
use super::{CliError, time};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille describe art-event
  reveille describe art-event:open-studios -o yaml")]
pub(super) struct Args {
    /// An execution (ARN, MACHINE:NAME) or a state machine (ARN, name)
    what: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let client = args.server.client()?;
    match names::machine_or_execution(&client, &args.what)? {
        Named::Execution(arn) => {
            let shown = client.call("DescribeExecution", &json!({"executionArn": arn}))?;
            if !matches!(args.output.format(), Format::Table | Format::Wide) {
                return args.output.print(&shown, execution);
            }
            // AWS's own service has no such operation, and a server of an earlier version neither.
            let lineage = client.call("Reveille.DescribeLineage", &json!({"executionArn": arn, "maxResults": 10}));
            let lineage = lineage.map(|lineage| relatives(&lineage)).unwrap_or_default();
            args.output.print(&shown, |shown| execution(shown) + &lineage)
        }
        Named::Machine(arn) => {
            args.output.print(&client.call("DescribeStateMachine", &json!({"stateMachineArn": arn}))?, machine)
        }
    }
}

/// `DescribeExecution`'s answer for people.
pub(super) fn execution(shown: &Value) -> String {
    let status = text(shown, "status");
    let took = match (time::parse(&shown["startDate"]), time::parse(&shown["stopDate"])) {
        (Some(from), Some(to)) => Some(time::duration(to.since(from))),
        _ => None,
    };
    fields(&[
        ("execution", maybe(shown, "executionArn")),
        ("machine", maybe(shown, "stateMachineArn")),
        ("status", Some(status_tone(&status).paint(&status))),
        ("started", Some(time::moment(&shown["startDate"]))),
        ("stopped", shown.get("stopDate").map(time::moment)),
        ("took", took),
        ("redriven", shown["redriveCount"].as_u64().filter(|n| *n > 0).map(|n| format!("{n} times"))),
        ("error", maybe(shown, "error")),
        ("cause", maybe(shown, "cause")),
        ("input", maybe(shown, "input")),
        ("output", maybe(shown, "output")),
    ])
}

/// `Reveille.DescribeLineage`'s answer for people: a line for each that is there.
fn relatives(lineage: &Value) -> String {
    let names = |of: &str| {
        let all = lineage[of].as_array().map(Vec::as_slice).unwrap_or_default();
        let named = |one: &Value| names::of_arn(&text(one, "executionArn"));
        (!all.is_empty()).then(|| all.iter().map(named).collect::<Vec<_>>().join(", "))
    };
    let forked = lineage
        .get("forkedFrom")
        .map(|origin| format!("{} at {}", names::of_arn(&text(origin, "executionArn")), text(origin, "stateName")));
    let parent = lineage.get("parent").map(|parent| names::of_arn(&text(parent, "executionArn")));
    let shown =
        [("forked from", forked), ("parent", parent), ("forks", names("forks")), ("children", names("children"))];
    if shown.iter().all(|(_, value)| value.is_none()) { String::new() } else { format!("\n{}", fields(&shown)) }
}

fn machine(shown: &Value) -> String {
    let definition = shown["definition"].as_str().unwrap_or_default();
    let pretty = serde_json::from_str::<Value>(definition).and_then(|d| serde_json::to_string_pretty(&d));
    let pretty = pretty.unwrap_or_else(|_| definition.to_owned());
    fields(&[
        ("machine", maybe(shown, "stateMachineArn")),
        ("type", maybe(shown, "type")),
        ("status", maybe(shown, "status")),
        ("created", Some(time::moment(&shown["creationDate"]))),
        ("revision", maybe(shown, "revisionId")),
        ("description", maybe(shown, "description")),
    ]) + "\n"
        + &visible(&pretty)
}
