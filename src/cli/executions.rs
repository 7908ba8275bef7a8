//! `reveille stop`, `reveille redrive`: one execution, some, or all that filters choose.

use std::io::IsTerminal;

use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::list::{self, Chosen, Status};
use super::output::{OutputArgs, Tone, fields, text};
use super::progress::Line;
use super::screen::Screen;
use super::{CliError, bulk, input, names, time};

/// Executions that one command acts on.
const EXECUTIONS_MAX: u32 = 100_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille stop art-event:open-studios --error Called.Off
  reveille stop --all --machine art-event --older-than 7d
  reveille stop --all --machine art-event --yes -o json
  reveille stop --query 'machine:art-event state:\"Hire a photographer\" started:<2026-11-01'")]
pub(super) struct StopArgs {
    /// Executions: ARN, or MACHINE:NAME
    executions: Vec<String>,
    #[command(flatten)]
    many: Many,
    /// Error name to record
    #[arg(long, short)]
    error: Option<String>,
    /// The reason in plain text
    #[arg(long, short)]
    cause: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille redrive art-event:open-studios
  reveille redrive --all --machine art-event --status failed --since 1h
  reveille redrive --query 'machine:art-event error:Carrier.Closed'")]
pub(super) struct RedriveArgs {
    /// Executions: ARN, or MACHINE:NAME
    executions: Vec<String>,
    #[command(flatten)]
    many: Many,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Many executions at once.
#[derive(Debug, clap::Args)]
struct Many {
    /// All executions that the filters let through
    #[arg(long, conflicts_with = "executions", required_unless_present_any = ["executions", "query"])]
    all: bool,
    /// All that a search of the console finds; the server does it, also when this command ends before
    #[arg(long, short, conflicts_with_all = ["executions", "all"])]
    query: Option<String>,
    /// Only of this state machine: name or ARN
    #[arg(long, short, requires = "all")]
    machine: Option<String>,
    #[command(flatten)]
    chosen: Chosen,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// The action for each execution.
struct Act<'a> {
    /// `stop`, `stopped`.
    words: [&'static str; 2],
    operation: &'static str,
    /// The member of the answer with its time.
    date: &'static str,
    /// Those that can be acted on, where no filter says otherwise.
    statuses: &'static [Status],
    request: &'a Value,
}

pub(super) fn stop(args: &StopArgs) -> Result<(), CliError> {
    let mut request = json!({});
    for (name, value) in [("error", &args.error), ("cause", &args.cause)] {
        if let Some(value) = value {
            request[name] = json!(value);
        }
    }
    let act = Act {
        words: ["stop", "stopped"],
        operation: "StopExecution",
        date: "stopDate",
        statuses: &[Status::Running, Status::PendingRedrive],
        request: &request,
    };
    act.on(&args.server.client()?, &args.executions, &args.many, args.output)
}

pub(super) fn redrive(args: &RedriveArgs) -> Result<(), CliError> {
    let act = Act {
        words: ["redrive", "redriven"],
        operation: "RedriveExecution",
        date: "redriveDate",
        statuses: &[Status::Failed, Status::TimedOut, Status::Aborted],
        request: &json!({}),
    };
    act.on(&args.server.client()?, &args.executions, &args.many, args.output)
}

impl Act<'_> {
    fn on(&self, client: &Client, named: &[String], many: &Many, output: OutputArgs) -> Result<(), CliError> {
        let [word, done] = self.words;
        if let Some(query) = &many.query {
            let mut wish = self.request.clone();
            (wish["action"], wish["query"]) = (json!(word.to_uppercase()), json!(query));
            return bulk::run(client, &wish, many.yes, output);
        }
        if let [one] = named {
            let answer = self.call(client, &names::execution(client, one)?)?;
            return output.print(&answer, |answer| fields(&[(done, Some(time::moment(&answer[self.date])))]));
        }
        let arns = self.chosen(client, named, many)?;
        if many.all && !many.yes && !arns.is_empty() && !input::confirm(&format!("{word} {} executions?", arns.len()))?
        {
            return Err(CliError::failed(format!("nothing was {done}")));
        }
        let mut screen = Screen::new(anstream::stderr(), std::io::stderr().is_terminal());
        let (mut acted, mut failed) = (Vec::new(), Vec::new());
        for arn in &arns {
            match self.call(client, arn) {
                Ok(_) => acted.push(json!({"executionArn": arn})),
                // An execution may have ended meanwhile; a server that is away ends the command.
                Err(CliError::Failed { message, .. }) => failed.push(json!({"executionArn": arn, "reason": message})),
                Err(other) => return Err(other),
            }
            if std::io::stderr().is_terminal() {
                let so_far = format!("{done} {} of {}, {} refused", acted.len(), arns.len(), failed.len());
                let _ = screen.draw(vec![Line(vec![(so_far, Tone::Faint)])]);
            }
        }
        let answer = json!({done: acted, "refused": failed});
        output.print(&answer, |answer| summary(answer, done))?;
        if failed.is_empty() { Ok(()) } else { Err(CliError::Reported) }
    }

    fn call(&self, client: &Client, arn: &str) -> Result<Value, CliError> {
        let mut request = self.request.clone();
        request["executionArn"] = json!(arn);
        client.call(self.operation, &request)
    }

    fn chosen(&self, client: &Client, named: &[String], many: &Many) -> Result<Vec<String>, CliError> {
        if !many.all {
            return named.iter().map(|name| names::execution(client, name)).collect();
        }
        let mut chosen = many.chosen.clone();
        if chosen.status.is_empty() {
            chosen.status = self.statuses.to_vec();
        }
        let found = list::newest(client, many.machine.as_deref(), &chosen, EXECUTIONS_MAX)?;
        Ok(found.iter().map(|execution| text(execution, "executionArn")).collect())
    }
}

fn summary(answer: &Value, done: &str) -> String {
    let of = |name: &str| answer[name].as_array().map_or(&[][..], Vec::as_slice);
    let mut lines = vec![format!("{done} {}, refused {}", of(done).len(), of("refused").len())];
    lines.extend(of("refused").iter().map(|one| format!("{}  {}", text(one, "executionArn"), text(one, "reason"))));
    lines.join("\n")
}
