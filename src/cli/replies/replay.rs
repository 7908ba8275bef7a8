//! `reveille replies replay`: parked messages go to their queue again; each is acknowledged after the broker has
//! confirmed its copy.

use clap::Args;
use serde_json::json;

use super::{BrokerArgs, ChosenArgs, MESSAGES_MAX, ParkingQueue, finish, kept};
use crate::cli::CliError;
use crate::cli::output::OutputArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille replies replay 0123456789ab
  reveille replies replay --all --verdict forged")]
pub(in crate::cli) struct ReplayArgs {
    #[command(flatten)]
    pub(super) chosen: ChosenArgs,
    /// Send all to this queue, not to the queue in which each was refused
    #[arg(long, value_name = "QUEUE")]
    pub(super) to: Option<String>,
    #[command(flatten)]
    pub(super) broker: BrokerArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

pub(super) async fn replay(queue: &ParkingQueue, args: &ReplayArgs) -> Result<(), CliError> {
    if let Some(why) = queue.messages.blocked() {
        return Err(CliError::failed(format!("the broker takes no messages now: {why}"))
            .hint("nothing was moved; try again when its alarm has cleared"));
    }
    let taken = queue.take(&args.chosen.filter.filter(&args.chosen.ids, queue.now), MESSAGES_MAX).await?;
    let (mut stay, more) = (taken.missing(&args.chosen.ids), taken.more);
    let replayed = queue.messages.replay(taken, args.to.as_deref()).await;
    stay.extend(replayed.kept);
    let sent: Vec<_> = replayed.sent.into_iter().map(|(id, to)| json!({"id": id, "to": to})).collect();
    finish(&json!({"replayed": sent, "kept": kept(&stay), "more": more}), "replayed", args.output)
}
