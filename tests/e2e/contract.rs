//! `reveille contract`: AsyncAPI documents, held to the standard's own schema.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::support::{Answer, Launch, Server, Wire, cli_json, python, vhost, workers_of_node};

/// The schema of AsyncAPI over each document, each reference looked up, and each example against its own schema.
const JUDGE: &str = r##"
import json
import sys

import jsonschema

schema = json.load(open(sys.argv[1]))
judge = jsonschema.Draft7Validator(schema)
examples = 0
for path in sys.argv[2:]:
    document = json.load(open(path))
    for fault in judge.iter_errors(document):
        deepest = jsonschema.exceptions.best_match([fault])
        sys.exit(f"{path}: {deepest.json_path}: {deepest.message[:300]}")

    def at(reference):
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
        return at(node["$ref"]) if "$ref" in node else node

    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                at(node["$ref"])
            node = list(node.values())
        for inner in node if isinstance(node, list) else []:
            walk(inner)

    walk(document)
    for name, message in document["components"]["messages"].items():
        for example in message.get("examples", []):
            jsonschema.Draft7Validator(message["payload"]).validate(example["payload"])
            examples += 1
print(len(sys.argv) - 2, "documents,", examples, "examples")
"##;

fn contract(folder: &Path, arguments: &[&str]) -> (PathBuf, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_reveille"))
        .arg("contract")
        .args(arguments)
        .args(["-o", "json"])
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let name = Path::new(arguments[0]).file_stem().expect("a name").to_string_lossy().into_owned();
    let file = folder.join(format!("{name}.json"));
    fs::write(&file, &output.stdout).expect("written");
    (file, serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// Judges documents. Returns the faults.
fn judged(files: &[PathBuf]) -> Option<String> {
    let (python, node) = (python()?, workers_of_node()?);
    let schema = node.join("node_modules/@asyncapi/specs/schemas/3.0.0.json");
    let output = Command::new(python).args(["-c", JUDGE]).arg(schema).args(files).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_contracts_of_all_examples_are_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut files = Vec::new();
    for entry in fs::read_dir(examples).expect("examples") {
        let path = entry.expect("an entry").path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let definition = path.join(format!("{name}.asl.json"));
        if definition.exists() {
            let (file, document) = contract(folder.path(), &[definition.to_str().expect("UTF-8")]);
            assert_eq!(document["info"]["title"], name);
            files.push(file);
        }
    }
    assert!(files.len() >= 8, "{files:?}");
    if let Some(said) = judged(&files) {
        assert!(said.starts_with(&format!("{} documents", files.len())), "{said}");
    }
}

#[test]
fn a_servers_machine_has_a_contract_with_recorded_examples() {
    let Some(url) = vhost() else { return };
    let server = Server::start(Launch::over(&url));
    let definition = json!({"StartAt": "Ask", "States": {"Ask": {"Type": "Task", "End": true, "HeartbeatSeconds": 600,
        "Resource": "arn:aws:states:::amqp:call", "Parameters": {"Queue": "asked", "Body": {"number.$": "$.number"}},
        "Retry": [{"ErrorEquals": ["Kitchen.Busy"], "MaxAttempts": 2}]}}});
    let machine = server.machine("asks", &definition.to_string());
    let execution = server.execution(&machine, "one", &json!({"number": 7}));
    let wire = Wire::to(&url);
    wire.wait_for_queue("asked");
    let task = wire.take("asked").properties;
    let to = task.reply_to.as_deref().expect("an address");
    wire.reply(to, task.correlation_id.as_deref(), &Answer::success(&json!({"text": "seven"})));
    assert_eq!(server.ended(&execution)["status"], "SUCCEEDED");
    let document = cli_json(&server, &["contract", "asks", "--execution", "asks:one"]);
    let messages = &document["components"]["messages"];
    assert_eq!(messages["Ask"]["examples"], json!([{"name": "recorded", "payload": {"number": 7}}]));
    assert_eq!(messages["Ask.success"]["examples"], json!([{"name": "recorded", "payload": {"text": "seven"}}]));
    assert!(messages["Ask.heartbeat"].is_object());
    // The headers of the message are those of the contract.
    let told = document["components"]["schemas"]["taskHeaders"]["properties"].as_object().expect("headers");
    for name in task.headers.keys() {
        assert!(told.contains_key(name.as_ref()), "the header {name}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("asks.json");
    fs::write(&file, document.to_string()).expect("written");
    judged(&[file]);
}
