//! `reveille contract MACHINE`: what its workers must know, as an AsyncAPI 3 document.

mod document;
mod recorded;
mod schema;

use std::path::Path;

use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::output::{OutputArgs, text};
use super::{CliError, input, names, yaml};
use crate::asl::{self, MachineType, Severity};
use crate::config::{Settings, Sources};

use recorded::Examples;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The document has a channel for each queue that the definition names, a message for each state (payload, headers, \
example), and the replies: success, failure with the errors that the state handles, heartbeat. Queues of the table \
[[integrations]] come from the settings file.

Examples:
  reveille contract art-event > art-event.asyncapi.json
  reveille contract order.asl.json -o yaml
  reveille contract art-event --execution art-event:open-studios     examples from its history, with its data")]
pub(super) struct Args {
    /// State machine (name or ARN), or a file with a definition
    #[arg(value_name = "MACHINE|FILE")]
    machine: String,
    /// Take payloads and results of this execution as examples: ARN, or MACHINE:NAME
    #[arg(long, value_name = "EXECUTION")]
    execution: Option<String>,
    /// Settings file of the server
    #[arg(long, short, env = "REVEILLE_CONFIG", value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let settings = Settings::load(&Sources::of_process(args.config.clone(), Vec::new()))?;
    let (name, definition, version) = read(args)?;
    if asl::diagnose(&definition, MachineType::Standard, Severity::Error).iter().any(super::validate::is_error) {
        return Err(CliError::failed(format!("the definition of {name} has errors"))
            .hint("reveille validate FILE shows each with its line"));
    }
    let examples = match &args.execution {
        None => Examples::default(),
        Some(execution) => of_execution(&args.server.client()?, execution)?,
    };
    let of = document::Of {
        name: &name,
        version: &version,
        table: &settings.integrations,
        headers: settings.bus.headers,
        names: &settings.bus.names(),
    };
    let contract = document::of(&definition, &of, &examples);
    args.output.print(&contract, yaml::yaml)
}

/// Name, definition, version.
fn read(args: &Args) -> Result<(String, String, String), CliError> {
    if args.machine == "-" || Path::new(&args.machine).is_file() {
        let name = Path::new(&args.machine).file_name().and_then(|name| name.to_str()).unwrap_or("machine");
        let name = name.split('.').next().filter(|name| !name.is_empty() && *name != "-").unwrap_or("machine");
        return Ok((name.to_owned(), input::file(&args.machine)?, "1".to_owned()));
    }
    let client = args.server.client()?;
    let arn = names::machine(&client, &args.machine)?;
    let described = client.call("DescribeStateMachine", &json!({"stateMachineArn": arn}))?;
    let version = Some(text(&described, "revisionId")).filter(|id| !id.is_empty()).unwrap_or_else(|| "1".to_owned());
    Ok((text(&described, "name"), text(&described, "definition"), version))
}

fn of_execution(client: &Client, name: &str) -> Result<Examples, CliError> {
    let arn = names::execution(client, name)?;
    let request = json!({"executionArn": arn, "includeExecutionData": true});
    let events: Vec<Value> = client.pages("GetExecutionHistory", request, "events", usize::MAX)?;
    Ok(Examples::read(&events))
}
