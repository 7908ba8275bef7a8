//! `reveille replay`: executions of a server, played again.

use serde_json::{Value, json};

use super::support::{Launch, Server, cli};

/// All kinds of states, with failures that are retried and caught, timeouts, and a task of another execution.
fn definition() -> Value {
    let fails = json!({"Type": "Task", "Resource": "arn:aws:states:::amqp:call", "Parameters": {"Queue": "q"},
        "TimeoutSeconds": 1, "Retry": [{"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 1, "MaxAttempts": 1,
            "JitterStrategy": "FULL"}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Both"}], "End": true});
    let block = |name: &str, state: Value| json!({"StartAt": name, "States": {name: state}});
    json!({"StartAt": "Fails", "States": {
        "Fails": fails,
        "Both": {"Type": "Parallel", "ResultPath": "$.both", "Next": "Each", "Branches": [
            block("Rests", json!({"Type": "Wait", "Seconds": 2, "End": true})),
            block("Makes", json!({"Type": "Pass", "Parameters": {"id.$": "States.UUID()"}, "End": true})),
            block("Asks", json!({"Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken", "End": true,
                "HeartbeatSeconds": 600, "Parameters": {"Queue": "answered", "Body": {"t.$": "$$.Task.Token"}}}))]},
        "Each": {"Type": "Map", "ItemsPath": "$.items", "ResultPath": "$.each", "Next": "Which", "ItemProcessor":
            block("One", json!({"Type": "Pass", "End": true}))},
        "Which": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericGreaterThan": 1, "Next": "Good"}],
            "Default": "Bad"},
        "Good": {"Type": "Succeed"},
        "Bad": {"Type": "Fail", "Error": "Too.Small", "Cause": "n is small"}
    }})
}

#[test]
fn executions_of_a_server_are_the_same_again_and_a_new_definition_shows_its_difference() {
    let server = Server::start(Launch::embedded());
    let folder = tempfile::tempdir().expect("a folder");
    let machine = server.machine("all", &definition().to_string());
    let executions: Vec<String> =
        (0..4).map(|n| server.execution(&machine, &format!("n{n}"), &json!({"n": n, "items": [1, 2, 3]}))).collect();
    for execution in &executions {
        let token = server.token(execution, "Asks");
        server.call("SendTaskHeartbeat", &json!({"taskToken": token}));
        server.call("SendTaskSuccess", &json!({"taskToken": token, "output": "\"done\""}));
    }
    for execution in &executions {
        server.ended(execution);
    }
    let stopped = server.execution(&machine, "stopped", &json!({"n": 1, "items": []}));
    server.call("StopExecution", &json!({"executionArn": stopped, "error": "E", "cause": "C"}));
    let redriven = server.execution(&machine, "redriven", &json!({"n": 1, "items": []}));
    server.call("StopExecution", &json!({"executionArn": redriven}));
    server.call("RedriveExecution", &json!({"executionArn": redriven}));

    let (code, out, err) = cli(&server, &["replay", "--last", "100", "--machine", "all", "--output", "table"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("6 same, 0 different, 0 stopped, 0 not replayed"), "{out}");

    // A new definition: those that go another way are shown.
    let mut new = definition();
    new["States"]["Which"]["Choices"][0]["NumericGreaterThan"] = json!(2);
    let file = folder.path().join("new.asl.json");
    std::fs::write(&file, new.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let (code, out, _) = cli(&server, &["replay", "--last", "100", "--definition", file]);
    assert_eq!(code, 1);
    let answer: Value = serde_json::from_str(&out).unwrap();
    let different: Vec<&Value> =
        answer["replays"].as_array().unwrap().iter().filter(|replay| replay["result"] == "DIFFERENT").collect();
    assert_eq!(different.len(), 1, "{out}");
    assert_eq!(different[0]["execution"], "all:n2");
    assert_eq!(
        (&different[0]["recorded"]["type"], &different[0]["replayed"]["type"]),
        (&json!("SucceedStateEntered"), &json!("FailStateEntered"))
    );

    // A record in a file needs no server.
    let record = folder.path().join("record.json");
    let record = record.to_str().unwrap();
    let (code, _, err) = cli(&server, &["replay", "all:n1", "--save", record]);
    assert_eq!(code, 0, "{err}");
    drop(server);
    let replayed = std::process::Command::new(env!("CARGO_BIN_EXE_reveille"))
        .args(["replay", record, "--output", "table", "--endpoint", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&replayed.stdout).into_owned();
    assert!(replayed.status.success() && out.contains("record.json  same  "), "{out}");
}
