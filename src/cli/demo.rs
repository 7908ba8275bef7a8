//! `reveille demo`: the art event, live.

use super::{CliError, local};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run it over this broker, with whoever consumes its queues
    #[arg(long, value_name = "URL")]
    amqp: Option<String>,
    /// With --amqp: answer the tasks in this process, over the broker
    #[arg(long, requires = "amqp")]
    with_workers: bool,
    /// Do not ask: answer for the friend too
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let _ = (&args.amqp, args.with_workers, args.yes);
    Err(local::absent("demo"))
}
