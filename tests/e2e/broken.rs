//! Queues that do not exist, workers that die, disks that are full, stores that cannot be used, definitions that are
//! wrong.

use std::process::Command;

use serde_json::{Value, json};

use super::support::{Answer, Launch, Server, Wire, asks, cli, until, vhost};

#[test]
fn a_queue_that_does_not_exist_is_seen_by_retry_and_by_catch() {
    let Some(url) = vhost() else { return };
    let server = Server::start(Launch::over(&url).with("REVEILLE__BUS__DECLARE", "never"));
    let handled = json!({
        "Retry": [{"ErrorEquals": ["Amqp.Unroutable"], "IntervalSeconds": 1, "MaxAttempts": 1}],
        "Catch": [{"ErrorEquals": ["Amqp.Unroutable"], "Next": "Caught"}],
    });
    let mut definition: Value = serde_json::from_str(&asks("missing.queue", &handled)).unwrap();
    definition["States"]["Caught"] = json!({"Type": "Pass", "End": true});
    let execution = server.execution(&server.machine("lost", &definition.to_string()), "one", &json!({"number": 1}));
    let output: Value = serde_json::from_str(server.ended(&execution)["output"].as_str().unwrap()).unwrap();
    assert_eq!(output["Error"], "Amqp.Unroutable");
    assert!(output["Cause"].as_str().unwrap().contains("missing.queue"), "{output}");
    let scheduled = server.history(&execution).iter().filter(|event| event["type"] == "TaskScheduled").count();
    assert_eq!(scheduled, 2, "one retry");

    // A queue that comes later than the task: the retry finds it.
    let patient = json!({"Retry": [{"ErrorEquals": ["Amqp.Unroutable"], "IntervalSeconds": 1, "MaxAttempts": 20, "BackoffRate": 1}]});
    let machine = server.machine("patient", &asks("comes.later", &patient));
    let execution = server.execution(&machine, "one", &json!({"number": 1}));
    server.wait_for("the first attempt fails", super::support::SOON, |server| {
        server
            .history(&execution)
            .iter()
            .any(|event| event["type"] == "TaskFailed" || event["type"] == "TaskSubmitFailed")
    });
    let wire = Wire::to(&url);
    wire.worker("comes.later", 1, |task| Answer::success(&task.body));
    assert_eq!(server.ended(&execution)["status"], "SUCCEEDED");
}

#[test]
fn a_worker_that_dies_with_a_task_loses_nothing() {
    let Some(url) = vhost() else { return };
    let server = Server::start(Launch::over(&url));
    let machine = server.machine("asks", &asks("work", &json!({})));
    let first = Wire::to(&url);
    first.declare(&["work"]);
    let execution = server.execution(&machine, "one", &json!({"number": 7}));
    let (held, delivery) = first.hold("work");
    drop(first);
    drop(delivery);
    let second = Wire::to(&url);
    let (again, delivery) = second.hold("work");
    assert_eq!((again.redelivered, &again.token, &again.body), (true, &held.token, &json!({"number": 7})));
    second.reply(&again.reply_to, Some(&again.token), &Answer::success(&json!("done")));
    delivery.settle(reveille::bus::Settlement::Ack);
    assert_eq!(server.ended(&execution)["output"], r#""done""#);
}

#[test]
fn a_full_disk_refuses_what_is_new_and_loses_nothing() {
    let Some(url) = vhost() else { return };
    let limit = ("REVEILLE__STORE__SIZE_BYTES_MAX", "3000000");
    let mut server = Server::start(Launch::over(&url).with(limit.0, limit.1));
    let wire = Wire::to(&url);
    wire.declare(&["work"]);
    let machine = server.machine("asks", &asks("work", &json!({})));
    let first = server.execution(&machine, "first", &json!({"number": 1}));
    let task = wire.task("work");
    let bulk = json!({"number": 0, "bulk": "x".repeat(200_000)});
    let mut started = Vec::new();
    let (status, error) = loop {
        let name = format!("bulk-{}", started.len());
        let request = json!({"stateMachineArn": machine, "name": name, "input": bulk.to_string()});
        match server.try_call("StartExecution", &request) {
            Ok(answer) => started.push(answer["executionArn"].as_str().unwrap().to_owned()),
            Err(refused) => break refused,
        }
        assert!(started.len() < 100, "the store has no limit");
    };
    assert_eq!(status, 503, "{error}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    // Stored data can be read; an answer that cannot be written is not lost, because the broker has it.
    assert_eq!(server.status(&first), "RUNNING");
    let input = server.folder().join("bulk.json");
    std::fs::write(&input, bulk.to_string()).unwrap();
    let (code, _, err) = cli(&server, &["start", "asks", "--input", &format!("@{}", input.display())]);
    assert!(code == 1 && err.contains("the disk is full"), "{code} {err}");
    let answer = json!("y".repeat(200_000));
    wire.reply(&task.reply_to, Some(&task.token), &Answer::success(&answer));
    server.wait_for("the answer cannot be written", super::support::SOON, |server| {
        server
            .log()
            .iter()
            .any(|line| line["message"].as_str().unwrap_or_default().contains("a reply could not be taken in now"))
    });
    assert_eq!(server.status(&first), "RUNNING");

    // Room again: everything that was accepted goes on.
    assert!(server.stop().success());
    server.set("REVEILLE__STORE__SIZE_BYTES_MAX", "0");
    server.start_again();
    assert_eq!(server.ended(&first)["output"], answer.to_string());
    wire.worker("work", 10, |task| Answer::success(&task.body["number"]));
    for execution in &started {
        assert_eq!(server.ended(execution)["status"], "SUCCEEDED");
    }
}

#[test]
fn a_store_of_a_newer_version_and_one_in_use_are_refused() {
    let mut server = Server::start(Launch::embedded());
    let shown = server.store().display().to_string();
    let second = Command::new(env!("CARGO_BIN_EXE_reveille"))
        .args(["serve", "--listen", "127.0.0.1:0", "--store", &format!("sqlite:{shown}")])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("is open in another process") && said.contains("store.url"), "{said}");

    assert!(server.stop().success());
    let store = rusqlite::Connection::open(server.store()).expect("the store is a file of SQLite");
    store.pragma_update(None, "user_version", 999).expect("written");
    drop(store);
    let (status, said) = server.fails_to_start();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("was made by a newer version of Reveille (schema 999"), "{said}");
}

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().expect("a folder");
    let store = format!("sqlite:{}", dir.path().join("store.db").display());
    let output = Command::new(env!("CARGO_BIN_EXE_reveille"))
        .args(["serve", "--listen", &address, "--store", &store])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&address) && !said.contains("panicked"), "{said}");
}

#[test]
fn a_wrong_definition_is_refused_wherever_it_comes_from() {
    let server = Server::start(Launch::embedded());
    let wrong = "{\n  \"StartAt\": \"A\",\n  \"States\": {\n    \"A\": {\"Type\": \"Pass\", \"Next\": \"B\"}\n  }\n}";
    let request = json!({"name": "wrong", "definition": wrong, "roleArn": "arn:aws:iam::123456789012:role/e2e"});
    let (status, error) = server.try_call("CreateStateMachine", &request).unwrap_err();
    assert_eq!(status, 400);
    assert!(error["__type"].as_str().unwrap().ends_with("InvalidDefinition"), "{error}");
    assert!(error["message"].as_str().unwrap().contains("MISSING_TRANSITION_TARGET"), "{error}");

    let file = server.folder().join("wrong.asl.json");
    std::fs::write(&file, wrong).unwrap();
    let file = file.to_str().unwrap();
    let (code, _, err) = cli(&server, &["machines", "create", "wrong", file]);
    assert!(code == 1 && err.contains("InvalidDefinition"), "{code} {err}");
    for command in ["validate", "run"] {
        let (code, out, err) = cli(&server, &[command, file]);
        let said = out + &err;
        assert!(
            code == 1 && said.contains(&format!("{file}:4:")) && said.contains("Missing 'Next' target: B"),
            "{command}: {said}"
        );
    }
    let machines = server.call("ListStateMachines", &json!({}));
    assert_eq!(machines["stateMachines"], json!([]), "nothing was made of it");
}

#[test]
fn an_unknown_setting_is_refused_with_its_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("settings.toml");
    std::fs::write(&file, "[engine]\npartitoins = 4\n").unwrap();
    let serve = |arguments: &[&str], variable: Option<(&str, &str)>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
        command.arg("serve").args(arguments).envs(variable).current_dir(dir.path());
        let output = command.output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = serve(&["--config", file.to_str().unwrap()], None);
    assert!(code == Some(1) && said.contains("engine.partitoins") && said.contains("engine.partitions"), "{said}");
    let (code, said) = serve(&[], Some(("REVEILLE__BUS__PREFETSH", "4")));
    assert!(
        code == Some(1) && said.contains("bus.prefetsh (in the environment); did you mean bus.prefetch?"),
        "{said}"
    );
    let (code, said) = serve(&[], Some(("REVEILLE__BUS__PREFETCH", "many")));
    assert!(code == Some(1) && said.contains("bus.prefetch") && said.contains("1 to 65535"), "{said}");
    until("nothing was made", super::support::SOON, || (!dir.path().join("reveille.db").exists()).then_some(()));
}
