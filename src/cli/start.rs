//! `reveille start MACHINE`.

use std::io::IsTerminal;

use serde_json::json;

use super::client::ServerArgs;
use super::output::{OutputArgs, fields, note, text};
use super::{CliError, describe, follow, input, names, time};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille start art-event --input @examples/art-event/input.json --name open-studios
  reveille start art-event --wait                      live view, then the result
  reveille start art-event -o name                     only its ARN, for scripts

Exit codes with --wait: 0 it succeeded, 1 it ended otherwise. Ctrl-C ends the view, not the execution")]
pub(super) struct Args {
    /// State machine: name or ARN (also of a version or an alias)
    machine: String,
    /// Input: JSON, @FILE, or - for standard input
    #[arg(long, short, default_value = "{}", value_name = "JSON")]
    input: String,
    /// Name of the execution [default: a new one]
    #[arg(long, short_alias = 'n')]
    name: Option<String>,
    /// Wait for its end, with a live view on a terminal; exit 1 where it does not succeed
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
    let arn = text(&started, "executionArn");
    note(&arn);
    let ended = if std::io::stderr().is_terminal() {
        note("Ctrl-C leaves it running; reveille watch shows it again");
        follow::execution(&client, &arn)?
    } else {
        follow::end(&client, &arn)?
    };
    args.output.print(&ended, describe::execution)?;
    if text(&ended, "status") == "SUCCEEDED" { Ok(()) } else { Err(CliError::Reported) }
}
