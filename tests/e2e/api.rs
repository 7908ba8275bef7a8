//! The API through AWS's own clients: boto3, the AWS CLI, the SDK for JavaScript.

use std::path::{Path, PathBuf};
use std::process::Command;

use reveille::ids::{EventId, ExecutionId, PartitionId, TaskKey};
use reveille::token::{self, TokenKeys};
use secrecy::ExposeSecret;

use super::support::{Launch, Server, asks, python, workers_of_node};

/// One key that may do everything, and one for each class of operations.
const KEYS: &str = "boss:secret,read:read:read,start:start:start,complete:complete:complete,admin:admin:admin";
/// The credentials that the tests of the clients read.
const SIGNED: [(&str, &str); 3] =
    [("REVEILLE_ACCESS_KEY", "boss"), ("REVEILLE_SECRET_KEY", "secret"), ("REVEILLE_CLASSES", "yes")];
/// Few enough to have them all wait.
const POLLERS: &str = "3";

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// Runs a command to its end; it must succeed. Returns its output.
#[track_caller]
fn run(command: &mut Command, server: &Server, variables: &[(&str, &str)]) -> String {
    let command = command
        .env("REVEILLE_ENDPOINT", &server.endpoint)
        .env("REVEILLE_LOG", server.log_file())
        .envs(variables.iter().copied());
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().expect("it can be run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn pytest(python: &Path, tests: &str) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pytest", "-q", "-rs", "--tb=short", "-p", "no:cacheprovider"]).arg(script(tests));
    command
}

/// Each operation, each error of AWS's model (or the reason why it cannot be), each listing page by page:
/// `tests/clients/api/test_model.py` counts.
#[test]
fn every_operation_works_through_boto3() {
    let Some(python) = python() else { return };
    let secret = token::new_secret();
    let launch = Launch::embedded()
        .with("REVEILLE__ENGINE__TOKEN_KEY", secret.expose_secret())
        .with("REVEILLE__ENGINE__ACTIVITY_POLLERS_MAX", POLLERS);
    let server = Server::start(launch);
    let never = TaskKey { execution: ExecutionId(uuid::Uuid::new_v4()), scheduled: EventId(4) };
    let strange = TokenKeys::parse(&secret).expect("a key").mint(&never, PartitionId(0));
    let said = run(
        &mut pytest(&python, "api"),
        &server,
        &[("REVEILLE_STRANGE_TOKEN", &strange), ("REVEILLE_POLLERS", POLLERS)],
    );
    // Only tests that need access keys are skipped.
    for line in said.lines().filter(|line| line.starts_with("SKIPPED")) {
        assert!(line.contains("test_signatures.py"), "{line}");
    }
}

#[test]
fn every_operation_works_signed_and_a_key_does_what_it_may() {
    let Some(python) = python() else { return };
    let server = Server::start(Launch::embedded().with("REVEILLE__API__KEYS", KEYS));
    run(&mut pytest(&python, "api"), &server, &SIGNED);
}

#[test]
fn every_operation_works_through_the_aws_cli() {
    let Some(python) = python() else { return };
    let server = Server::start(Launch::embedded().with("REVEILLE__API__KEYS", KEYS));
    run(&mut pytest(&python, "test_api_cli.py"), &server, &SIGNED);
}

#[test]
fn every_operation_works_through_the_sdk_for_javascript() {
    let Some(node) = workers_of_node() else { return };
    let server = Server::start(Launch::embedded().with("REVEILLE__API__KEYS", KEYS));
    let mut command = Command::new("node");
    command.args(["--test", "--test-reporter=spec"]).arg(script("api_node.mjs")).env("NODE_WORKERS", node);
    run(&mut command, &server, &SIGNED);
}

#[test]
fn a_callback_goes_round_through_the_sdk_for_javascript() {
    let Some(node) = workers_of_node() else { return };
    let server = Server::start(Launch::embedded());
    let mut command = Command::new("node");
    command.arg(script("callback.js")).env("NODE_PATH", node.join("node_modules"));
    let said = run(&mut command, &server, &[("DEFINITION", &asks("no-worker", &serde_json::json!({})))]);
    assert!(said.contains("SUCCEEDED"), "{said}");
}
