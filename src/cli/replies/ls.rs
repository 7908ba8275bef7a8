//! `reveille replies ls`: what is parked, oldest first.

use clap::Args;
use serde_json::{Value, json};

use super::desk::Desk;
use super::shown::{line_of, table};
use super::{BrokerArgs, FilterArgs};
use crate::cli::CliError;
use crate::cli::output::OutputArgs;

#[derive(Debug, Args)]
pub(in crate::cli) struct LsArgs {
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// Look at so many messages of the queue at most
    #[arg(long, short = 'n', default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) limit: u32,
    #[command(flatten)]
    pub(super) broker: BrokerArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

pub(super) async fn ls(desk: &Desk, args: &LsArgs) -> Result<(), CliError> {
    let look = desk.look(&args.filter.filter(&[], desk.now), args.limit).await?;
    let replies: Vec<Value> = look.chosen().map(|held| line_of(&held.parked, &held.delivery.message)).collect();
    args.output.print(&json!({"replies": replies, "more": look.more}), |answer| table(answer, desk.now))
}
