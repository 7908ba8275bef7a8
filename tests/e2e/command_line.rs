//! The command line against a running server: its output for programs, and its exit codes.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Launch, Server, asks, cli, cli_json, until};

fn write(server: &Server, name: &str, text: &str) -> String {
    let file = server.folder().join(name);
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn an_execution_is_started_shown_answered_and_stopped() {
    let server = Server::start(Launch::embedded());
    let retry =
        json!({"Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 1, "MaxAttempts": 1}], "HeartbeatSeconds": 300});
    let file = write(&server, "asks.asl.json", &asks("no-worker", &retry));
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
    assert_eq!(
        (&waits["taskToken"], &waits["stateName"], &waits["executionArn"]),
        (&json!(token), &json!("Ask"), &json!(arn))
    );
    assert_eq!(cli(&server, &["fail", &token, "--error", "Busy", "--cause", "not now"]).0, 0);
    let second = super::support::until("the second attempt", super::support::SOON, || {
        Some(server.token(arn, "Ask")).filter(|second| *second != token)
    });
    assert_eq!(cli(&server, &["heartbeat", &second]).0, 0);
    assert!(cli_json(&server, &["tasks", "asks:one"])["tasks"][0]["lastHeartbeat"].is_number());
    assert_eq!(cli(&server, &["succeed", &second, "--output", r#"{"answer": 42}"#]).0, 0);
    assert_eq!(server.ended(arn)["output"], r#"{"answer":42}"#);

    let events = cli_json(&server, &["history", "asks:one"]);
    let kinds: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"ExecutionStarted"));
    assert_eq!(kinds.last(), Some(&"ExecutionSucceeded"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "TaskFailed").count(), 1);
    let newest = cli_json(&server, &["history", "asks:one", "--reverse", "--limit", "1"]);
    assert_eq!(newest["events"].as_array().unwrap().len(), 1);
    assert_eq!(newest["events"][0]["type"], "ExecutionSucceeded");

    cli_json(&server, &["start", "asks", "--name", "two", "--input", r#"{"number": 2}"#]);
    cli_json(&server, &["stop", "asks:two", "--error", "NoNeed", "--cause", "it rains"]);
    let stopped = cli_json(&server, &["describe", "asks:two"]);
    assert_eq!(
        (&stopped["status"], &stopped["error"], &stopped["cause"]),
        (&json!("ABORTED"), &json!("NoNeed"), &json!("it rains"))
    );
    let names = |listed: &Value| -> Vec<String> {
        listed["executions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|execution| execution["name"].as_str().unwrap().to_owned())
            .collect()
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
        ("a token of no task", &["succeed", "AAAA"], 1, "InvalidToken"),
        ("input that is not JSON", &["start", "fails", "--input", "{"], 2, "the input is not JSON"),
        ("no such file", &["validate", "nothing.json"], 2, "cannot read nothing.json"),
        ("nothing to draw", &["graph", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], 2, "cannot be drawn: "),
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
    let (code, picture, _) = cli(&server, &["graph", good]);
    assert!(code == 0 && picture.starts_with("<svg") && picture.contains("Hire a photographer"), "{picture}");
    let bad = write(
        &server,
        "bad.json",
        "{\n  \"StartAt\": \"A\",\n  \"States\": {\"A\": {\"Type\": \"Pas\", \"End\": true}}\n}",
    );
    let (code, out, _) = cli(&server, &["validate", &bad, "--output", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &report["result"], &report["diagnostics"][0]["line"]),
        (1, &json!("FAIL"), &json!(3)),
        "{report}"
    );
}

#[test]
fn a_definition_runs_here_with_mocks_and_without_a_server() {
    let server = Server::start(Launch::embedded());
    let file = write(&server, "asks.asl.json", &asks("no-worker", &json!({})));
    let mocks = write(&server, "mocks.json", r#"{"Ask": {"result": {"answer": 42}}}"#);
    let (code, out, err) = cli(&server, &["run", &file, "--input", r#"{"number": 1}"#, "--mock", &mocks]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), json!({"answer": 42}));
    let mocks = write(&server, "mocks.json", r#"{"Ask": {"errorOutput": {"error": "Broken", "cause": "on purpose"}}}"#);
    let (code, out, err) = cli(&server, &["run", &file, "--input", r#"{"number": 1}"#, "--mock", &mocks]);
    assert!(code == 1 && out.is_empty() && err.contains("Broken: on purpose"), "{code} {err}");
    assert_eq!(
        server.call("ListStateMachines", &json!({}))["stateMachines"],
        json!([]),
        "the server has no part in it"
    );
}

#[test]
fn mocks_answer_tasks_of_every_kind_and_a_missing_one_is_told_at_once() {
    let server = Server::start(Launch::embedded());
    let task = |resource: &str, next: &str| {
        json!({ "Type": "Task", "Resource": format!("arn:aws:states:::{resource}"), "Parameters": {}, "ResultPath": "$.last",
            "Next": next })
    };
    let mut mapped = task("amqp:call", "");
    mapped.as_object_mut().expect("a state").remove("Next");
    mapped["End"] = json!(true);
    let map = json!({ "Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 1, "ResultPath": "$.each", "Next": "Poll",
        "ItemProcessor": { "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" },
            "StartAt": "Each", "States": { "Each": mapped } } });
    let choice = json!({ "Type": "Choice", "Default": "Poll",
        "Choices": [{ "Variable": "$.last.ready", "BooleanEquals": true, "Next": "End" }] });
    let definition = json!({ "StartAt": "Topic", "States": {
        "Topic": task("sns:publish", "Event"),
        "Event": task("events:putEvents", "Queue"),
        "Queue": task("sqs:sendMessage", "Child"),
        "Child": task("states:startExecution.sync:2", "Token"),
        "Token": task("sqs:sendMessage.waitForTaskToken", "Web"),
        "Web": task("http:invoke", "Sdk"),
        "Sdk": task("aws-sdk:sfn:describeExecution", "Map"),
        "Map": map, "Poll": task("glue:getJobRun", "Ready"), "Ready": choice,
        "End": { "Type": "Pass", "End": true },
    }});
    let file = write(&server, "all.asl.json", &definition.to_string());
    let input = r#"{"items": [{"n": 1}, {"n": 2}]}"#;
    let mocks = json!({
        "*": { "result": { "of": "all" } },
        "Each": [{ "result": "{\"of\": \"each\"}" }],
        "Poll": [{ "result": { "ready": false } }, { "result": { "ready": false } }, { "result": { "ready": true } }],
    });
    let with = write(&server, "mocks.json", &mocks.to_string());
    let (code, out, err) = cli(&server, &["run", &file, "--input", input, "--mock", &with]);
    assert_eq!(code, 0, "{err}");
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["last"], json!({ "ready": true }));
    assert_eq!(out["each"][1], json!({ "n": 2, "last": { "of": "each" } }));

    // In a child of the Map, and at the top.
    let mut named = serde_json::Map::new();
    for name in ["Topic", "Event", "Queue", "Child", "Token", "Web", "Sdk", "Poll"] {
        named.insert(name.to_owned(), mocks["*"].clone());
    }
    let poll = json!({ "Poll": mocks["Poll"] });
    for (fewer, state) in [(Value::Object(named), "Each"), (poll, "Topic")] {
        let with = write(&server, "fewer.json", &fewer.to_string());
        let (code, out, err) = cli(&server, &["run", &file, "--input", input, "--mock", &with]);
        let told = format!("the task of state '{state}' has no mock");
        assert!(code == 1 && out.is_empty() && err.contains(&told), "{code} {err}");
    }
}

#[test]
fn the_demo_needs_nothing_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_reveille"));
    let output = command.args(["demo", "--yes"]).current_dir(dir.path()).env_clear().output().expect("it runs");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "Hire a photographer",
        "waits for an answer from photographer-friend",
        "ExecutionSucceeded",
        "photographs by Vera Holm.",
    ] {
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

/// Each command that shows something, for programs and for people.
#[test]
fn every_command_prints_json_or_a_table() {
    let server = Server::start(Launch::embedded());
    let file = write(&server, "asks.json", &asks("no-worker", &json!({})));
    let fails =
        write(&server, "fails.json", r#"{"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Broken"}}}"#);
    let pass = write(&server, "pass.json", r#"{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}"#);
    // Empty listings are a table too.
    for (arguments, said) in
        [(&["machines", "list"][..], "no state machines"), (&["list"], "no executions"), (&["tasks"], "nothing waits")]
    {
        let (code, out, err) = cli(&server, &[arguments, &["--output", "table"]].concat());
        assert_eq!((code, out.trim()), (0, said), "{arguments:?}: {err}");
    }
    for (arguments, json, table) in [
        (&["machines", "create", "asks", &file][..], "stateMachineArn", "machine "),
        (&["machines", "create", "fails", &fails], "creationDate", "created "),
        (&["machines", "create", "quick", &pass, "--type", "express"], "stateMachineArn", "stateMachine:quick"),
        (&["machines", "list"], "stateMachines", "quick  EXPRESS"),
        (&["machines", "update", "asks", &file], "revisionId", "revision "),
        (&["machines", "publish", "asks"], "stateMachineVersionArn", "stateMachine:asks:1"),
        (&["machines", "versions", "asks"], "stateMachineVersions", "stateMachine:asks:1"),
        (&["machines", "alias", "asks", "live", "1"], "stateMachineAliasArn", "stateMachine:asks:live"),
        (&["machines", "aliases", "asks"], "stateMachineAliases", "live"),
        (&["start", "asks", "--name", "one", "--input", r#"{"number": 1}"#], "executionArn", "execution:asks:one"),
        (&["list"], "executions", "asks:one"),
        (&["list", "asks", "--status", "running"], "executions", "RUNNING"),
        (&["describe", "asks:one"], "status", "RUNNING"),
        (&["describe", "asks"], "definition", "asks"),
        (&["history", "asks:one"], "events", "ExecutionStarted"),
        (&["tasks"], "tasks", "Ask"),
        (&["stop", "asks:one"], "stopDate", "stopped "),
        (&["validate", &file], "result", "valid"),
    ] {
        if arguments == ["tasks"] {
            // it is listed when it has waited for a moment
            until("the task is listed", Duration::from_mins(1), || {
                cli_json(&server, arguments)["tasks"][0].is_object().then_some(())
            });
        }
        let shown = cli_json(&server, arguments);
        let shown = if shown.is_array() { &shown[0] } else { &shown };
        assert!(shown.get(json).is_some(), "{arguments:?}: {shown}");
        let (code, out, err) = cli(&server, &[arguments, &["--output", "table"]].concat());
        assert_eq!(code, 0, "{arguments:?}: {err}");
        assert!(out.contains(table) && serde_json::from_str::<Value>(&out).is_err(), "{arguments:?}: {out}");
        assert!(!out.contains('\u{1b}'), "colours are for terminals: {out}");
    }
    let (_, out, err) = cli(&server, &["call", "list-activities"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), json!({"activities": []}), "{err}");
    for (arguments, hint) in [
        (&["list", "quick"][..], "express executions are not listed"),
        (&["machines", "create", "asks", &fails], "reveille machines update"),
        (&["call", "frobnicate"], "docs/API.md"),
        (&["call", "list-activities", "[]"], "executionArn"),
        (&["machines", "alias", "asks", "live", "1", "2"], "3=90 4=10"),
        (&["start", "nothing"], "there are: asks, fails, quick"),
    ] {
        let (code, _, err) = cli(&server, arguments);
        assert!(code != 0 && err.contains("hint: ") && err.contains(hint), "{arguments:?}: {err}");
    }
}

#[test]
fn completions_are_what_each_shell_reads() {
    let server = Server::start(Launch::embedded());
    for (shell, begins) in [("bash", "_reveille()"), ("zsh", "#compdef reveille"), ("fish", "# Print an optspec")] {
        let (code, script, err) = cli(&server, &["completions", shell]);
        assert!(code == 0 && script.contains(begins) && script.contains("heartbeat"), "{shell}: {err}");
        // Where the shell is installed it must accept the script.
        let file = write(&server, shell, &script);
        match std::process::Command::new(shell).args(["-n", &file]).output() {
            Ok(checked) => assert!(checked.status.success(), "{shell}: {}", String::from_utf8_lossy(&checked.stderr)),
            Err(_) => println!("{shell} is not installed here"),
        }
    }
}

#[test]
fn validate_looks_at_a_broker_for_workers() {
    let Some(bus) = super::support::vhost() else { return };
    let wire = super::support::Wire::to(&bus);
    wire.declare(&["lonely", "served"]);
    wire.worker("served", 1, |_| super::support::Answer::success(&json!(1)));
    super::support::until("the worker consumes", std::time::Duration::from_secs(30), || {
        (wire.consumers("served") > 0).then_some(())
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("m.asl.json");
    let task = |queue: &str, next: &str| json!({ "Type": "Task", "Resource": "arn:aws:states:::amqp:call", "Parameters": { "Queue": queue }, "Next": next });
    let definition = json!({ "StartAt": "A", "States": { "A": task("served", "B"), "B": task("lonely", "C"),
        "C": task("nowhere", "D"), "D": { "Type": "Succeed" } } });
    std::fs::write(&file, definition.to_string()).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_reveille"));
    let output =
        command.args(["validate", file.to_str().unwrap(), "--bus", &bus, "--output", "json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let messages: Vec<&str> =
        report["diagnostics"].as_array().unwrap().iter().filter_map(|d| d["message"].as_str()).collect();
    assert_eq!(
        messages,
        ["The queue 'lonely' of state 'B' has no consumer", "The queue 'nowhere' of state 'C' does not exist"],
        "{report}"
    );
    assert!(output.status.success(), "warnings are no errors");
}

#[test]
fn a_context_names_a_server_and_its_key() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    let locked = Server::start(Launch::embedded().with("REVEILLE__API__KEYS", "AKID:hunter2"));
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
        for name in
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "REVEILLE_ENDPOINT", "AWS_REGION"]
        {
            command.env_remove(name);
        }
        command.args(arguments).env("XDG_CONFIG_HOME", home.path()).envs(variables.iter().copied());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    };
    let key = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let set = run(&["context", "set", "locked", "--endpoint", &locked.endpoint, "--key"], &key);
    assert_eq!(set.0, 0, "{}", set.2);
    assert_eq!(run(&["context", "set", "gone", "--endpoint", "http://127.0.0.1:9"], &[]).0, 0);
    let mode = std::fs::metadata(home.path().join("reveille/contexts.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    let (_, listed, _) = run(&["context", "list", "-o", "json"], &[]);
    assert!(listed.contains("AKID") && !listed.contains("hunter2"), "{listed}");

    let list = |arguments: &[&str], variables: &[(&str, &str)]| {
        run(&[&["machines", "list", "-o", "json"], arguments].concat(), variables).0
    };
    assert_eq!(list(&["--context", "locked"], &[]), 0);
    assert_eq!(list(&[], &[("REVEILLE_CONTEXT", "locked")]), 0);
    assert_eq!(run(&["context", "use", "gone"], &[]).0, 0);
    assert_eq!(list(&[], &[]), 3, "the context in use is called");
    assert_eq!(list(&["--context", "locked"], &[]), 0);
    // Names of the environment come before the context in use, and the key goes to its own server only.
    assert_eq!(run(&["context", "use", "locked"], &[]).0, 0);
    assert_eq!((list(&[], &[]), list(&[], &[("AWS_ENDPOINT_URL", &locked.endpoint)])), (0, 1));
    assert_eq!(list(&["--endpoint", &locked.endpoint], &[]), 1);
    let (code, _, why) = run(&["list", "--context", "lokced"], &[]);
    assert!(code == 1 && why.contains("there are: gone, locked"), "{why}");
    assert_eq!(run(&["context", "delete", "locked"], &[]).0, 0);
    assert_eq!(run(&["context", "use", "locked"], &[]).0, 1);
}
