//! `reveille call OPERATION [INPUT]`: any operation of the API, also those without a command of their own.

use serde_json::{Value, json};

use super::client::ServerArgs;
use super::output::line;
use super::{CliError, input};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille call list-activities
  reveille call describe-map-run '{\"mapRunArn\": \"ARN\"}'
  reveille call test-state @request.json")]
pub(super) struct Args {
    /// Operation as AWS names it: DescribeMapRun, or describe-map-run
    operation: String,
    /// Its input, JSON: the text itself, @FILE, or - for standard input
    #[arg(default_value = "{}")]
    input: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let text = input::json(&args.input, "the input")?;
    let input: Value =
        serde_json::from_str(&text).map_err(|why| CliError::usage(format!("the input is not JSON: {why}")))?;
    if !input.is_object() {
        let hint = json!({"executionArn": "arn:…"});
        return Err(CliError::usage("the input of an operation is a JSON object").hint(format!("such as {hint}")));
    }
    let answer = args.server.client()?.call(&operation(&args.operation), &input)?;
    line(&serde_json::to_string_pretty(&answer).unwrap_or_default())
}

/// `describe-map-run` as `DescribeMapRun`; a name that has capitals already, as it is.
fn operation(name: &str) -> String {
    if name.contains(char::is_uppercase) {
        return name.to_owned();
    }
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect::<String>())
    };
    name.split(['-', '_']).map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_may_be_written_as_the_aws_cli_writes_it() {
        for (given, meant) in [
            ("describe-map-run", "DescribeMapRun"),
            ("list_activities", "ListActivities"),
            ("DescribeMapRun", "DescribeMapRun"),
            ("Reveille.ListWaitingTasks", "Reveille.ListWaitingTasks"),
            ("", ""),
        ] {
            assert_eq!(operation(given), meant);
        }
    }
}
