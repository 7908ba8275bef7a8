//! `reveille worker QUEUE`: does the tasks of a queue with a program or a web service. `reveille worker check`: tries a
//! worker.

mod check;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::local::BrokerArgs;
use super::{CliError, local};
use crate::app;
use crate::telemetry::logs::{self, Output};
use crate::workers::relay::{self, Hand};

/// The time for the last replies and acknowledgements when the worker stops.
const GOODBYE_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_long_help = "\
A program gets the payload on its standard input and writes the result to its standard output: JSON, or a text, \
which becomes a string. Another exit code than 0 fails the task with the error Exit.CODE and the end of standard error \
as cause, or with {\"error\": …, \"cause\": …} where its standard output says so. Its environment has \
REVEILLE_TASK_TOKEN, REVEILLE_TASK_KIND, REVEILLE_RESOURCE, REVEILLE_EXECUTION_ARN, REVEILLE_STATE_NAME, \
REVEILLE_ATTEMPT, REVEILLE_DEADLINE. A cancelled task ends its program with SIGTERM.

A web service gets the payload by POST, with CloudEvents headers and those of the message. 2xx: the body is the \
result. 202: the answer comes later, with the token of the header task-token. Other statuses fail the task with the \
error Http.STATUS, or with {\"error\": …, \"cause\": …}. A service that is away is tried again.

Heartbeats are sent where the state has HeartbeatSeconds. A task is acknowledged after its reply is confirmed.

Examples:
  reveille worker sums --exec jq -- -c '{sum: (.a + .b)}'
  reveille worker reports --exec ./report.sh --concurrency 4
  reveille worker orders --http http://127.0.0.1:3000/orders
  REVEILLE__BUS__URL=amqp://user:password@host reveille worker sums --exec ./sum.py")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Queue of the tasks; it is declared if it does not exist
    #[arg(required = true)]
    queue: Option<String>,
    /// Program that does a task; its arguments come behind --
    #[arg(long, value_name = "PROGRAM", required_unless_present = "http", conflicts_with = "http")]
    exec: Option<PathBuf>,
    /// Web service that does a task
    #[arg(long, value_name = "URL")]
    http: Option<String>,
    /// Tasks at a time [default: 1 with --exec, 16 with --http]
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    concurrency: Option<u16>,
    /// A success only takes the task: the answer comes later, with its token
    #[arg(long)]
    later: bool,
    /// Seconds that tasks in progress have when the worker stops
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    grace: u64,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Arguments of the program
    #[arg(last = true, value_name = "ARG", requires = "exec")]
    arguments: Vec<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Try a worker without a server: which rules of a good worker does it keep?
    Check(check::Args),
}

pub(super) fn execute(args: Args) -> Result<(), CliError> {
    if let Some(Command::Check(args)) = &args.command {
        return check::execute(args);
    }
    let Some(queue) = args.queue else { return Err(CliError::usage("give the QUEUE of the tasks")) };
    let settings = args.broker.settings()?;
    let hand = match (args.exec, args.http) {
        (Some(program), _) => Hand::Program { path: found(&program)?, arguments: args.arguments },
        (None, Some(url)) => Hand::url(&url).map_err(CliError::usage)?,
        (None, None) => return Err(CliError::usage("give --exec PROGRAM or --http URL")),
    };
    let concurrency = args.concurrency.unwrap_or(if matches!(hand, Hand::Program { .. }) { 1 } else { 16 });
    let options =
        relay::Options { queue, hand, concurrency, later: args.later, grace: Duration::from_secs(args.grace) };
    logs::init(&settings.logs, Output::Stderr).map_err(|why| CliError::failed(why.to_string()))?;
    local::block_on(async {
        let bus = app::broker(&settings)?;
        let stop = async {
            let _ = app::stop_signal().await;
        };
        let stop_now = async {
            let _ = app::stop_signal().await;
        };
        let ran = relay::run(bus.clone(), options, stop, stop_now).await;
        bus.close(GOODBYE_WITHIN).await;
        ran.map_err(|why| CliError::failed(why.to_string()))
    })
}

/// The program, looked for as a shell does: a worker that cannot start it should not begin to take tasks.
fn found(program: &Path) -> Result<PathBuf, CliError> {
    let missing = || {
        CliError::usage(format!("there is no program '{}'", program.display()))
            .hint("--exec takes a path or a name on the PATH; arguments come behind --: --exec jq -- -c .a")
    };
    if program.components().count() > 1 {
        return if program.is_file() { Ok(program.to_owned()) } else { Err(missing()) };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file()).ok_or_else(missing)
}
