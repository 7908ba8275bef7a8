//! `reveille list [MACHINE]`.

use clap::ValueEnum;
use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::output::{OutputArgs, Table, Tone, status_tone, text};
use super::{CliError, names, time};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// State machine: name or ARN [default: all of them]
    machine: Option<String>,
    /// Only executions with this status
    #[arg(long, short, value_enum)]
    status: Option<Status>,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Status {
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
    let executions = of(&args.server.client()?, args.machine.as_deref(), args.status, args.limit)?;
    args.output.print(&json!({"executions": executions}), table)
}

/// The newest executions of a machine, or of all.
pub(super) fn newest(client: &Client, machine: Option<&str>, most: u32) -> Result<Vec<Value>, CliError> {
    of(client, machine, None, most)
}

fn of(client: &Client, machine: Option<&str>, status: Option<Status>, most: u32) -> Result<Vec<Value>, CliError> {
    let limit = usize::try_from(most).unwrap_or(usize::MAX);
    let machines = if let Some(name) = machine {
        vec![names::machine(client, name)?]
    } else {
        let all = client.pages("ListStateMachines", json!({}), "stateMachines", 1_000)?;
        // Express executions are not listed.
        all.iter()
            .filter(|machine| machine["type"] != "EXPRESS")
            .map(|machine| text(machine, "stateMachineArn"))
            .collect()
    };
    let mut executions = Vec::new();
    for machine in machines {
        let mut request = json!({"stateMachineArn": machine});
        if let Some(status) = status {
            request["statusFilter"] = json!(status.aws());
        }
        executions.extend(client.pages("ListExecutions", request, "executions", limit)?);
    }
    executions.sort_by(|a, b| {
        b["startDate"].as_f64().unwrap_or_default().total_cmp(&a["startDate"].as_f64().unwrap_or_default())
    });
    executions.truncate(limit);
    Ok(executions)
}

fn table(answer: &Value) -> String {
    let mut table = Table::new(&["EXECUTION", "STATUS", "STARTED (UTC)", "TOOK"]);
    for execution in answer["executions"].as_array().into_iter().flatten() {
        let status = text(execution, "status");
        let took = match (time::parse(&execution["startDate"]), time::parse(&execution["stopDate"])) {
            (Some(from), Some(to)) => time::duration(to.since(from)),
            _ => String::new(),
        };
        let tone = status_tone(&status);
        table.row(vec![
            (names::name_of(execution), Tone::Plain),
            (status, tone),
            (time::moment(&execution["startDate"]), Tone::Plain),
            (took, Tone::Plain),
        ]);
    }
    if table.is_empty() { "no executions".to_owned() } else { table.render() }
}
