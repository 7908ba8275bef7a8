//! Names in place of ARNs: a state machine by its name, an execution as `MACHINE:NAME`.

use serde_json::{Value, json};

use super::CliError;
use super::client::Client;
use super::output::text;

/// Machines among which a name is searched.
const MACHINES_MAX: usize = 10_000;

/// Machines that are asked for an execution of a bare name: a request each.
const SEARCHED_MAX: usize = 100;

fn is_arn(name: &str) -> bool {
    name.starts_with("arn:")
}

/// The ARN of a state machine that is given by ARN or name.
pub(super) fn machine(client: &Client, name: &str) -> Result<String, CliError> {
    if is_arn(name) {
        return Ok(name.to_owned());
    }
    // Only the server knows region and account: the listing has them.
    let machines = client.pages("ListStateMachines", json!({}), "stateMachines", MACHINES_MAX)?;
    let found = machines.iter().find(|machine| text(machine, "name") == name);
    found.map(|machine| text(machine, "stateMachineArn")).ok_or_else(|| {
        let names: Vec<String> = machines.iter().take(8).map(|machine| text(machine, "name")).collect();
        let hint = if names.is_empty() {
            "there are none yet: reveille machines create NAME FILE".to_owned()
        } else {
            format!("there are: {}", names.join(", "))
        };
        CliError::failed(format!("there is no state machine '{name}'")).hint(hint)
    })
}

/// The ARN of an execution that is given by ARN, as `MACHINE:NAME` or `MACHINE/NAME`, or by its name alone where only
/// one has it.
pub(super) fn execution(client: &Client, name: &str) -> Result<String, CliError> {
    if is_arn(name) {
        return Ok(name.to_owned());
    }
    if let Some((of, name)) = name.split_once([':', '/']) {
        return Ok(execution_of(&machine(client, of)?, name));
    }
    let machines = client.pages("ListStateMachines", json!({}), "stateMachines", SEARCHED_MAX)?;
    let mut found = Vec::new();
    for machine in &machines {
        let arn = execution_of(&text(machine, "stateMachineArn"), name);
        match client.call("DescribeExecution", &json!({"executionArn": arn})) {
            Ok(_) => found.push(arn),
            Err(CliError::Failed { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] if machines.len() == SEARCHED_MAX => {
            Err(CliError::failed(format!("no execution of the first {SEARCHED_MAX} state machines is called '{name}'"))
                .hint("give its ARN, or MACHINE:NAME"))
        }
        [] => Err(CliError::failed(format!("there is no execution '{name}'"))
            .hint("give its ARN, or MACHINE:NAME; reveille list shows them")),
        several => Err(CliError::failed(format!("{} executions are called '{name}'", several.len()))
            .hint(several.join("\n      "))),
    }
}

fn execution_of(machine: &str, name: &str) -> String {
    format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1))
}

/// Either kind: an ARN by its form, a name by what there is.
pub(super) fn machine_or_execution(client: &Client, name: &str) -> Result<Named, CliError> {
    if is_arn(name) {
        let is_execution = name.contains(":execution:") || name.contains(":express:");
        return Ok(if is_execution { Named::Execution(name.to_owned()) } else { Named::Machine(name.to_owned()) });
    }
    if name.contains([':', '/']) {
        return execution(client, name).map(Named::Execution);
    }
    match machine(client, name) {
        Ok(arn) => Ok(Named::Machine(arn)),
        Err(unknown @ CliError::Failed { .. }) => execution(client, name).map(Named::Execution).map_err(|_| unknown),
        Err(other) => Err(other),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    Machine(String),
    Execution(String),
}

/// `MACHINE:NAME` of an execution's ARN.
pub(super) fn of_arn(arn: &str) -> String {
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    parts.last().map_or_else(|| arn.to_owned(), |name| (*name).to_owned())
}

/// `startDate` and such of an answer, for requests that page by name.
pub(super) fn name_of(execution: &Value) -> String {
    let machine = text(execution, "stateMachineArn");
    format!("{}:{}", super::output::last_part(&machine), text(execution, "name"))
}
