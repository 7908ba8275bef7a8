//! `reveille machines create|update|delete|list`; `versions.rs` has the rest.

use std::io::IsTerminal;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::output::{OutputArgs, Table, Tone, fields, maybe, text, warning};
use super::{CliError, input, names, time, versions};

/// The role that AWS requires; here it has no effect.
const ROLE: &str = "arn:aws:iam::123456789012:role/reveille";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a state machine from a definition file
    Create(CreateArgs),
    /// Give a state machine a new definition; running executions keep theirs
    Update(UpdateArgs),
    /// Delete a state machine; running executions go on to their end
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
    /// List state machines, by name
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Publish the current definition of a state machine as a version
    Publish(versions::PublishArgs),
    /// List the versions of a state machine, newest first
    Versions(versions::ListArgs),
    /// Make an alias, or change where its executions go
    Alias(versions::AliasArgs),
    /// List the aliases of a state machine
    Aliases(versions::ListArgs),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Type {
    Standard,
    Express,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille machines create art-event examples/art-event/art-event.asl.json
  reveille machines create quick quick.asl.json --type express")]
pub(super) struct CreateArgs {
    name: String,
    /// Definition: a file, or - for standard input
    file: String,
    #[arg(long = "type", short, value_enum, default_value_t = Type::Standard)]
    kind: Type,
    /// Role to record; it has no effect
    #[arg(long, default_value = ROLE, hide_default_value = true)]
    role_arn: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille machines update art-event art-event.asl.json")]
pub(super) struct UpdateArgs {
    /// State machine: name or ARN
    machine: String,
    /// Definition: a file, or - for standard input
    file: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille machines delete art-event")]
pub(super) struct DeleteArgs {
    /// State machine: name or ARN
    machine: String,
    /// Do not ask; without a terminal it never does
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille machines list
  reveille machines list -o name")]
pub(super) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Tells of each queue whose tasks would wait now. The machine has been made, so a server that cannot say fails
/// nothing.
fn warn_of_idle_queues(client: &Client, machine: &str) {
    let Ok(answer) = client.call("Reveille.ListTaskQueues", &json!({"stateMachineArn": machine})) else { return };
    for queue in answer["taskQueues"].as_array().into_iter().flatten().filter(|queue| queue["consumers"] == 0) {
        let states: Vec<String> = queue["states"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|state| format!("'{}'", state.as_str().unwrap_or_default()))
            .collect();
        let (name, states) = (text(queue, "queue"), states.join(", "));
        let what = if queue["exists"] == true {
            "has no consumer: its tasks wait for the first worker"
        } else {
            "does not exist: start its worker before an execution comes to it"
        };
        warning(&format!("the queue '{name}' of {states} {what}"));
    }
}

pub(super) fn execute(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Create(args) => {
            let definition = input::file(&args.file)?;
            let kind = match args.kind {
                Type::Standard => "STANDARD",
                Type::Express => "EXPRESS",
            };
            let request = json!({"name": args.name, "definition": definition, "type": kind, "roleArn": args.role_arn});
            let client = args.server.client()?;
            let answer = client.call("CreateStateMachine", &request)?;
            warn_of_idle_queues(&client, &text(&answer, "stateMachineArn"));
            args.output.print(&answer, |answer| {
                fields(&[
                    ("machine", maybe(answer, "stateMachineArn")),
                    ("created", Some(time::moment(&answer["creationDate"]))),
                ])
            })
        }
        Command::Update(args) => {
            let client = args.server.client()?;
            let definition = input::file(&args.file)?;
            let arn = names::machine(&client, &args.machine)?;
            let answer =
                client.call("UpdateStateMachine", &json!({"stateMachineArn": arn, "definition": definition}))?;
            warn_of_idle_queues(&client, &arn);
            args.output.print(&answer, |answer| {
                fields(&[
                    ("updated", Some(time::moment(&answer["updateDate"]))),
                    ("revision", maybe(answer, "revisionId")),
                ])
            })
        }
        Command::Delete(args) => {
            let client = args.server.client()?;
            let arn = names::machine(&client, &args.machine)?;
            let asks = !args.yes && std::io::stdin().is_terminal();
            if asks && !input::confirm(&format!("delete {arn}?"))? {
                return Err(CliError::failed("nothing was deleted"));
            }
            let answer = client.call("DeleteStateMachine", &json!({"stateMachineArn": arn}))?;
            args.output.print(&answer, |_| format!("{arn} is deleted; running executions go on to their end"))
        }
        Command::Publish(args) => versions::publish(args),
        Command::Versions(args) => versions::versions(args),
        Command::Alias(args) => versions::alias(args),
        Command::Aliases(args) => versions::aliases(args),
        Command::List(args) => {
            let machines = args.server.client()?.pages("ListStateMachines", json!({}), "stateMachines", 100_000)?;
            args.output.print(&json!({"stateMachines": machines}), table)
        }
    }
}

fn table(answer: &Value) -> String {
    let mut table = Table::new(&["NAME", "TYPE", "CREATED (UTC)", "ARN"]);
    for machine in answer["stateMachines"].as_array().into_iter().flatten() {
        table.row(vec![
            (text(machine, "name"), Tone::Plain),
            (text(machine, "type"), Tone::Plain),
            (time::moment(&machine["creationDate"]), Tone::Plain),
            (text(machine, "stateMachineArn"), Tone::Faint),
        ]);
    }
    if table.is_empty() { "no state machines".to_owned() } else { table.render() }
}
