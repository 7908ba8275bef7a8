//! `reveille bench`: callback round trips, beside the bare broker's echo rate.

use super::{CliError, local};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The broker: amqp://user:password@host:5672/vhost
    #[arg(long, value_name = "URL")]
    pub amqp: Option<String>,
    /// Executions, all in all
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// Executions under way at once
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub in_flight: u64,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let _ = (&args.amqp, args.count, args.in_flight);
    Err(local::absent("bench"))
}
