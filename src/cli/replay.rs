//! `reveille replay`: recorded executions are decided again by the core, against their own definition or a new one.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::output::{OutputArgs, Tone, text, visible};
use super::{CliError, input, list, names};
use crate::api::history::{self, View};
use crate::asl::{self, MachineType};
use crate::interpreter::event::Entry;
use crate::replay::{Difference, End, Recorded, Report, replay};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
A replay gives the recorded answers of workers to the definition again, at the times at which they came. Waits take no \
time, nothing is sent, and nothing is stored. Times, identifiers made by chance and the task's token do not count as \
differences. It stops at the results of a Distributed Map, which a history does not tell.

A FILE is the answer of GetExecutionHistory with its data (of this server, or of AWS), or what --save wrote.

Examples:
  reveille replay art-event:open-studios
  reveille replay --last 1000 --machine art-event --definition new.asl.json     before a deployment
  reveille replay history.json --definition machine.asl.json
  aws stepfunctions get-execution-history --execution-arn ARN > history.json

Exit codes: 0 all are the same, 1 there is a difference, or none could be replayed")]
pub(super) struct Args {
    /// Executions (ARN, or MACHINE:NAME), or files with histories
    #[arg(value_name = "EXECUTION|FILE", required_unless_present = "last")]
    recorded: Vec<String>,
    /// Definition to replay against [default: each execution's own]
    #[arg(long, short, value_name = "FILE")]
    definition: Option<String>,
    /// The newest N executions, of all machines or of --machine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    last: Option<u32>,
    /// State machine of --last: name or ARN
    #[arg(long, short, requires = "last")]
    machine: Option<String>,
    /// Write the record of the execution to a file, and replay it
    #[arg(long, value_name = "FILE")]
    save: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A record and its definition.
struct Tape {
    name: String,
    arn: Option<String>,
    events: Vec<Value>,
    definition: Option<String>,
}

/// The outcome of one replay.
struct Played {
    name: String,
    result: Result<Report, String>,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let definition = args.definition.as_deref().map(input::file).transpose()?;
    if let Some(text) = &definition {
        parsed(text).map_err(|why| CliError::failed(why).hint("reveille validate FILE shows each problem"))?;
    }
    let client = args.server.client()?;
    let mut wanted: Vec<String> = args.recorded.clone();
    if let Some(last) = args.last {
        let newest = list::newest(&client, args.machine.as_deref(), &list::Chosen::default(), last)?;
        wanted.extend(newest.iter().map(|execution| text(execution, "executionArn")));
    }
    let began = Instant::now();
    let mut all = Vec::with_capacity(wanted.len());
    for name in &wanted {
        let tape = read(&client, name)?;
        if let Some(file) = &args.save {
            save(file, &tape)?;
        }
        let result = play(&tape, definition.as_deref());
        all.push(Played { name: tape.name, result });
    }
    let answer = answer(&all);
    args.output.print(&answer, |_| shown(&all, began.elapsed()))?;
    let replayed = all.iter().filter(|played| played.result.is_ok()).count();
    let differs = all.iter().any(|played| matches!(&played.result, Ok(Report { end: End::Different(_), .. })));
    if differs || (replayed == 0 && !all.is_empty()) { Err(CliError::Reported) } else { Ok(()) }
}

fn read(client: &Client, name: &str) -> Result<Tape, CliError> {
    if name == "-" || Path::new(name).is_file() {
        return of_file(name);
    }
    let arn = names::execution(client, name)?;
    let asked = json!({"executionArn": arn});
    let machine = client.call("DescribeStateMachineForExecution", &asked)?;
    let request = json!({"executionArn": arn, "includeExecutionData": true});
    let events = client.pages("GetExecutionHistory", request, "events", usize::MAX)?;
    let name = names::of_arn(&arn);
    Ok(Tape { name, arn: Some(arn), events, definition: Some(text(&machine, "definition")) })
}

fn of_file(file: &str) -> Result<Tape, CliError> {
    let mut content: Value = serde_json::from_str(&input::file(file)?)
        .map_err(|why| CliError::failed(format!("{file} is not JSON: {why}")))?;
    let Some(Value::Array(events)) = content.get_mut("events").map(Value::take) else {
        return Err(CliError::failed(format!("{file} has no list 'events'"))
            .hint("the answer of GetExecutionHistory: reveille history EXECUTION --output json"));
    };
    let own = |name: &str| content.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(Tape { name: file.to_owned(), arn: own("executionArn"), definition: own("definition"), events })
}

fn save(file: &str, tape: &Tape) -> Result<(), CliError> {
    let record = json!({"executionArn": tape.arn, "definition": tape.definition, "events": tape.events});
    let text = serde_json::to_string_pretty(&record).unwrap_or_default();
    std::fs::write(file, text).map_err(|why| CliError::failed(format!("cannot write {file}: {why}")))
}

fn parsed(definition: &str) -> Result<std::sync::Arc<asl::model::Machine>, String> {
    let machine = asl::parse(definition, MachineType::Standard).map_err(|faults| faults.to_string())?;
    Ok(machine.machine)
}

fn play(tape: &Tape, definition: Option<&str>) -> Result<Report, String> {
    let definition =
        definition.or(tape.definition.as_deref()).ok_or("the file has no definition: give one with --definition")?;
    let machine = parsed(definition)?;
    let recorded = Recorded::read(tape.arn.as_deref(), &tape.events).map_err(|why| why.to_string())?;
    let show = |entry: &Entry| history::render(entry, View { data: true, parameters: true, region: "" });
    Ok(replay(&machine, &recorded, &show))
}

fn answer(all: &[Played]) -> Value {
    let of_one = |Played { name, result }: &Played| match result {
        Err(why) => json!({"execution": name, "result": "NOT_REPLAYED", "reason": why}),
        Ok(Report { same, recorded, end }) => {
            let counts = json!({"execution": name, "eventsSame": same, "eventsRecorded": recorded});
            let more = match end {
                End::Same => json!({"result": "SAME"}),
                End::Stopped(why) => json!({"result": "STOPPED", "reason": why}),
                End::Different(difference) => {
                    let Difference { recorded, replayed, at } = &**difference;
                    json!({"result": "DIFFERENT", "at": at, "recorded": recorded, "replayed": replayed})
                }
            };
            merged(counts, more)
        }
    };
    json!({"replays": all.iter().map(of_one).collect::<Vec<_>>()})
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

/// A line for each, and the difference below it.
fn shown(all: &[Played], took: std::time::Duration) -> String {
    let mut lines = Vec::new();
    let mut counts = [0_usize; 4];
    for Played { name, result } in all {
        let (count, word, told) = match result {
            Ok(Report { same, end: End::Same, .. }) => (0, Tone::Good.paint("same"), format!("{same} events")),
            Ok(Report { same, recorded, end: End::Different(_) }) => {
                (1, Tone::Bad.paint("different"), format!("at event {} of {recorded}", same + 1))
            }
            Ok(Report { same, recorded, end: End::Stopped(why) }) => (
                2,
                Tone::Waiting.paint("stopped"),
                format!("after {same} of {recorded} events that are the same: {why}"),
            ),
            Err(why) => (3, Tone::Waiting.paint("not replayed"), why.clone()),
        };
        counts[count] += 1;
        lines.push(format!("{name}  {word}  {told}"));
        if let Ok(Report { end: End::Different(difference), .. }) = result {
            lines.extend(of_difference(difference));
        }
    }
    if all.len() > 1 {
        let [same, different, stopped, not] = counts;
        let ms = took.as_millis();
        lines.push(format!("{same} same, {different} different, {stopped} stopped, {not} not replayed; {ms} ms"));
    }
    lines.join("\n")
}

fn of_difference(difference: &Difference) -> Vec<String> {
    let Difference { recorded, replayed, at } = difference;
    let mut lines = Vec::new();
    for (label, event, none) in [
        ("recorded", recorded, "no further event"),
        ("replayed", replayed, "no event: the definition waits for something else"),
    ] {
        let told = match event {
            None => none.to_owned(),
            Some(event) => {
                let name = super::history::subject_of(event);
                let member = member(event, at);
                format!("{} {name}{member}", text(event, "type"))
            }
        };
        lines.push(format!("  {} {}", Tone::Faint.paint(label), visible(&told)));
    }
    lines
}

/// The member that differs, and its value. A member may lie in a JSON text of the event.
fn member(event: &Value, at: &str) -> String {
    if at.is_empty() || at == "/type" {
        return String::new();
    }
    let mut value = event.clone();
    for name in at.split('/').skip(1) {
        if let Value::String(inner) = &value
            && let Ok(inner) = serde_json::from_str::<Value>(inner)
        {
            value = inner;
        }
        let next = match &value {
            Value::Array(items) => name.parse().ok().and_then(|index: usize| items.get(index)),
            other => other.get(name),
        };
        value = next.cloned().unwrap_or(Value::Null);
    }
    format!("\n           {at} = {value}")
}

#[cfg(test)]
mod tests;
