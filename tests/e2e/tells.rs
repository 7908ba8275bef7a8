//! Two servers share a database and a broker: each takes every request, also for executions that the other one owns.

use serde_json::{Value, json};

use super::cluster::{balanced, launch};
use super::support::{Database, SOON, Server, Task, Wire, asks, until, vhost};

/// A task of an execution that the first server started, so that it owns it.
fn asked(first: &Server, wire: &Wire, machine: &str, name: &str) -> (String, Task) {
    let arn = first.execution(machine, name, &json!({"number": 1}));
    (arn, wire.task("work"))
}

fn activity(arn: &str) -> Value {
    json!({"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": arn, "End": true}}})
}

fn map() -> Value {
    let ask: Value = serde_json::from_str(&asks("work", &json!({}))).expect("a definition");
    let mut processor = ask;
    processor["ProcessorConfig"] = json!({"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"});
    json!({"StartAt": "M", "States": {"M": {
        "Type": "Map", "MaxConcurrency": 1, "ItemProcessor": processor, "End": true,
    }}})
}

#[test]
fn a_request_for_an_execution_of_another_server_is_done() {
    let (Some(bus), Some(database)) = (vhost(), Database::start()) else { return };
    let mut first = Server::start(launch(&bus, &database));
    let second = Server::start(launch(&bus, &database));
    let wire = Wire::to(&bus);
    wire.declare(&["work"]);
    balanced([&first, &second]);

    let nodes = second.call("Reveille.ListNodes", &json!({}))["nodes"].clone();
    let nodes = nodes.as_array().expect("a list");
    assert!(nodes.len() == 2 && nodes.iter().all(|node| node["partitions"] == 24 && node["status"] == "ACTIVE"));
    assert_eq!(nodes.iter().filter(|node| node["answers"] == true).count(), 1, "{nodes:?}");

    // An object that one server makes is known to the other.
    let machine = first.machine("asks", &asks("work", &json!({})));
    let by_second = second.execution(&machine, "by-second", &json!({"number": 0}));
    let task = wire.task("work");
    first.call("SendTaskSuccess", &json!({"taskToken": task.token, "output": "1"}));
    assert_eq!(first.ended(&by_second)["output"], "1");

    let (arn, task) = asked(&first, &wire, &machine, "completed");
    second.call("SendTaskHeartbeat", &json!({"taskToken": task.token}));
    second.call("SendTaskSuccess", &json!({"taskToken": task.token, "output": "{\"n\":1.5}"}));
    assert_eq!(second.ended(&arn)["output"], "{\"n\":1.5}");
    let again = second.try_call("SendTaskSuccess", &json!({"taskToken": task.token, "output": "2"})).unwrap_err();
    assert!(again.1["__type"].as_str().is_some_and(|kind| kind.contains("TaskTimedOut")), "{again:?}");

    let (arn, task) = asked(&first, &wire, &machine, "failed");
    second.call("SendTaskFailure", &json!({"taskToken": task.token, "error": "E", "cause": "c"}));
    assert_eq!(second.ended(&arn)["error"], "E");
    second.call("RedriveExecution", &json!({"executionArn": arn}));
    wire.task("work");
    second.call("StopExecution", &json!({"executionArn": arn, "error": "S"}));
    assert_eq!((second.status(&arn), second.ended(&arn)["error"].clone()), ("ABORTED".to_owned(), json!("S")));

    // A task of an activity, taken and answered elsewhere.
    let paints = first.call("CreateActivity", &json!({"name": "paint"}))["activityArn"].clone();
    let painter = first.machine("paints", &activity(paints.as_str().expect("an ARN")).to_string());
    let arn = first.execution(&painter, "painted", &json!({}));
    let taken = second.call("GetActivityTask", &json!({"activityArn": paints, "workerName": "w"}));
    second.call("SendTaskSuccess", &json!({"taskToken": taken["taskToken"], "output": "3"}));
    assert_eq!(second.ended(&arn)["output"], "3");
    let started = second.history(&arn).into_iter().find(|event| event["type"] == "ActivityStarted");
    assert_eq!(started.expect("it was taken")["activityStartedEventDetails"]["workerName"], "w");

    // A map run of the first server: one child at a time, until the second one is told otherwise.
    let mapper = first.machine("maps", &map().to_string());
    let arn = first.execution(&mapper, "mapped", &json!([{"number": 1}, {"number": 2}, {"number": 3}]));
    let one = wire.task("work");
    let run = until("the run is listed", SOON, || {
        second.call("ListMapRuns", &json!({"executionArn": arn}))["mapRuns"][0]["mapRunArn"].as_str().map(str::to_owned)
    });
    second.call("UpdateMapRun", &json!({"mapRunArn": run, "maxConcurrency": 3}));
    let tasks = [one, wire.task("work"), wire.task("work")];
    for task in &tasks {
        second.call("SendTaskSuccess", &json!({"taskToken": task.token, "output": task.body.to_string()}));
    }
    assert_eq!(second.ended(&arn)["status"], "SUCCEEDED");
    let ended = second.try_call("UpdateMapRun", &json!({"mapRunArn": run, "maxConcurrency": 1})).unwrap_err();
    assert_eq!(ended.0, 400, "{ended:?}");
    assert!(second.metric("reveille_tells_total{outcome=\"answered\"}") >= 6.0);

    // The owner leaves while its executions are completed elsewhere: a request waits for the next owner.
    let waiting: Vec<(String, Task)> = (0..20).map(|n| asked(&first, &wire, &machine, &format!("moved-{n}"))).collect();
    first.term();
    for (_, task) in &waiting {
        second.call("SendTaskSuccess", &json!({"taskToken": task.token, "output": "4"}));
    }
    for (arn, _) in &waiting {
        assert_eq!(second.ended(arn)["output"], "4", "{arn}");
    }
    assert!(first.gone().success());
    assert_eq!(database.ask("SELECT count(*) FROM executions WHERE closed IS NULL"), "0");
}
