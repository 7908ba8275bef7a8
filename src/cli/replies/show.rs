//! `reveille replies show`: one parked message, whole.

use clap::Args;

use super::shown::shown;
use super::{BrokerArgs, MESSAGES_MAX, ParkingQueue};
use crate::bus::parked::Filter;
use crate::cli::CliError;
use crate::cli::output::OutputArgs;
use crate::engine::parked_messages::whole;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille replies show 0123456789ab")]
pub(in crate::cli) struct ShowArgs {
    /// Id, as `replies ls` shows it
    pub(super) id: String,
    /// Show its token too, which can end the task
    #[arg(long)]
    pub(super) reveal: bool,
    #[command(flatten)]
    pub(super) broker: BrokerArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

pub(super) async fn show(queue: &ParkingQueue, args: &ShowArgs) -> Result<(), CliError> {
    let filter = Filter { ids: vec![args.id.clone()], ..Filter::default() };
    let taken = queue.take(&filter, MESSAGES_MAX).await?;
    let Some(held) = taken.chosen().next() else { return Err(none_of(&args.id)) };
    let said = whole(&held.parked, &held.delivery.message, args.reveal, "; --reveal shows it");
    args.output.print(&said, shown)
}

fn none_of(id: &str) -> CliError {
    CliError::failed(format!("there is no parked reply '{id}'")).hint("reveille replies ls shows what there is")
}
