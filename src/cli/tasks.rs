//! `reveille tasks [EXECUTION]`: the inbox.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::output::{Format, OutputArgs, Table, Tone, last_part, text};
use super::{CliError, follow, names, time};
use crate::clock::{Clock, SystemClock, Timestamp};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille tasks
  reveille tasks --queue photographer-friend --older-than 1d
  reveille tasks --machine art-event --watch
  reveille succeed $(reveille tasks art-event:open-studios -o name) --result '{\"name\": \"Vera Holm\"}'

-o name prints task tokens: their holder can end the tasks")]
pub(super) struct Args {
    /// Only of this execution: ARN, or MACHINE:NAME
    execution: Option<String>,
    /// Only of this state machine: name or ARN
    #[arg(long, short, conflicts_with = "execution")]
    machine: Option<String>,
    /// Only those that wait for this queue, or another destination in the words of the list
    #[arg(long, short, conflicts_with = "execution")]
    queue: Option<String>,
    /// Only tasks that have waited longer than this: 90s, 15m, 12h, 7d
    #[arg(long, value_name = "AGE", value_parser = time::age, conflicts_with = "execution")]
    older_than: Option<Duration>,
    /// Order: by age, or by the time that is left
    #[arg(long, value_enum, default_value_t = Sort::Age)]
    sort: Sort,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Draw the list again and again
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The oldest first
    Age,
    /// The next timeout first
    Due,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let client = args.server.client()?;
    let is_wide = args.output.format() == Format::Wide;
    if args.watch {
        return follow::list(|| Ok(table(&json!({"tasks": find(args, &client)?}), SystemClock.now(), is_wide)));
    }
    let answer = json!({"tasks": find(args, &client)?});
    args.output.print(&answer, |answer| table(answer, SystemClock.now(), is_wide))
}

fn find(args: &Args, client: &Client) -> Result<Vec<Value>, CliError> {
    let mut request = json!({});
    if let Some(name) = &args.execution {
        request["executionArn"] = json!(names::execution(client, name)?);
    }
    if let Some(name) = &args.machine {
        request["stateMachineArn"] = json!(names::machine(client, name)?);
    }
    if let Some(queue) = &args.queue {
        request["destination"] = json!(queue);
    }
    if let Some(age) = args.older_than {
        request["waitedSeconds"] = json!(u32::try_from(age.as_secs()).unwrap_or(u32::MAX));
    }
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    // The longest waiting come first; another order needs all of them.
    let read = if args.sort == Sort::Age { limit } else { usize::MAX };
    let mut tasks = client.pages("Reveille.ListWaitingTasks", request, "tasks", read)?;
    if args.sort == Sort::Due {
        let due = |task: &Value| task["due"].as_f64().unwrap_or(f64::INFINITY);
        tasks.sort_by(|a, b| due(a).total_cmp(&due(b)));
        tasks.truncate(limit);
    }
    Ok(tasks)
}

/// The token comes last and whole, so that it can be copied.
pub(super) fn table(answer: &Value, now: Timestamp, is_wide: bool) -> String {
    let mut head = vec!["STATE", "EXECUTION", "WAITS", "UNTIL", "ON"];
    if is_wide {
        head.extend(["ATTEMPT", "HEARTBEAT", "RESOURCE"]);
    }
    head.push("TOKEN");
    let mut table = Table::new(&head);
    for task in answer["tasks"].as_array().into_iter().flatten() {
        let ago = |name: &str| time::parse(&task[name]).map(|at| time::duration(now.since(at)));
        let until = time::parse(&task["due"])
            .map_or_else(|| "no limit".to_owned(), |due| format!("{} left", time::duration(due.since(now))));
        let on = text(task, "destination");
        let on =
            if task["submitted"].as_bool() == Some(false) { format!("{on} (not with the broker yet)") } else { on };
        let mut row = vec![
            (text(task, "stateName"), Tone::Waiting),
            (last_part(&text(task, "executionArn")).to_owned(), Tone::Plain),
            (ago("since").unwrap_or_default(), Tone::Plain),
            (until, Tone::Faint),
            (on, Tone::Plain),
        ];
        if is_wide {
            let heartbeat = ago("lastHeartbeat").map_or_else(|| "none".to_owned(), |ago| format!("{ago} ago"));
            row.extend([text(task, "attempt"), heartbeat, text(task, "resource")].map(|text| (text, Tone::Plain)));
        }
        row.push((text(task, "taskToken"), Tone::Faint));
        table.row(row);
    }
    if table.is_empty() { "nothing waits".to_owned() } else { table.render() }
}
