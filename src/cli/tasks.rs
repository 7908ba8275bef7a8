//! `reveille tasks [EXECUTION]`: the inbox.

use serde_json::{Value, json};

use super::client::ServerArgs;
use super::output::{OutputArgs, Table, Tone, last_part, text};
use super::{CliError, names, time};
use crate::clock::{Clock, SystemClock, Timestamp};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only of this execution: ARN, or MACHINE:NAME
    execution: Option<String>,
    /// Only of this state machine: its name or ARN
    #[arg(long, short = 'm', conflicts_with = "execution")]
    machine: Option<String>,
    /// Only those that wait for this queue, or another destination
    #[arg(long, short = 'q', conflicts_with = "execution")]
    queue: Option<String>,
    /// Only those that have waited for so many seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "execution")]
    waited: Option<u32>,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let client = args.server.client()?;
    let mut request = json!({"maxResults": args.limit});
    if let Some(name) = &args.execution {
        request["executionArn"] = json!(names::execution(&client, name)?);
    }
    if let Some(name) = &args.machine {
        request["stateMachineArn"] = json!(names::machine(&client, name)?);
    }
    if let Some(queue) = &args.queue {
        request["destination"] = json!(queue);
    }
    if let Some(seconds) = args.waited {
        request["waitedSeconds"] = json!(seconds);
    }
    let answer = client.call("Reveille.ListWaitingTasks", &request)?;
    args.output.print(&answer, |answer| table(answer, SystemClock.now()))
}

/// The token comes last and whole, so that it can be copied.
pub(super) fn table(answer: &Value, now: Timestamp) -> String {
    let mut table = Table::new(&["STATE", "EXECUTION", "WAITS", "UNTIL", "ON", "TOKEN"]);
    for task in answer["tasks"].as_array().into_iter().flatten() {
        let since = time::parse(&task["since"]).map_or_else(String::new, |since| time::duration(now.since(since)));
        let until = time::parse(&task["due"])
            .map_or_else(|| "no limit".to_owned(), |due| format!("{} left", time::duration(due.since(now))));
        let on = text(task, "destination");
        let on =
            if task["submitted"].as_bool() == Some(false) { format!("{on} (not with the broker yet)") } else { on };
        table.row(vec![
            (text(task, "stateName"), Tone::Waiting),
            (last_part(&text(task, "executionArn")).to_owned(), Tone::Plain),
            (since, Tone::Plain),
            (until, Tone::Faint),
            (on, Tone::Plain),
            (text(task, "taskToken"), Tone::Faint),
        ]);
    }
    if table.is_empty() {
        return "nothing waits".to_owned();
    }
    let more = if answer["nextToken"].is_string() { "(more wait: see --limit, --machine and --queue)\n" } else { "" };
    format!("{}{more}", table.render())
}
