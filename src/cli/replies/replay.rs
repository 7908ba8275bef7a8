//! `reveille replies replay`: parked messages go to their queue again; each is acknowledged after the broker has
//! confirmed its copy.

use clap::Args;
use serde_json::json;

use super::queue::ParkingQueue;
use super::{BrokerArgs, ChosenArgs, MESSAGES_MAX, finish, missing};
use crate::bus::parked::{self, Parked};
use crate::bus::{Address, BusHealth, Message, Publication, Settlement};
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
    if let BusHealth::Blocked(why) = queue.bus.health() {
        return Err(CliError::failed(format!("the broker takes no messages now: {why}"))
            .hint("nothing was moved; try again when its alarm has cleared"));
    }
    // All are taken out before the first is sent: a message that is refused again comes back behind them and is not
    // replayed in a circle.
    let taken = queue.take(&args.chosen.filter.filter(&args.chosen.ids, queue.now), MESSAGES_MAX).await?;
    let (mut replayed, mut kept, mut stay) = (Vec::new(), missing(&args.chosen.ids, &taken), Vec::new());
    for held in taken.held {
        if !held.chosen {
            stay.push(held.delivery);
            continue;
        }
        let id = held.parked.id;
        if let Some(why) = held.delivery.unreadable() {
            stay.push(held.delivery);
            kept.push(json!({"id": id, "why": why}));
            continue;
        }
        match queue.send_again(&held.delivery.message, args.to.as_deref()).await {
            Ok(queue) => {
                held.delivery.settle(Settlement::Ack);
                replayed.push(json!({"id": id, "to": queue}));
            }
            Err(why) => {
                stay.push(held.delivery);
                kept.push(json!({"id": id, "why": why}));
            }
        }
    }
    drop(stay);
    finish(&json!({"replayed": replayed, "kept": kept, "more": taken.more}), "replayed", args.output)
}

impl ParkingQueue {
    /// Publishes a parked message again. Returns its queue, or the reason why it stays.
    async fn send_again(&self, parked: &Message, to: Option<&str>) -> Result<String, String> {
        if let Some((why, bytes)) = Parked::of(parked).cut {
            return Err(format!("only a part of its {bytes} bytes was parked: {why}"));
        }
        let (home, message) = parked::replay(parked);
        let queue = to.map(str::to_owned).or(home.map(|to| to.routing_key));
        let queue = queue.ok_or("it does not say which queue it was refused in; give one with --to")?;
        let to = Address { exchange: String::new(), routing_key: queue.clone() };
        match self.bus.publish(to, message).await {
            Ok(Publication::Confirmed) => Ok(queue),
            Ok(Publication::Unroutable { .. }) => Err(format!("there is no queue {queue}")),
            Ok(Publication::Nacked) => Err(format!("queue {queue} is full")),
            Ok(Publication::Refused { text }) => Err(text),
            Err(error) => Err(error.to_string()),
        }
    }
}
