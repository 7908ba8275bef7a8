//! `reveille replies`: refused messages in the parking queue. It speaks to the broker, so it also works while no server
//! runs.
//!
//! A command takes the messages out of the queue without acknowledging them, and gives them back in their order, also
//! if it is killed. Meanwhile no other client sees them. A replayed message is acknowledged after the broker has
//! confirmed its copy.

mod ls;
mod purge;
mod replay;
mod show;
mod shown;

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::local::BrokerArgs;
use super::output::{OutputArgs, Tone, text};
use super::{CliError, local, time};
use crate::bus::BusError;
use crate::bus::parked::Filter;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::engine::parked_messages::{ParkedMessages, Stays, Taken};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List parked replies, oldest first
    #[command(visible_aliases = ["list"])]
    Ls(ls::LsArgs),
    /// Show one whole: properties, headers, body; its token only with --reveal
    Show(show::ShowArgs),
    /// Send replies to their queue again; each leaves the parking queue when the broker has confirmed its copy
    Replay(replay::ReplayArgs),
    /// Delete replies for good
    #[command(visible_aliases = ["rm"])]
    Purge(purge::PurgeArgs),
}

#[derive(Debug, Args)]
struct FilterArgs {
    /// Only with this verdict: duplicate, late, unknown, forged, invalid-output, too-large, dead-letter, or a start's
    /// error
    #[arg(long, alias = "reason", value_name = "VERDICT")]
    verdict: Vec<String>,
    /// Only parked longer ago than this: 90s, 15m, 12h, 7d
    #[arg(long, value_name = "AGE", value_parser = time::age)]
    older_than: Option<Duration>,
}

/// The messages that a command acts on.
#[derive(Debug, Args)]
struct ChosenArgs {
    /// Ids, as `replies ls` shows them
    ids: Vec<String>,
    /// All that the filters let through
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// The parking queue, as the commands read it.
struct ParkingQueue {
    messages: ParkedMessages,
    now: Timestamp,
}

impl ParkingQueue {
    async fn take(&self, filter: &Filter, limit: u32) -> Result<Taken, CliError> {
        self.messages.take(filter, limit).await.map_err(|error| match error {
            BusError::Refused { why, .. } if why.contains("NOT_FOUND") => {
                CliError::failed(format!("there is no queue {} on this broker", self.messages.queue()))
                    .hint("a server makes it when it starts; is the URL's virtual host right?")
            }
            error => CliError::failed(error.to_string()),
        })
    }
}

/// Messages that `show`, `replay` and `purge` take: more would not fit into memory.
const MESSAGES_MAX: u32 = 100_000;

pub(super) fn execute(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Ls(args) => with(&args.broker, async |queue| ls::ls(&queue, args).await),
        Command::Show(args) => with(&args.broker, async |queue| show::show(&queue, args).await),
        Command::Replay(args) => {
            args.chosen.check("replay")?;
            with(&args.broker, async |queue| replay::replay(&queue, args).await)
        }
        Command::Purge(args) => {
            args.chosen.check("purge")?;
            with(&args.broker, async |queue| purge::purge(&queue, args).await)
        }
    }
}

fn with(args: &BrokerArgs, work: impl AsyncFnOnce(ParkingQueue) -> Result<(), CliError>) -> Result<(), CliError> {
    let settings = args.settings()?;
    local::with_broker(&settings, async |bus| {
        work(ParkingQueue { messages: ParkedMessages::new(bus), now: SystemClock.now() }).await
    })
}

impl FilterArgs {
    fn filter(&self, ids: &[String], now: Timestamp) -> Filter {
        let before = self
            .older_than
            .map(|age| Timestamp::from_millis(now.millis() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
        Filter { ids: ids.to_vec(), verdicts: self.verdict.clone(), before }
    }
}

impl ChosenArgs {
    /// Refuses a command without ids, filter and `--all`, so that it never acts on all messages by mistake.
    fn check(&self, what: &str) -> Result<(), CliError> {
        let named =
            self.all || !self.ids.is_empty() || !self.filter.verdict.is_empty() || self.filter.older_than.is_some();
        if named {
            return Ok(());
        }
        Err(CliError::usage(format!(
            "which replies? Give ids, a filter, or --all: reveille replies {what} --verdict late"
        ))
        .hint("reveille replies ls shows them"))
    }
}

/// Messages that stay, each with the reason.
fn kept(stay: &[Stays]) -> Vec<Value> {
    stay.iter().map(|Stays { id, why }| json!({"id": id, "why": why})).collect()
}

fn finish(answer: &Value, done: &str, output: OutputArgs) -> Result<(), CliError> {
    output.print(answer, |answer| {
        let count = |name: &str| answer[name].as_array().map_or(0, Vec::len);
        let mut said = format!("{} {done}", count(done));
        for one in answer["kept"].as_array().into_iter().flatten() {
            let _ = write!(said, "\n{}  {}", text(one, "id"), Tone::Bad.paint(&text(one, "why")));
        }
        if answer["more"] == true {
            let _ = write!(said, "\nonly the first {MESSAGES_MAX} messages were looked at: run it again");
        }
        said
    })?;
    // A message that was not replayed or deleted is a failure; it was printed above.
    if answer["kept"].as_array().is_some_and(|kept| !kept.is_empty()) { Err(CliError::Reported) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_chosen_by_leaving_everything_out() {
        let chosen = |ids: &[&str], all| ChosenArgs {
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            all,
            filter: FilterArgs { verdict: Vec::new(), older_than: None },
        };
        assert!(matches!(chosen(&[], false).check("purge"), Err(CliError::Usage { .. })));
        assert_eq!((chosen(&[], true).check("purge"), chosen(&["a"], false).check("purge")), (Ok(()), Ok(())));
    }
}
