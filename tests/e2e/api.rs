//! The API through AWS's own SDKs.

use std::path::Path;
use std::process::Command;

use super::support::{Launch, Server, asks, python, workers_of_node};

#[test]
fn every_operation_works_through_boto3() {
    let Some(python) = python() else { return };
    let server = Server::start(Launch::embedded());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/test_api_boto3.py");
    let output = Command::new(python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .arg(script)
        .env("REVEILLE_ENDPOINT", &server.endpoint)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("pytest runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_callback_goes_round_through_the_sdk_for_javascript() {
    let Some(node) = workers_of_node() else { return };
    let server = Server::start(Launch::embedded());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/callback.js");
    let output = Command::new("node")
        .arg(script)
        .env("NODE_PATH", node.join("node_modules"))
        .env("REVEILLE_ENDPOINT", &server.endpoint)
        .env("DEFINITION", asks("nobody", &serde_json::json!({})))
        .output()
        .expect("node runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("SUCCEEDED"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
