//! `reveille start MACHINE`.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::output::{OutputArgs, fields, text};
use super::{CliError, describe, input, names, time};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// State machine: name or ARN (also of a version or an alias)
    machine: String,
    /// Input: JSON, @FILE, or - for standard input
    #[arg(long, short, default_value = "{}", value_name = "JSON")]
    input: String,
    /// Name of the execution [default: a new one]
    #[arg(long, short)]
    name: Option<String>,
    /// Wait for its end; exit 1 where it does not succeed
    #[arg(long, short)]
    wait: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let client = args.server.client()?;
    let input = input::json(&args.input, "the input")?;
    let machine = names::machine(&client, &args.machine)?;
    let mut request = json!({"stateMachineArn": machine, "input": input});
    if let Some(name) = &args.name {
        request["name"] = json!(name);
    }
    let started = client.call("StartExecution", &request)?;
    if !args.wait {
        return args.output.print(&started, |started| {
            fields(&[
                ("execution", Some(text(started, "executionArn"))),
                ("started", Some(time::moment(&started["startDate"]))),
            ])
        });
    }
    let ended = wait(&client, &text(&started, "executionArn"))?;
    args.output.print(&ended, describe::execution)?;
    if text(&ended, "status") == "SUCCEEDED" { Ok(()) } else { Err(CliError::Reported) }
}

/// Asks until the execution has ended: soon at first, then every second.
fn wait(client: &Client, execution: &str) -> Result<Value, CliError> {
    let mut pause = Duration::from_millis(50);
    loop {
        let shown = client.call("DescribeExecution", &json!({"executionArn": execution}))?;
        if text(&shown, "status") != "RUNNING" {
            return Ok(shown);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}
