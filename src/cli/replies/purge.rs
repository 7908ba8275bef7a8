//! `reveille replies purge`: parked messages are deleted for good.

use clap::Args;
use serde_json::json;

use super::{BrokerArgs, ChosenArgs, MESSAGES_MAX, ParkingQueue, finish, kept};
use crate::cli::output::OutputArgs;
use crate::cli::{CliError, input};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille replies purge --all --older-than 30d")]
pub(in crate::cli) struct PurgeArgs {
    #[command(flatten)]
    pub(super) chosen: ChosenArgs,
    /// Do not ask
    #[arg(long, short)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) broker: BrokerArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

pub(super) async fn purge(queue: &ParkingQueue, args: &PurgeArgs) -> Result<(), CliError> {
    let taken = queue.take(&args.chosen.filter.filter(&args.chosen.ids, queue.now), MESSAGES_MAX).await?;
    let (missing, more) = (kept(&taken.missing(&args.chosen.ids)), taken.more);
    let count = taken.chosen().count();
    if !args.yes && count > 0 && !input::confirm(&format!("delete {count} parked replies for good?"))? {
        return Err(CliError::failed("nothing was deleted"));
    }
    let purged: Vec<_> = taken.purge().into_iter().map(|id| json!({"id": id})).collect();
    finish(&json!({"purged": purged, "kept": missing, "more": more}), "purged", args.output)
}
