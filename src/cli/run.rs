//! `reveille run FILE`: one execution, here, with its progress.

use super::{CliError, input, local};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Definition: a file, or - for standard input
    file: String,
    /// Input: JSON, or @FILE
    #[arg(long, short, default_value = "{}", value_name = "JSON")]
    input: String,
    /// Send tasks to this broker instead of the one in this process
    #[arg(long, value_name = "URL")]
    amqp: Option<String>,
    /// Keep the execution in this store [default: in memory]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let _definition = input::file(&args.file)?;
    let _input = input::json(&args.input, "the input")?;
    let _ = (&args.amqp, &args.store);
    Err(local::absent("run"))
}
