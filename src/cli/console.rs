//! `reveille console`: the address of the console, with a code that signs in once.

use serde_json::json;

use super::CliError;
use super::client::ServerArgs;
use super::output::{line, note, text};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The address has a code for the key of AWS_ACCESS_KEY_ID, good once and for two minutes. No request
has the code in its address.

Examples:
  reveille console
  xdg-open \"$(reveille console)\"")]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let client = args.server.client()?;
    let answer = client.call("Reveille.CreateSignIn", &json!({}))?;
    let code = text(&answer, "code");
    if code.is_empty() {
        note("the server has no access keys: its console answers to its own machine");
        return line(&format!("{}/console", client.endpoint()));
    }
    note("good once, and for two minutes");
    line(&format!("{}/console/sign-in#{code}", client.endpoint()))
}
