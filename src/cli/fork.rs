//! `reveille fork EXECUTION --at STATE`.

use serde_json::json;

use super::client::ServerArgs;
use super::output::{OutputArgs, fields, text};
use super::{CliError, input, names, time};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille fork fulfil-order:order-0815 --at 'Charge the card'
  reveille fork fulfil-order:order-0815 --at 'Fraud risk?' --input '{\"risk\": 12}'
  reveille fork order-0815 --at Poll --event 41        of several visits the one that this event began

Input and variables are those that were recorded when the state was entered, unless others are given. The execution
that is forked stays as it is. reveille describe shows what an execution was forked from, and its forks")]
pub(super) struct Args {
    /// The execution to fork: ARN, or MACHINE:NAME
    execution: String,
    /// The state of the top level at which the new execution begins
    #[arg(long, value_name = "STATE")]
    at: String,
    /// The event that entered the state [default: the last time]
    #[arg(long, value_name = "ID")]
    event: Option<u64>,
    /// Input of the state: JSON, @FILE, or - for standard input [default: as it was]
    #[arg(long, short, value_name = "JSON")]
    input: Option<String>,
    /// All variables: a JSON object, @FILE, or - [default: as they were]
    #[arg(long, value_name = "JSON")]
    variables: Option<String>,
    /// Name of the new execution [default: a new one]
    #[arg(long, short_alias = 'n')]
    name: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let client = args.server.client()?;
    let mut request = json!({"executionArn": names::execution(&client, &args.execution)?, "stateName": args.at});
    if let Some(event) = args.event {
        request["eventId"] = json!(event);
    }
    if let Some(name) = &args.name {
        request["name"] = json!(name);
    }
    for (member, given, what) in [("input", &args.input, "the input"), ("variables", &args.variables, "the variables")]
    {
        if let Some(given) = given {
            request[member] = json!(input::json(given, what)?);
        }
    }
    let started = client.call("Reveille.ForkExecution", &request)?;
    args.output.print(&started, |started| {
        fields(&[
            ("execution", Some(text(started, "executionArn"))),
            ("started", Some(time::moment(&started["startDate"]))),
        ])
    })
}
