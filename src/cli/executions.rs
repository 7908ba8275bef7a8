//! `reveille stop EXECUTION`, `reveille redrive EXECUTION`.

use serde_json::json;

use super::client::ServerArgs;
use super::output::{OutputArgs, fields};
use super::{CliError, names, time};

#[derive(Debug, clap::Args)]
pub(super) struct StopArgs {
    /// Execution: ARN, or MACHINE:NAME
    execution: String,
    /// Error name to record
    #[arg(long, short)]
    error: Option<String>,
    /// The reason in plain text
    #[arg(long, short)]
    cause: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct RedriveArgs {
    /// Execution: ARN, or MACHINE:NAME
    execution: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn stop(args: &StopArgs) -> Result<(), CliError> {
    let client = args.server.client()?;
    let mut request = json!({"executionArn": names::execution(&client, &args.execution)?});
    for (name, value) in [("error", &args.error), ("cause", &args.cause)] {
        if let Some(value) = value {
            request[name] = json!(value);
        }
    }
    let answer = client.call("StopExecution", &request)?;
    args.output.print(&answer, |answer| fields(&[("stopped", Some(time::moment(&answer["stopDate"])))]))
}

pub(super) fn redrive(args: &RedriveArgs) -> Result<(), CliError> {
    let client = args.server.client()?;
    let arn = names::execution(&client, &args.execution)?;
    let answer = client.call("RedriveExecution", &json!({"executionArn": arn}))?;
    args.output.print(&answer, |answer| fields(&[("redriven", Some(time::moment(&answer["redriveDate"])))]))
}
