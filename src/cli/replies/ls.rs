//! `reveille replies ls`: the parked messages, oldest first.

use clap::Args;
use serde_json::{Value, json};

use super::shown::table;
use super::{BrokerArgs, FilterArgs, ParkingQueue};
use crate::cli::CliError;
use crate::cli::output::OutputArgs;
use crate::engine::parked_messages::line;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille replies ls
  reveille replies ls --verdict late --older-than 7d")]
pub(in crate::cli) struct LsArgs {
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// Read at most so many messages of the queue
    #[arg(long, short = 'n', default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) limit: u32,
    #[command(flatten)]
    pub(super) broker: BrokerArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

pub(super) async fn ls(queue: &ParkingQueue, args: &LsArgs) -> Result<(), CliError> {
    let taken = queue.take(&args.filter.filter(&[], queue.now), args.limit).await?;
    let replies: Vec<Value> = taken.chosen().map(|held| line(&held.parked, &held.delivery.message)).collect();
    args.output.print(&json!({"replies": replies, "more": taken.more}), |answer| table(answer, queue.now))
}
