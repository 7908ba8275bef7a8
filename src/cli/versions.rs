//! `reveille machines publish|versions|alias|aliases`.

use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::output::{OutputArgs, Table, Tone, fields, last_part, maybe, text};
use super::{CliError, names, time};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille machines publish art-event --description 'with a caterer'")]
pub(super) struct PublishArgs {
    /// State machine: name or ARN
    machine: String,
    /// Description of this version
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille machines versions art-event
  reveille machines aliases art-event")]
pub(super) struct ListArgs {
    /// State machine: name or ARN
    machine: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille machines alias art-event live 2
  reveille machines alias art-event live 1=90 2=10")]
pub(super) struct AliasArgs {
    /// State machine: name or ARN
    machine: String,
    /// Name of the alias; an existing alias is changed
    name: String,
    /// Versions that the alias routes to: one, or two with their shares in percent: 1=90 2=10
    #[arg(required = true, num_args = 1..=2, value_name = "VERSION[=PERCENT]")]
    versions: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn publish(args: &PublishArgs) -> Result<(), CliError> {
    let client = args.server.client()?;
    let mut request = json!({"stateMachineArn": names::machine(&client, &args.machine)?});
    if let Some(description) = &args.description {
        request["description"] = json!(description);
    }
    let answer = client.call("PublishStateMachineVersion", &request)?;
    args.output.print(&answer, |answer| {
        fields(&[
            ("version", maybe(answer, "stateMachineVersionArn")),
            ("published", Some(time::moment(&answer["creationDate"]))),
        ])
    })
}

pub(super) fn versions(args: &ListArgs) -> Result<(), CliError> {
    list(args, "ListStateMachineVersions", "stateMachineVersions", "stateMachineVersionArn", "no versions")
}

pub(super) fn aliases(args: &ListArgs) -> Result<(), CliError> {
    list(args, "ListStateMachineAliases", "stateMachineAliases", "stateMachineAliasArn", "no aliases")
}

fn list(
    args: &ListArgs,
    operation: &str,
    items: &'static str,
    arn: &'static str,
    none: &'static str,
) -> Result<(), CliError> {
    let client = args.server.client()?;
    let request = json!({"stateMachineArn": names::machine(&client, &args.machine)?});
    let found = client.pages(operation, request, items, 1_000)?;
    args.output.print(&json!({ items: found }), |answer| {
        let mut table = Table::new(&["NAME", "CREATED (UTC)", "ARN"]);
        for item in answer[items].as_array().into_iter().flatten() {
            let full = text(item, arn);
            table.row(vec![
                (last_part(&full).to_owned(), Tone::Plain),
                (time::moment(&item["creationDate"]), Tone::Plain),
                (full.clone(), Tone::Faint),
            ]);
        }
        if table.is_empty() { none.to_owned() } else { table.render() }
    })
}

pub(super) fn alias(args: &AliasArgs) -> Result<(), CliError> {
    let client = args.server.client()?;
    let machine = names::machine(&client, &args.machine)?;
    let routes = routes(&machine, &args.versions)?;
    let arn = format!("{machine}:{}", args.name);
    let answer = if is_there(&client, &machine, &arn)? {
        let mut answer = client
            .call("UpdateStateMachineAlias", &json!({"stateMachineAliasArn": arn, "routingConfiguration": routes}))?;
        answer["stateMachineAliasArn"] = json!(arn);
        answer
    } else {
        client.call("CreateStateMachineAlias", &json!({"name": args.name, "routingConfiguration": routes}))?
    };
    args.output.print(&answer, |answer| {
        fields(&[("alias", maybe(answer, "stateMachineAliasArn")), ("versions", Some(args.versions.join(" ")))])
    })
}

fn is_there(client: &Client, machine: &str, alias: &str) -> Result<bool, CliError> {
    let aliases =
        client.pages("ListStateMachineAliases", json!({"stateMachineArn": machine}), "stateMachineAliases", 1_000)?;
    Ok(aliases.iter().any(|known| text(known, "stateMachineAliasArn") == alias))
}

/// `1` is all of version 1; `1=90 2=10` are shares.
fn routes(machine: &str, versions: &[String]) -> Result<Value, CliError> {
    let wrong = |given: &str| {
        CliError::usage(format!("'{given}' is no version and share"))
            .hint("one version: 3; two, with shares that add up to 100: 3=90 4=10")
    };
    let mut routes = Vec::new();
    for given in versions {
        let (version, share) = match given.split_once('=') {
            Some((version, share)) => (version, share.trim_end_matches('%').parse().map_err(|_| wrong(given))?),
            None if versions.len() == 1 => (given.as_str(), 100_u8),
            None => return Err(wrong(given)),
        };
        let version: u64 = version.parse().map_err(|_| wrong(given))?;
        routes.push(json!({"stateMachineVersionArn": format!("{machine}:{version}"), "weight": share}));
    }
    Ok(Value::Array(routes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_version_gets_all_and_two_say_how_much() {
        let of = |versions: &[&str]| routes("m", &versions.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["3"]).unwrap(), json!([{"stateMachineVersionArn": "m:3", "weight": 100}]));
        let both =
            json!([{"stateMachineVersionArn": "m:3", "weight": 90}, {"stateMachineVersionArn": "m:4", "weight": 10}]);
        assert_eq!(of(&["3=90", "4=10%"]).unwrap(), both);
        for wrong in [&["x"][..], &["3", "4"], &["3=many"], &["=100"], &["3=300"]] {
            assert!(matches!(of(wrong), Err(CliError::Usage { hint: Some(_), .. })), "{wrong:?}");
        }
    }
}
