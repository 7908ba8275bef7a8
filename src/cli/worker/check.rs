//! `reveille worker check QUEUE`: a table of the rules of a good worker, and whether this one keeps them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::local::{self, BrokerArgs};
use crate::cli::output::{OutputArgs, Table, Tone, text};
use crate::cli::{CliError, input};
use crate::workers::check::{self, CheckError, Finding, Options, Verdict};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The check sends tasks as the server does, from a reply queue of its own, and needs the broker only. Without a command \
it tries the worker that runs. With a command behind -- it starts the worker itself (AMQP_URL and REVEILLE__BUS__URL \
name the broker) and also kills it. Exit code 1: a rule is broken.

Examples:
  reveille worker check venue --payload '{\"venue\": \"Boathouse\", \"date\": \"2027-05-14\", \"guests\": 4}'
  reveille worker check catering --payload @order.json --bad '{\"guests\": 5}'
  reveille worker check greetings --payload '{\"name\": \"Ada\"}' --bad '{}' -- python3 worker.py
  reveille worker check greetings -o json")]
pub(super) struct Args {
    /// Queue of the worker
    queue: String,
    /// A payload that the worker does: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON", default_value = "{}")]
    payload: String,
    /// A payload that it must fail
    #[arg(long, value_name = "JSON")]
    bad: Option<String>,
    /// HeartbeatSeconds of a task
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = seconds())]
    heartbeat: u64,
    /// The time for each answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = seconds())]
    within: u64,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// The worker, to be started by the check: its program and arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Up to a day.
fn seconds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=86_400)
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let settings = args.broker.settings()?;
    let options = Options {
        queue: args.queue.clone(),
        payload: input::json(&args.payload, "--payload")?,
        bad: args.bad.as_deref().map(|bad| input::json(bad, "--bad")).transpose()?,
        heartbeat: Duration::from_secs(args.heartbeat),
        within: Duration::from_secs(args.within),
        headers: settings.bus.headers,
        command: (!args.command.is_empty()).then(|| args.command.clone()),
        url: settings.bus.url.expose().to_owned(),
    };
    let findings = local::with_broker(&settings, async |bus| {
        check::run(bus, &options).await.map_err(|why| match why {
            CheckError::Unfit(why) => CliError::failed(why).hint(
                "start the worker, or give its command behind --: reveille worker check QUEUE -- python3 worker.py",
            ),
            CheckError::Bus(why) => CliError::failed(why.to_string()),
        })
    })?;
    let checks: Vec<Value> = findings.iter().map(shown).collect();
    args.output.print(&json!({"queue": args.queue, "checks": checks}), |_| table(&findings))?;
    let broken = findings.iter().any(|finding| finding.verdict == Verdict::Broken);
    if broken { Err(CliError::Reported) } else { Ok(()) }
}

fn shown(finding: &Finding) -> Value {
    json!({"rule": finding.rule, "verdict": finding.verdict.as_str(), "detail": finding.detail})
}

fn table(findings: &[Finding]) -> String {
    let mut table = Table::new(&["RULE", "VERDICT", "SEEN"]);
    for finding in findings {
        let tone = match finding.verdict {
            Verdict::Kept => Tone::Good,
            Verdict::Broken => Tone::Bad,
            Verdict::Noted => Tone::Waiting,
            Verdict::Untried => Tone::Faint,
        };
        table.row(vec![
            (finding.rule.to_owned(), Tone::Plain),
            (finding.verdict.as_str().to_owned(), tone),
            (text(&shown(finding), "detail"), Tone::Plain),
        ]);
    }
    let broken = findings.iter().filter(|finding| finding.verdict == Verdict::Broken).count();
    let sum = match broken {
        0 => Tone::Good.paint("no rule is broken"),
        1 => Tone::Bad.paint("1 rule is broken"),
        more => Tone::Bad.paint(&format!("{more} rules are broken")),
    };
    format!("{}{sum}", table.render())
}
