//! `reveille succeed TOKEN`, `fail TOKEN`, `heartbeat TOKEN`: a person as the worker.

use serde_json::json;

use super::client::ServerArgs;
use super::output::line;
use super::{CliError, input};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille succeed TOKEN --result '{\"name\": \"Vera Holm\"}'
  reveille succeed - --result @answer.json < token        keeps the token out of the shell's history")]
pub(super) struct SucceedArgs {
    /// Task token (reveille tasks shows them); - reads it from standard input
    token: String,
    /// The task's result: JSON, or @FILE
    #[arg(long, short, default_value = "{}", alias = "output", short_alias = 'o', value_name = "JSON")]
    result: String,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille fail TOKEN --error Friend.Busy --cause 'ask me again next week'")]
pub(super) struct FailArgs {
    /// Task token (reveille tasks shows them); - reads it from standard input
    token: String,
    /// Error name, for Retry and Catch
    #[arg(long, short)]
    error: Option<String>,
    /// The reason in plain text
    #[arg(long, short)]
    cause: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille heartbeat TOKEN")]
pub(super) struct HeartbeatArgs {
    /// Task token (reveille tasks shows them); - reads it from standard input
    token: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn succeed(args: &SucceedArgs) -> Result<(), CliError> {
    let output = input::json(&args.result, "the result")?;
    args.server.client()?.call("SendTaskSuccess", &json!({"taskToken": token(&args.token)?, "output": output}))?;
    line("the task has succeeded")
}

pub(super) fn fail(args: &FailArgs) -> Result<(), CliError> {
    let mut request = json!({"taskToken": token(&args.token)?});
    for (name, value) in [("error", &args.error), ("cause", &args.cause)] {
        if let Some(value) = value {
            request[name] = json!(value);
        }
    }
    args.server.client()?.call("SendTaskFailure", &request)?;
    line("the task has failed")
}

pub(super) fn heartbeat(args: &HeartbeatArgs) -> Result<(), CliError> {
    args.server.client()?.call("SendTaskHeartbeat", &json!({"taskToken": token(&args.token)?}))?;
    line("the task's heartbeat clock was reset")
}

/// Standard input keeps a token out of the shell's history.
fn token(argument: &str) -> Result<String, CliError> {
    let token = input::text(argument)?.trim().to_owned();
    if token.is_empty() {
        Err(CliError::usage("the token is empty").hint("reveille tasks shows the tokens of waiting tasks"))
    } else {
        Ok(token)
    }
}
