//! `reveille bulk`: stops, redrives and replays of many at once, as the server does them.

use std::io::IsTerminal;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::output::{OutputArgs, Table, Tone, fields, note, text};
use super::progress::Line;
use super::screen::Screen;
use super::{CliError, input, time};

/// Between two looks at the progress.
const PAUSE: Duration = Duration::from_millis(300);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List bulk actions of the last 30 days, newest first
    #[command(visible_aliases = ["list"], after_help = "\
Examples:
  reveille bulk ls
  reveille bulk ls -o json")]
    Ls(LsArgs),
    /// Show one: how far it has come, what refused it
    #[command(after_help = "\
Examples:
  reveille bulk show 3f2c")]
    Show(OneArgs),
    /// Let one do no more; its finished work stays
    #[command(after_help = "\
Examples:
  reveille bulk cancel 3f2c")]
    Cancel(OneArgs),
    /// Send parked messages again, by verdict
    #[command(after_help = "\
Examples:
  reveille bulk replay late,unknown
  reveille bulk replay all --yes")]
    Replay(ReplayArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct LsArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct OneArgs {
    /// Id (reveille bulk ls shows them)
    id: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    /// Verdicts, or all
    #[arg(required = true, value_delimiter = ',')]
    verdicts: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn execute(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Ls(args) => {
            let answer = args.server.client()?.call("Reveille.ListBulkActions", &json!({}))?;
            args.output.print(&answer, table)
        }
        Command::Show(args) => {
            let answer = args.server.client()?.call("Reveille.DescribeBulkAction", &id(args))?;
            args.output.print(&answer, shown)
        }
        Command::Cancel(args) => {
            let client = args.server.client()?;
            client.call("Reveille.CancelBulkAction", &id(args))?;
            let answer = end(&client, &args.id)?;
            args.output.print(&answer, shown)
        }
        Command::Replay(args) => {
            let wish = json!({"action": "REPLAY", "query": format!("verdict:{}", args.verdicts.join(","))});
            run(&args.server.client()?, &wish, args.yes, args.output)
        }
    }
}

fn id(args: &OneArgs) -> Value {
    json!({"bulkActionId": args.id})
}

/// Asks, starts a bulk action, and shows its progress until its end. The server goes on with it where the command is
/// ended before.
pub(super) fn run(client: &Client, wish: &Value, yes: bool, output: OutputArgs) -> Result<(), CliError> {
    let mut counted = wish.clone();
    counted["dryRun"] = json!(true);
    let counted = client.call("Reveille.StartBulkAction", &counted)?;
    let [verb, did, things] = words(wish);
    let more = if counted["expectedMore"] == true { "at least " } else { "" };
    let question = format!("{verb} {more}{} {things}?", counted["expected"]);
    let is_none = counted["expected"] == 0 && more.is_empty();
    if !is_none && !yes && !input::confirm(&question)? {
        return Err(CliError::failed(format!("nothing was {did}")));
    }
    let started = client.call("Reveille.StartBulkAction", wish)?;
    let id = text(&started, "bulkActionId");
    note(&format!("bulk action {id}: the server goes on with it also without this command"));
    let ended = end(client, &id)?;
    output.print(&ended, shown)?;
    let is_whole = ended["refused"] == 0 && ended["status"] == "COMPLETED";
    if is_whole { Ok(()) } else { Err(CliError::Reported) }
}

/// Waits for its end, with its progress on a terminal.
fn end(client: &Client, id: &str) -> Result<Value, CliError> {
    let is_seen = std::io::stderr().is_terminal();
    let mut screen = Screen::new(anstream::stderr(), is_seen);
    loop {
        let bulk = client.call("Reveille.DescribeBulkAction", &json!({"bulkActionId": id}))?;
        if is_seen {
            let _ = screen.draw(vec![Line(vec![(progress(&bulk), Tone::Faint)])]);
        }
        if bulk["status"] != "RUNNING" {
            return Ok(bulk);
        }
        std::thread::sleep(PAUSE);
    }
}

/// `stop`, `stopped`, `executions`.
fn words(bulk: &Value) -> [&'static str; 3] {
    match bulk["action"].as_str() {
        Some("REDRIVE") => ["redrive", "redriven", "executions"],
        Some("REPLAY") => ["send again", "sent again", "messages"],
        _ => ["stop", "stopped", "executions"],
    }
}

fn progress(bulk: &Value) -> String {
    let more = if bulk["expectedMore"] == true { "at least " } else { "" };
    let [_, did, _] = words(bulk);
    format!("{did} {} of {more}{}, {} refused", bulk["done"], bulk["expected"], bulk["refused"])
}

fn shown(bulk: &Value) -> String {
    let moment = |name: &str| Some(time::moment(&bulk[name])).filter(|_| bulk[name].is_number());
    let mut lines = vec![fields(&[
        ("status", Some(text(bulk, "status"))),
        ("query", Some(text(bulk, "query"))),
        ("by", Some(text(bulk, "by"))),
        ("started", moment("startDate")),
        ("ended", moment("stopDate")),
        ("progress", Some(progress(bulk))),
    ])];
    let refusals = bulk["refusals"].as_array().map_or(&[][..], Vec::as_slice);
    lines.extend(refusals.iter().map(|one| format!("{}  {}", text(one, "id"), text(one, "why"))));
    lines.join("\n")
}

fn table(answer: &Value) -> String {
    let mut table = Table::new(&["ID", "STATUS", "STARTED (UTC)", "PROGRESS", "QUERY", "BY"]);
    for bulk in answer["bulkActions"].as_array().into_iter().flatten() {
        let tone = if bulk["status"] == "RUNNING" { Tone::Waiting } else { Tone::Good };
        table.row(vec![
            (text(bulk, "bulkActionId"), Tone::Plain),
            (text(bulk, "status"), tone),
            (time::moment(&bulk["startDate"]), Tone::Plain),
            (progress(bulk), Tone::Plain),
            (text(bulk, "query"), Tone::Plain),
            (text(bulk, "by"), Tone::Faint),
        ]);
    }
    if table.is_empty() { "no bulk actions".to_owned() } else { table.render() }
}
