//! The command line against a running server: what it prints for programs, and its exit codes.

use serde_json::{Value, json};

use super::support::{Launch, Server, asks, cli, cli_json};

fn write(server: &Server, name: &str, text: &str) -> String {
    let file = server.folder().join(name);
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn an_execution_is_started_shown_answered_and_stopped() {
    let server = Server::start(Launch::embedded());
    let retry = json!({"Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 1, "MaxAttempts": 1}], "HeartbeatSeconds": 300});
    let file = write(&server, "asks.asl.json", &asks("nobody", &retry));
    let created = cli_json(&server, &["machines", "create", "asks", &file]);
    let machine = created["stateMachineArn"].as_str().unwrap();
    let started = cli_json(&server, &["start", "asks", "--name", "one", "--input", r#"{"number": 1}"#]);
    let arn = started["executionArn"].as_str().unwrap();
    assert_eq!(arn, machine.replacen(":stateMachine:", ":execution:", 1) + ":one");
    assert_eq!(cli_json(&server, &["describe", "asks:one"])["status"], "RUNNING");
    assert_eq!(cli_json(&server, &["describe", "asks"])["stateMachineArn"], machine);

    // The first attempt fails by hand, the second lives for a heartbeat and succeeds.
    let token = server.token(arn, "Ask");
    let tasks = cli_json(&server, &["tasks"]);
    let waits = &tasks["tasks"][0];
    assert_eq!((&waits["taskToken"], &waits["stateName"], &waits["executionArn"]), (&json!(token), &json!("Ask"), &json!(arn)));
    assert_eq!(cli(&server, &["fail", &token, "--error", "Busy", "--cause", "not now"]).0, 0);
    let second = super::support::until("the second attempt", super::support::SOON, || {
        Some(server.token(arn, "Ask")).filter(|second| *second != token)
    });
    assert_eq!(cli(&server, &["heartbeat", &second]).0, 0);
    assert!(cli_json(&server, &["tasks", "asks:one"])["tasks"][0]["lastHeartbeat"].is_number());
    assert_eq!(cli(&server, &["succeed", &second, "--output", r#"{"answer": 42}"#]).0, 0);
    assert_eq!(server.ended(arn)["output"], r#"{"answer":42}"#);

    let events = cli_json(&server, &["history", "asks:one"]);
    let kinds: Vec<&str> = events["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"ExecutionStarted"));
    assert_eq!(kinds.last(), Some(&"ExecutionSucceeded"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "TaskFailed").count(), 1);
    let newest = cli_json(&server, &["history", "asks:one", "--reverse", "--limit", "1"]);
    assert_eq!(newest["events"].as_array().unwrap().len(), 1);
    assert_eq!(newest["events"][0]["type"], "ExecutionSucceeded");

    cli_json(&server, &["start", "asks", "--name", "two", "--input", r#"{"number": 2}"#]);
    cli_json(&server, &["stop", "asks:two", "--error", "NoNeed", "--cause", "it rains"]);
    let stopped = cli_json(&server, &["describe", "asks:two"]);
    assert_eq!((&stopped["status"], &stopped["error"], &stopped["cause"]), (&json!("ABORTED"), &json!("NoNeed"), &json!("it rains")));
    let names = |listed: &Value| -> Vec<String> {
        listed["executions"].as_array().unwrap().iter().map(|execution| execution["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&cli_json(&server, &["list", "asks"])), ["two", "one"]);
    assert_eq!(names(&cli_json(&server, &["list", "asks", "--status", "succeeded"])), ["one"]);
    assert_eq!(cli_json(&server, &["tasks"])["tasks"], json!([]));
}

#[test]
fn exit_codes_tell_refused_from_misspelt_from_unreachable() {
    let mut server = Server::start(Launch::embedded());
    let fails = r#"{"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Broken"}}}"#;
    let file = write(&server, "fails.json", fails);
    cli_json(&server, &["machines", "create", "fails", &file]);
    for (what, arguments, code, said) in [
        ("no such machine", &["start", "nothing"][..], 1, "there is no state machine 'nothing'"),
        ("no such execution", &["describe", "fails:none"], 1, "ExecutionDoesNotExist"),
        ("an execution that fails", &["start", "fails", "--wait"], 1, ""),
        ("a token of nobody's", &["succeed", "AAAA"], 1, "InvalidToken"),
        ("input that is not JSON", &["start", "fails", "--input", "{"], 2, "the input is not JSON"),
        ("no such file", &["validate", "nothing.json"], 2, "cannot read nothing.json"),
        ("no such option", &["list", "--colour"], 2, "--colour"),
    ] {
        let (found, _, err) = cli(&server, arguments);
        assert_eq!(found, code, "{what}: {err}");
        assert!(err.contains(said), "{what}: {err}");
    }
    assert!(server.stop().success());
    let (code, _, err) = cli(&server, &["list"]);
    assert!(code == 3 && err.contains("cannot reach the server at"), "{code} {err}");
}

#[test]
fn a_good_definition_is_valid_and_a_bad_one_is_told_with_its_place() {
    let server = Server::start(Launch::embedded());
    let good = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/art-event/art-event.asl.json");
    assert_eq!(cli_json(&server, &["validate", good])["result"], "OK");
    let bad = write(&server, "bad.json", "{\n  \"StartAt\": \"A\",\n  \"States\": {\"A\": {\"Type\": \"Pas\", \"End\": true}}\n}");
    let (code, out, _) = cli(&server, &["validate", &bad, "--output", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["result"], &report["diagnostics"][0]["line"]), (1, &json!("FAIL"), &json!(3)), "{report}");
}

#[test]
fn a_definition_runs_here_with_mocks_and_without_a_server() {
    let server = Server::start(Launch::embedded());
    let file = write(&server, "asks.asl.json", &asks("nobody", &json!({})));
    let mocks = write(&server, "mocks.json", r#"{"Ask": {"result": {"answer": 42}}}"#);
    let (code, out, err) = cli(&server, &["run", &file, "--input", r#"{"number": 1}"#, "--mock", &mocks]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), json!({"answer": 42}));
    let mocks = write(&server, "mocks.json", r#"{"Ask": {"errorOutput": {"error": "Broken", "cause": "on purpose"}}}"#);
    let (code, out, err) = cli(&server, &["run", &file, "--input", r#"{"number": 1}"#, "--mock", &mocks]);
    assert!(code == 1 && out.is_empty() && err.contains("Broken: on purpose"), "{code} {err}");
    assert_eq!(server.call("ListStateMachines", &json!({}))["stateMachines"], json!([]), "the server has no part in it");
}

#[test]
fn the_demo_needs_nothing_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_reveille"));
    let output = command.args(["demo", "--yes"]).current_dir(dir.path()).env_clear().output().expect("it runs");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for part in ["Hire a photographer", "waits for an answer from photographer-friend", "ExecutionSucceeded", "photographs by Vera Holm."] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn the_demo_over_a_broker_is_answered_in_this_process() {
    let Some(url) = super::support::vhost() else { return };
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_reveille"));
    let output = command.args(["demo", "--yes", "--with-workers", "--amqp", &url]).output().expect("it runs");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("photographs by Vera Holm."), "{said}");
}
