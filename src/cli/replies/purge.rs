//! `reveille replies purge`: parked messages are deleted for good.

use clap::Args;
use serde_json::json;

use super::desk::Desk;
use super::{BrokerArgs, ChosenArgs, LOOK_MAX, finish, missing};
use crate::bus::Settlement;
use crate::cli::output::OutputArgs;
use crate::cli::{CliError, input};

#[derive(Debug, Args)]
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

pub(super) async fn purge(desk: &Desk, args: &PurgeArgs) -> Result<(), CliError> {
    let look = desk.look(&args.chosen.filter.filter(&args.chosen.ids, desk.now), LOOK_MAX).await?;
    let kept = missing(&args.chosen.ids, &look);
    let count = look.chosen().count();
    if !args.yes && count > 0 && !input::confirm(&format!("delete {count} parked replies for good?"))? {
        return Err(CliError::failed("nothing was deleted"));
    }
    let (mut purged, mut stay) = (Vec::new(), Vec::new());
    for held in look.held {
        if held.chosen {
            held.delivery.settle(Settlement::Ack);
            purged.push(json!({"id": held.parked.id}));
        } else {
            stay.push(held.delivery);
        }
    }
    drop(stay);
    finish(&json!({"purged": purged, "kept": kept, "more": look.more}), "purged", args.output)
}
