//! `reveille link EXECUTION --for PERSON`: an address at which one person answers one task.

use serde_json::json;

use super::client::ServerArgs;
use super::output::{line, note, text};
use super::{CliError, names, time};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The page of the link shows what the task's form shows, and no more. Opening it does nothing; a button does.

Examples:
  reveille link discount:offer-0811 --for olga@example.com
  reveille link discount:offer-0811 --for olga@example.com --action Approve --expires 2d
  reveille link --revoke 5f0c2a7b9d3e41c8a6b2f1d07e9c8b35")]
pub(super) struct Args {
    /// Execution: ARN, MACHINE:NAME, or its name where only one has it
    #[arg(required_unless_present = "revoke")]
    execution: Option<String>,
    /// The person that it is for: a name or an address of e-mail; the history shows it
    #[arg(long = "for", value_name = "PERSON", required_unless_present = "revoke")]
    audience: Option<String>,
    /// The state whose task it is, where several wait
    #[arg(long, value_name = "NAME")]
    state: Option<String>,
    /// A button that it allows, by its label; may be repeated [default: all]
    #[arg(long = "action", value_name = "LABEL")]
    actions: Vec<String>,
    /// How long it is good, such as 12h or 2d; it ends with its task in any case
    #[arg(long, value_name = "TIME", value_parser = time::age)]
    expires: Option<std::time::Duration>,
    /// Withdraw a link by its id, which was shown when it was made
    #[arg(long, value_name = "LINK-ID", conflicts_with_all = ["execution", "audience", "state", "actions", "expires"])]
    revoke: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let client = args.server.client()?;
    if let Some(id) = &args.revoke {
        client.call("Reveille.RevokeApprovalLink", &json!({"linkId": id}))?;
        return line("the link does nothing any more");
    }
    let execution = names::execution(&client, args.execution.as_deref().unwrap_or_default())?;
    let mut request = json!({"executionArn": execution, "for": args.audience});
    if let Some(state) = &args.state {
        request["stateName"] = json!(state);
    }
    if !args.actions.is_empty() {
        request["actions"] = json!(args.actions);
    }
    if let Some(expires) = args.expires {
        request["expiresSeconds"] = json!(expires.as_secs());
    }
    let made = client.call("Reveille.CreateApprovalLink", &request)?;
    // The address alone is on standard output, so that a script can send it.
    note(&format!("link {}: anyone with the address can answer until the task ends", text(&made, "linkId")));
    line(&text(&made, "url"))
}
