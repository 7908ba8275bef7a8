//! `reveille watch EXECUTION`.

use super::client::ServerArgs;
use super::output::{OutputArgs, text};
use super::{CliError, describe, follow, names};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille watch art-event:open-studios
  reveille watch $(reveille list art-event --status running -n 1 -o name)

Exit codes: 0 it succeeded, 1 it ended otherwise. Ctrl-C ends the view, not the execution")]
pub(super) struct Args {
    /// Execution: ARN, or MACHINE:NAME
    execution: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let client = args.server.client()?;
    let arn = names::execution(&client, &args.execution)?;
    let ended = follow::execution(&client, &arn)?;
    args.output.print(&ended, describe::execution)?;
    if text(&ended, "status") == "SUCCEEDED" { Ok(()) } else { Err(CliError::Reported) }
}
