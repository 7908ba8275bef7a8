//! `reveille list [MACHINE]`; and the choice of executions by filters, for the commands that act on many.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::output::{Format, OutputArgs, Table, Tone, status_tone, text};
use super::{CliError, follow, names, time};
use crate::clock::{Clock, SystemClock};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille list
  reveille list art-event --status failed,timed-out --since 1d
  reveille list --watch
  reveille list --status running -o name | xargs -n 1 reveille describe")]
pub(super) struct Args {
    /// State machine: name or ARN [default: all of them]
    machine: Option<String>,
    #[command(flatten)]
    chosen: Chosen,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Draw the list again and again
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Which executions.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Chosen {
    /// Only executions with one of these statuses
    #[arg(long, short, value_enum, value_delimiter = ',')]
    pub status: Vec<Status>,
    /// Only executions that were started within this time: 90s, 15m, 12h, 7d
    #[arg(long, value_name = "AGE", value_parser = time::age)]
    pub since: Option<Duration>,
    /// Only executions that were started longer ago than this
    #[arg(long, value_name = "AGE", value_parser = time::age)]
    pub older_than: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Status {
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
    PendingRedrive,
}

impl Status {
    const fn aws(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted => "ABORTED",
            Self::PendingRedrive => "PENDING_REDRIVE",
        }
    }
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let client = args.server.client()?;
    let find = || newest(&client, args.machine.as_deref(), &args.chosen, args.limit);
    let is_wide = args.output.format() == Format::Wide;
    if args.watch {
        return follow::list(|| Ok(table(&find()?, is_wide)));
    }
    args.output.print(&json!({"executions": find()?}), |answer| {
        table(answer["executions"].as_array().map_or(&[], Vec::as_slice), is_wide)
    })
}

/// The newest executions of a machine, or of all, that fit.
pub(super) fn newest(
    client: &Client,
    machine: Option<&str>,
    chosen: &Chosen,
    most: u32,
) -> Result<Vec<Value>, CliError> {
    let limit = usize::try_from(most).unwrap_or(usize::MAX);
    let machines = if let Some(name) = machine {
        vec![names::machine(client, name)?]
    } else {
        let all = client.pages("ListStateMachines", json!({}), "stateMachines", 100_000)?;
        // Express executions are not listed.
        all.iter()
            .filter(|machine| machine["type"] != "EXPRESS")
            .map(|machine| text(machine, "stateMachineArn"))
            .collect()
    };
    let now = SystemClock.now();
    let age = |execution: &Value| time::parse(&execution["startDate"]).map(|at| now.since(at)).unwrap_or_default();
    let statuses: Vec<Option<Status>> =
        if chosen.status.is_empty() { vec![None] } else { chosen.status.iter().copied().map(Some).collect() };
    let mut executions = Vec::new();
    for machine in machines {
        for status in &statuses {
            let mut request = json!({"stateMachineArn": machine});
            if let Some(status) = status {
                request["statusFilter"] = json!(status.aws());
            }
            let mut kept = 0;
            client.each("ListExecutions", request, "executions", limit, |execution| {
                // The newest come first.
                if chosen.since.is_some_and(|since| age(&execution) > since) {
                    return false;
                }
                if chosen.older_than.is_none_or(|older| age(&execution) > older) {
                    executions.push(execution);
                    kept += 1;
                }
                kept < limit
            })?;
        }
    }
    executions.sort_by(|a, b| {
        b["startDate"].as_f64().unwrap_or_default().total_cmp(&a["startDate"].as_f64().unwrap_or_default())
    });
    executions.truncate(limit);
    Ok(executions)
}

fn table(executions: &[Value], is_wide: bool) -> String {
    let mut head = vec!["EXECUTION", "STATUS", "STARTED (UTC)", "TOOK"];
    if is_wide {
        head.push("ARN");
    }
    let mut table = Table::new(&head);
    for execution in executions {
        let status = text(execution, "status");
        let took = match (time::parse(&execution["startDate"]), time::parse(&execution["stopDate"])) {
            (Some(from), Some(to)) => time::duration(to.since(from)),
            _ => String::new(),
        };
        let tone = status_tone(&status);
        let mut row = vec![
            (names::name_of(execution), Tone::Plain),
            (status, tone),
            (time::moment(&execution["startDate"]), Tone::Plain),
            (took, Tone::Plain),
        ];
        if is_wide {
            row.push((text(execution, "executionArn"), Tone::Faint));
        }
        table.row(row);
    }
    if table.is_empty() { "no executions".to_owned() } else { table.render() }
}
