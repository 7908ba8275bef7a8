//! `reveille health`: for people, and for a container's health check.

use super::CliError;
use super::client::ServerArgs;
use super::output::line;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille health
  reveille health --endpoint https://reveille.example.com")]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    match args.server.client()?.get("/readyz")? {
        (200, _) => line("ready"),
        (status, text) => Err(CliError::failed(format!("not ready ({status}): {}", text.trim()))),
    }
}
